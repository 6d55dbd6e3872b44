"""Which LFS server an origin has: its own path by https, what `git-lfs-authenticate` says over SSH, or what the
repository's configuration names.

Source: git-lfs's docs/api/server-discovery.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable
from snapshotter.base.urls import is_loopback
from snapshotter.git.origin import Origin
from snapshotter.git.origin_parsing import parse
from snapshotter.transport.lfs.source import LfsUnavailable


@dataclass(frozen=True)
class LfsServer:
    """The URL of a Batch API, without a slash at its end, and the headers that go to its host alone."""

    href: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def of_origin(origin: Origin) -> LfsServer:
    """The server beside an https (or http) origin."""
    path = origin.path.rstrip("/")
    path = path if path.endswith(".git") else f"{path}.git"
    return LfsServer(f"{origin.scheme}://{origin.netloc}{path}/info/lfs")


def as_https(origin: Origin) -> Origin | None:
    """The origin as git-lfs reaches it where SSH or git:// does not tell: by https, at its host and path.

    Returns None if no URL can be made of it.
    """
    if origin.scheme in ("https", "http"):
        return origin
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    try:
        return parse(f"https://{host}/{origin.path.lstrip('/')}")
    except UsageError:
        return None


def named(url: str, origin: Origin, hosts: Set[str], *, allow_http: bool) -> LfsServer | LfsUnavailable:
    """The server that a repository's configuration names, at the origin's host or one of `hosts`; or why it is not
    used."""
    try:
        split = urlsplit(url)
        host, _ = (split.hostname or "").rstrip("."), split.port
    except ValueError:
        return _not_used("it is no URL")
    plain = split.scheme == "http" and (origin.scheme == "http" or allow_http or is_loopback(host))
    if (split.scheme != "https" and not plain) or not host or "@" in split.netloc or split.query:
        return _not_used("it is not a plain https URL")
    own = host == origin.host and (origin.scheme not in ("https", "http") or split.netloc == origin.netloc)
    if not own and split.netloc not in hosts:
        return _not_used(f"it is at {printable(split.netloc)[:100]}, which is not the origin's host")
    return LfsServer(url.rstrip("/"))


def _not_used(why: str) -> LfsUnavailable:
    return LfsUnavailable(
        f"the LFS server that the repository's .lfsconfig names is not used: {why}",
        "unsafe",
        hint="its author may be anybody; if you trust it, name its host in SNAPSHOTTER_LFS_HOSTS",
        of_all=True,
    )
