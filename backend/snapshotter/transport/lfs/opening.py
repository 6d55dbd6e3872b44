"""From an origin to its LFS objects."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.git.origin import Origin
from snapshotter.transport.lfs import server
from snapshotter.transport.lfs.source import LfsSource, LfsTarget, LfsUnavailable

if TYPE_CHECKING:
    from snapshotter.transport.http_client import HttpClient
    from snapshotter.transport.lfs.batch import Operation
    from snapshotter.transport.lfs.http import HttpLfs
    from snapshotter.transport.lfs.local import LocalLfs
    from snapshotter.transport.lfs.server import LfsServer
    from snapshotter.transport.ssh import SshClient


@dataclass(frozen=True)
class LfsAccess:
    """By what LFS objects are reached: HTTP, made when it is needed; SSH; and the `hosts` where a repository's own
    configuration may say that its objects are."""

    http: Callable[[], HttpClient]
    ssh: SshClient | None
    hosts: Set[str]


def open_lfs(origin: Origin, access: LfsAccess, cancel: Cancel) -> LfsSource:
    """Where the LFS objects of `origin` are had; nothing is sent yet."""
    return _opened(origin, access, "download", cancel)


def open_lfs_target(target: Origin, access: LfsAccess, cancel: Cancel) -> LfsTarget:
    """Where LFS objects are put for `target`; nothing is sent yet."""
    return _opened(target, access, "upload", cancel)


def _opened(origin: Origin, access: LfsAccess, operation: Operation, cancel: Cancel) -> HttpLfs | LocalLfs:
    if origin.is_local:
        from snapshotter.transport.lfs.local import LocalLfs

        return LocalLfs(origin.path, cancel)
    from snapshotter.transport.lfs.exchange import Exchange
    from snapshotter.transport.lfs.http import HttpLfs

    by_https, client = server.as_https(origin), access.http()

    def find() -> LfsServer:
        if origin.scheme == "ssh" and (said := _by_ssh(origin, access, operation, cancel)):
            return said
        if by_https is None:
            raise LfsUnavailable(
                "no LFS server is known for the origin",
                "no-server",
                hint="name the origin by its https URL",
                of_all=True,
            )
        return server.of_origin(by_https)

    exchange = Exchange(client, by_https, origin.host, cancel)
    named = partial(server.named, origin=origin, hosts=access.hosts, allow_http=client.allow_http)
    return HttpLfs(exchange, find, named)


def _by_ssh(origin: Origin, access: LfsAccess, operation: Operation, cancel: Cancel) -> LfsServer | None:
    """What the host's `git-lfs-authenticate` says. Returns None where the host has none, as many have."""
    from snapshotter.transport.lfs import ssh

    try:
        return ssh.authenticated(origin, operation, access.ssh, access.http().limits, cancel)
    except SnapshotterError:
        cancel.check()
        return None
