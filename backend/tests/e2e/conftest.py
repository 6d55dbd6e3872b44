"""A store in a folder, and an origin of two branches, for whoever makes none of their own."""

from tests.support.fixtures import lab, origin

__all__ = ["lab", "origin"]
