"""Who a GitHub App is, and where the REST API of its GitHub is."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from snapshotter.base.urls import is_loopback


class AppKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who an App is: its id (or client id), the id of one installation, its private key (PEM), and the API's URL, None
    for that of the host."""

    app: int | str
    installation: int
    key: str
    api: str | None = None

    def __repr__(self) -> str:
        return f"AppKey(app={self.app!r}, installation={self.installation!r})"


def api_of(host: str) -> str:
    """The URL of a host's REST API: of github.com, of GitHub Enterprise Cloud with data residency, else of a server.

    >>> api_of("github.com"), api_of("github.example.org:8443")
    ('https://api.github.com', 'https://github.example.org:8443/api/v3')
    """
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}"
    return f"https://{host}/api/v3"


def is_api(url: str) -> bool:
    """Whether a URL may be an API's: over https, or on this machine, and without a user, a query or a fragment."""
    try:
        split = urlsplit(url)
        _ = split.port  # raises ValueError if it is not a number
    except ValueError:
        return False
    safe = split.scheme == "https" or (split.scheme == "http" and is_loopback(split.hostname or ""))
    return safe and bool(split.hostname) and not (split.query or split.fragment or "@" in split.netloc)
