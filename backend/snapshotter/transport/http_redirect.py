"""Which redirects of an origin are followed: as in git, those of the first request, but none that could leak."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

from snapshotter.base.errors import AccessDenied, Unavailable
from snapshotter.base.text import printable
from snapshotter.base.urls import is_loopback

DISCOVERY = "/info/refs?service=git-upload-pack"  # git's gitprotocol-http: what the first request asks for


def follow(base: str, location: str, *, allow_http: bool) -> str:
    """The base URL that a redirect of the discovery leads to.

    Raises Unavailable (code `unsafe-redirect`) if it leads out of https, to this machine or an internal address, or
    has credentials in it; AccessDenied if it leads to a page, which as a rule is a login.
    """
    try:
        target = urljoin(base + DISCOVERY, location)
        old, new = urlsplit(base), urlsplit(target)
        _ = new.port  # raises for one that is none
    except ValueError:
        raise _unsafe_redirect("no URL") from None
    host = (new.hostname or "").rstrip(".")
    inward = _is_inward(host) and not _is_inward(old.hostname or "")
    remote = not (allow_http or is_loopback(host))
    downgraded = new.scheme == "http" and (old.scheme == "https" or remote)
    if new.scheme not in ("https", "http") or not host or inward or downgraded or "@" in new.netloc:
        raise _unsafe_redirect(f"{new.scheme}://{host}")
    if not target.endswith(DISCOVERY):
        raise AccessDenied(
            f"the origin redirects to a page at {new.hostname}, probably its login",
            code="origin-denied",
            hint="set a token (SNAPSHOTTER_GIT_TOKEN) that may read the repository",
        )
    return target.removesuffix(DISCOVERY)


def _is_inward(host: str) -> bool:
    """Whether a host is this machine, or an address, in any spelling, of no public network."""
    if is_loopback(host):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:  # 127.1, 2130706433 and 0x7f.1 are addresses too
            address = ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, ValueError):
            return False
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global


def _unsafe_redirect(where: str) -> Unavailable:
    return Unavailable(
        f"the origin redirects to a place that is not followed ({printable(where)})",
        code="unsafe-redirect",
        hint="credentials or an internal address could leak; give the final URL if you trust it",
    )
