"""From an origin to its transport."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import UsageError
from snapshotter.git.origin import Origin
from snapshotter.transport import Transport, WireLimits
from snapshotter.transport.introductions import HeardServers
from snapshotter.transport.turns import FreeTurns, Turns
from snapshotter.transport.upload_pack import UploadPack, Wire

if TYPE_CHECKING:
    from snapshotter.transport.credentials import Credentials
    from snapshotter.transport.http_client import HttpClient
    from snapshotter.transport.http_pool import HttpPool
    from snapshotter.transport.lfs.opening import LfsAccess
    from snapshotter.transport.lfs.source import LfsSource
    from snapshotter.transport.pushing import Pusher
    from snapshotter.transport.ssh import SshClient


@dataclass
class Connector:
    """Makes transports; holds what they share. One serves any number of origins and threads.

    `lfs_hosts` are hosts, with a port that is not https's, where a repository's own configuration may say that its
    LFS objects are.
    """

    credentials: Credentials
    limits: WireLimits = field(default_factory=WireLimits)
    allow_http: bool = False
    ca_bundle: str | None = None
    ssh: SshClient | None = None
    lfs_hosts: frozenset[str] = frozenset()
    turns: Turns = field(default_factory=FreeTurns)
    heard: HeardServers = field(default_factory=HeardServers)
    _pool: HttpPool | None = None

    def __call__(self, origin: Origin, cancel: Cancel) -> Transport:
        """A transport to `origin`; nothing is sent yet. Raises UsageError for plain http that was not allowed."""
        return UploadPack(self._wire(origin, cancel), self.limits, cancel, self.heard)

    def ahead(self, origin: Origin, cancel: Cancel) -> Transport:
        """The same; over HTTP, its refs are being listed already, in the fewest round trips."""
        if origin.scheme not in ("http", "https"):  # a child of other wires would outlive a usage error
            return self(origin, cancel)
        from snapshotter.transport.ahead import ListedAhead

        wire = self._wire(origin, cancel)
        ahead = ListedAhead(UploadPack(wire, self.limits, cancel, self.heard, hurried=True))
        ahead.begin()
        return ahead

    def pusher(self, target: Origin, cancel: Cancel) -> Pusher:
        """The way to push into `target`; nothing is sent yet."""
        from snapshotter.transport.lfs.opening import open_lfs_target
        from snapshotter.transport.pushing import Pusher
        from snapshotter.transport.ssh import SshClient

        return Pusher(
            target,
            lambda: self(target, cancel),
            self.credentials,
            self.ssh or SshClient(),
            self.limits,
            self.ca_bundle,
            cancel,
            lambda: open_lfs_target(target, self._lfs_access(), cancel),
        )

    def lfs(self, origin: Origin, cancel: Cancel) -> LfsSource:
        """Where the LFS objects of `origin` are had; nothing is sent yet."""
        from snapshotter.transport.lfs.opening import open_lfs  # which runs without LFS do not load

        return open_lfs(origin, self._lfs_access(), cancel)

    def _lfs_access(self) -> LfsAccess:
        from snapshotter.transport.lfs.opening import LfsAccess

        return LfsAccess(self.http_client, self.ssh, self.lfs_hosts)

    def with_turns(self, turns: Turns) -> Connector:
        """Another that shares what this one holds, and whose requests wait for `turns`."""
        return replace(self, turns=turns, _pool=self._shared_pool())

    def beside(self, other: Connector) -> Connector:
        """The same, with the secrets and the connections of `other`: a host has no more of them for two plans."""
        pool = other._shared_pool().under(self.limits)
        return replace(self, credentials=other.credentials, heard=other.heard, _pool=pool)

    def let_go(self) -> None:
        """Close connections that nobody uses now."""
        if self._pool is not None:
            self._pool.let_go()

    def _wire(self, origin: Origin, cancel: Cancel) -> Wire:
        if origin.scheme in ("https", "http"):
            return self._http(origin, cancel)
        # A wire's libraries are loaded when it is used, so that a start costs only what the run needs.
        from snapshotter.transport import ssh, stream_wire

        if origin.is_local:
            return stream_wire.StreamWire(stream_wire.LocalDialer(origin), self.limits, cancel)
        if origin.scheme == "ssh":
            return stream_wire.StreamWire(
                ssh.SshDialer.of(origin, self.ssh or ssh.SshClient(), cancel), self.limits, cancel
            )
        return stream_wire.StreamWire(stream_wire.GitDialer(origin, cancel), self.limits, cancel)

    def _http(self, origin: Origin, cancel: Cancel) -> Wire:
        if origin.scheme == "http" and not (origin.is_loopback or self.allow_http):
            raise UsageError(
                f"plain http to another machine: {origin.url}",
                hint="use https; --allow-http takes it as it is, open to being read and altered on its way",
            )
        from snapshotter.transport.http import HttpWire

        return HttpWire(origin, self.http_client(), cancel)

    def http_client(self) -> HttpClient:
        """What all that goes over HTTP shares."""
        from snapshotter.transport.http_client import HttpClient

        return HttpClient(self._shared_pool(), self.credentials, self.limits, self.allow_http, self.turns)

    def _shared_pool(self) -> HttpPool:
        from snapshotter.transport.http_pool import HttpPool

        if self._pool is None:
            self._pool = HttpPool(self.limits, self.ca_bundle)
        return self._pool
