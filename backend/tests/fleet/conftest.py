"""A CA and its certificate, for forges over TLS."""

from tests.support.fixtures import tls

__all__ = ["tls"]
