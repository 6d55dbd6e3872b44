"""The port to an origin: list its refs, fetch a pack. One interface, whatever the wire.

Our own client speaks git's protocol v2, and v0 where a server knows no better, over three
wires: smart HTTP, a child process (SSH and local paths), and a socket (``git://``).
Sources: git's gitprotocol-v2, gitprotocol-pack, gitprotocol-http.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from snapshotter.base.errors import Unavailable
from snapshotter.git.refs import RefListing

Sink = Callable[[memoryview], None]
"""Takes the next bytes of a pack; the view is valid only during the call."""


class FetchRequest(Struct, frozen=True):
    """What to ask for. `haves` must be objects that the caller can build on; with `thin` the pack
    may hold deltas against them. `depth` and `filter` are as in `git fetch`."""

    wants: Sequence[str]
    haves: Sequence[str] = ()
    thin: bool = True
    filter: str | None = None
    depth: int | None = None


class WireLimits(Struct, frozen=True):
    """What an origin may cost. Times are seconds, sizes bytes.

    `idle_seconds`: without a byte; `stall_seconds`: for an answer up to its end or its pack, and the span over which
    the pack then comes at `least_rate` (bytes a second) or more; `chatter_bytes`: progress text between two pieces of
    the pack. Of the times, only what is spent waiting for the origin counts.
    """

    max_refs: int = 2_000_000
    max_refs_bytes: int = 512 * 1024 * 1024
    connect_seconds: float = 20.0
    idle_seconds: float = 90.0
    stall_seconds: float = 1800.0
    least_rate: int = 1000
    chatter_bytes: int = 16 * 1024 * 1024


class Transport(Protocol):
    """An origin that can be asked. Not shared between threads: one a run.

    Errors are Unavailable (network, protocol, limits) or AccessDenied, with a hint; cancellation
    raises the caller's Interrupted.
    """

    def ls_refs(self) -> RefListing:
        """Every ref with peeled tags, aliases and HEAD, as of now and as the origin lists them."""
        ...

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        """Stream the pack that `request` asks for into `sink`, whole or with an error.

        Raises WantVanished when a wanted object is gone, ShallowOrigin when the origin lacks
        history and no depth was asked for, PartialOrigin when it lacks objects, FilterRefused when it does not
        filter.
        """
        ...

    def fork(self) -> Transport:
        """A transport of its own to the same origin, for a fetch at the same time; its caller closes it."""
        ...

    def close(self) -> None:
        """Let go of connections and children. Raises nothing, and may be called twice."""
        ...


class NoGitAnswer(Unavailable):
    """The origin's answer is cut off, or is not a git server's. The wire may know why: see `Wire.explain`."""

    default_code = "not-git"


class Stalled(Unavailable):
    """The origin sent nothing for too long, or too little. The wire may know why: see `Wire.explain`."""

    default_code = "stalled"


class OriginBusy(Unavailable):
    """The origin's host is in trouble, or, if it is `throttled`, limits requests: another time it may answer."""

    default_code = "origin-http"

    def __init__(self, message: str, *, hint: str = "", throttled: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.throttled = throttled


class OriginFailed(Unavailable):
    """The origin's server says, in git's protocol, that it failed. The wire may know more: see `Wire.explain`."""

    default_code = "origin-error"


class WantVanished(Unavailable):
    """An object listed a moment ago is gone: list again. `oid` is its id, None if the origin does not say it."""

    default_code = "want-vanished"

    def __init__(self, message: str, *, hint: str = "", oid: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.oid = oid


class OriginNotFound(Unavailable):
    """There is no repository at the origin's place, or none that this user may see."""

    default_code = "origin-not-found"


class ShallowOrigin(Unavailable):
    """The origin's own history is cut off: a snapshot of it could not be restored."""

    default_code = "shallow-origin"


class PartialOrigin(Unavailable):
    """The origin itself lacks objects, which it would fetch from elsewhere: a snapshot of it could not be restored."""

    default_code = "partial-origin"


class FilterRefused(Unavailable):
    """The origin does not filter packs."""

    default_code = "filter-refused"
