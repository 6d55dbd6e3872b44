"""Which redirects of an origin are followed: as in git, those of the first request, but none that could leak."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from snapshotter.base.errors import AccessDenied, Unavailable
from snapshotter.base.text import printable
from snapshotter.base.urls import is_loopback
from snapshotter.transport.zones import Zone, zone_of

DISCOVERY = "/info/refs?service=git-upload-pack"  # git's gitprotocol-http: what the first request asks for


def follow(base: str, location: str, zones: frozenset[Zone], *, allow_http: bool) -> str:
    """The base URL that a redirect of the discovery leads to. An address in it is in one of `zones`; where a name
    leads is seen when it is connected to.

    Raises Unavailable (code `unsafe-redirect`) if it leads out of https, to an address in another zone, or has
    credentials in it; AccessDenied if it leads to a page, which as a rule is a login.
    """
    try:
        target = urljoin(base + DISCOVERY, location)
        old, new = urlsplit(base), urlsplit(target)
        _ = new.port  # raises ValueError if it is not a number
    except ValueError:
        raise unsafe_redirect("not a URL") from None
    host = (new.hostname or "").rstrip(".")
    inward = zone_of(host) not in zones | {None}
    remote = not (allow_http or is_loopback(host))
    downgraded = new.scheme == "http" and (old.scheme == "https" or remote)
    if new.scheme not in ("https", "http") or not host or inward or downgraded or "@" in new.netloc:
        raise unsafe_redirect(f"{new.scheme}://{host}")
    if not target.endswith(DISCOVERY):
        raise AccessDenied(
            f"the origin redirects to a page at {new.hostname}, probably its login",
            code="origin-denied",
            hint="set a token (SNAPSHOTTER_GIT_TOKEN) that may read the repository",
        )
    return target.removesuffix(DISCOVERY)


def unsafe_redirect(where: str) -> Unavailable:
    """The error for a redirect that is not followed."""
    return Unavailable(
        f"the origin redirects to a place that is not followed ({printable(where)})",
        code="unsafe-redirect",
        hint="credentials or an internal address could leak; give the final URL if you trust it",
    )
