"""How servers introduce themselves, and what of it holds beyond one conversation.

A server of v2 tells what it can do before it is asked anything. Over HTTP that is a request of its own; what ls-refs
needs of it is the same for all repositories of a host, and so is asked once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from snapshotter.base.cancel import Cancel
from snapshotter.transport import NoGitAnswer, WireLimits, v0, v2
from snapshotter.transport.pktline import Mark, PktReader
from snapshotter.transport.replies import broken, check_error

Server = v2.Server | v0.Server


@dataclass(eq=False)
class Introduction:
    """The server of a conversation, None before it has introduced itself; one for a transport and its forks."""

    server: Server | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False)

    def had_from(self, ask: Callable[[], Server]) -> Server:
        """The server, which is asked by whoever needs it first; others wait. Raises what `ask` does."""
        with self._asking:
            if self.server is None:
                self.server = ask()
            return self.server


class HeardServers:
    """What ls-refs has to know of the v2 servers of hosts, for all of a process. Safe to share between threads."""

    def __init__(self) -> None:
        self._by_host: dict[str, v2.Server | None] = {}
        self._changing = threading.Lock()

    def of(self, host: str | None) -> v2.Server | None:
        """The server of a host, as another repository's introduced itself; None if it has to be asked."""
        return self._by_host.get(host) if host else None

    def heard(self, host: str | None, server: Server) -> None:
        """Learn from an introduction, unless the host is known."""
        if host and isinstance(server, v2.Server):
            with self._changing:
                self._by_host.setdefault(host, server.for_listing())

    def insists(self, host: str | None) -> None:
        """A host whose answer was wrong without an introduction is asked for one from now on."""
        if host:
            with self._changing:
                self._by_host[host] = None


def read_introduction(reader: PktReader, over_http: bool, limits: WireLimits, cancel: Cancel) -> Server:
    """The server that introduces itself, in v2 or v0. Raises Unavailable for anything else."""
    first = reader.line()
    announced = isinstance(first, bytes) and first.startswith(b"# service=")  # as smart HTTP does
    if announced:
        if reader.line() is not Mark.FLUSH:
            raise broken("the first part of its answer does not end")
        first = reader.line()
    if first is Mark.END:
        raise NoGitAnswer(
            "the origin closed the connection without a word",
            hint="is it a git repository, and may this user read it? Try `git ls-remote`",
        )
    if isinstance(first, bytes):
        check_error(first)
    if first == b"version 2":
        return v2.parse_capabilities(reader)
    if over_http and not announced:  # a bare flush would pass for a repository without refs
        raise broken("its first line is not git's (gitprotocol-http)")
    if first == b"version 1":
        first = reader.line()
    return v0.read_server(first, reader, limits, cancel)
