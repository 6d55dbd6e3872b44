"""The client of `git upload-pack`: protocol v2, and v0 where the server knows no better.

A wire opens the conversation and sends requests, so that the same code runs over HTTP, SSH, git:// and a
local process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Final, Protocol

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.git.refs import RefListing
from snapshotter.transport import FetchRequest, FilterRefused, OriginBusy, Sink, Transport, WireLimits, v0, v2
from snapshotter.transport.hasty_listing import USUAL, HastyListing, begun
from snapshotter.transport.introductions import HeardServers, Introduction, Server, read_introduction
from snapshotter.transport.pktline import Mark, PktReader
from snapshotter.transport.receiver import PackReceiver
from snapshotter.transport.replies import AGENT, bounded, broken, explained
from snapshotter.transport.words import SentCredentials, to_show

# What may be wrong with an answer because the server did not introduce itself before, by the errors' codes.
_UNINTRODUCED: Final = frozenset({"origin-http", "origin-error", "origin-not-found", "not-git", "protocol"})


class Wire(Protocol):
    """A way to an upload-pack. A stateless wire (HTTP) answers each request by itself.

    `host` is its URL where one server answers for all repositories of a host, as far as is known; else None. `sent` are
    the credentials that the other side knows of us.
    """

    stateless: bool
    sent: SentCredentials

    @property
    def host(self) -> str | None:
        """See the class."""
        ...

    def open(self) -> PktReader:
        """Begin a conversation, ending any before it; the reader stands at the advertisement.

        Raises Unavailable or AccessDenied if the origin cannot be reached or refuses.
        """
        ...

    def send(self, body: bytes, *, bulk: bool) -> PktReader:
        """Send a request and return a reader of its answer; a bulk answer is a pack. Raises as `open` does."""
        ...

    def explain(self, error: SnapshotterError) -> SnapshotterError:
        """The error, with what else the wire knows (a child's exit, its stderr)."""
        ...

    def hasty_fork(self, cancel: Cancel) -> Wire | None:
        """A wire for a request that may fail, to be sent beside others: it tries once, and asks for no credential that
        is not there. None where that cannot be, or would be impolite."""
        ...

    def fork(self) -> Wire:
        """A wire of its own to the same origin; a stateless one goes on where this one has been led."""
        ...

    def asks_as(self, fork: Wire) -> bool:
        """Whether a request goes to the same place, in the same name, as one of a fork that was made before."""
        ...

    def settle(self) -> None:
        """The last answer was read: let others have the turn until the next request. Raises nothing."""
        ...

    def close(self) -> None:
        """Let go of the connection. Raises nothing, and may be called twice."""
        ...


class UploadPack:
    """A Transport over any wire.

    Hosts that were `heard` are not asked again what they can do before they list refs. One that is `hurried` lists them
    beside that question, where the wire can.
    """

    def __init__(
        self,
        wire: Wire,
        limits: WireLimits,
        cancel: Cancel,
        heard: HeardServers | None = None,
        *,
        hurried: bool = False,
    ) -> None:
        self._wire = wire
        self._limits = limits
        self._cancel = cancel
        self._heard = heard or HeardServers()
        self._hurried = hurried
        self._introduction = Introduction()
        self._presumed: v2.Server | None = None  # which answered as if it had introduced itself
        self._beside: Wire | None = None  # of the listing beside the last introduction
        self._listed = self._fetched = False  # what the conversation was used for
        self._sink_error: SnapshotterError | None = None  # it is ours: no wire can explain it

    def ls_refs(self) -> RefListing:
        """See Transport."""
        try:
            early = self._listed_early()  # which may hold no refs
            return self._listed_in_order() if early is None else early
        except SnapshotterError as error:
            failed = self._failed(error)
            raise failed from failed.__cause__

    def _listed_by(self, server: v2.Server) -> RefListing:
        """The refs, as this server is asked for them."""
        reader = self._answer(v2.ls_refs(server, AGENT), bulk=False)
        listing = v2.read_refs(server, reader, self._limits, self._cancel)
        # One flipped bit can turn a line into a flush.
        if self._wire.stateless and reader.line() is not Mark.END:
            raise broken("its list of refs goes on after its end")
        self._wire.settle()
        return listing

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        """See Transport."""
        receiver = PackReceiver(self._limits, self._cancel, self._watched(sink))
        try:
            server = self._fetched_from(request)
            self._fetched = True
            if request.filter and not server.filters:
                raise FilterRefused(
                    "the origin does not filter packs", hint="allow uploadpack.allowFilter there"
                )
            if isinstance(server, v0.Server):
                reader = self._answer(v0.fetch(server, request, AGENT), bulk=True)
                side_band = v0.read_until_pack(server, request, bounded(reader, self._limits))
            else:
                reader = self._answer(v2.fetch(server, request, AGENT), bulk=True)
                v2.read_until_pack(request, bounded(reader, self._limits))
                side_band = True
            receiver.receive(reader, side_band=side_band)
            self._wire.settle()
        except SnapshotterError as error:
            failed = self._failed(error, [f"remote: {line}" for line in receiver.messages.lines])
            raise failed from failed.__cause__

    def fork(self) -> Transport:
        """See Transport."""
        fork = UploadPack(self._wire.fork(), self._limits, self._cancel, self._heard)
        if self._wire.stateless and not isinstance(self._introduction.server, v0.Server):
            fork._introduction = self._introduction  # what a v2 server tells holds for every request
            fork._presumed = self._presumed
        return fork

    def close(self) -> None:
        """See Transport."""
        self._wire.close()

    def _listed_early(self) -> RefListing | None:
        """The refs of a host that was heard before; None if it was not, or its answer is one that an introduction may
        change."""
        server = self._heard.of(self._wire.host) if self._introduction.server is None else None
        if server is None:
            return None
        self._cancel.check()
        self._presumed = server
        try:
            return self._listed_by(server)
        except Unavailable as error:
            if isinstance(error, OriginBusy) or error.code not in _UNINTRODUCED:
                raise
        self._presumed = None  # this repository's server may be another one, or speak of other objects
        listing = self._listed_in_order()
        self._heard.insists(self._wire.host)
        return listing

    def _listed_in_order(self) -> RefListing:
        """The refs, asked for after the server has introduced itself, or beside it."""
        first = self._hurried and self._introduction.server is None
        with begun(self._hasty, self._cancel) if first else nullcontext() as hasty:
            # A stateful server answers from what it read of the refs before, as v0 does from its first words.
            one_view = isinstance(self._introduction.server, v0.Server) or not self._wire.stateless
            server = self._connected(stale=one_view and (self._listed or self._fetched))
            self._listed = True
            self._heard.heard(self._wire.host, server)
            if isinstance(server, v0.Server):
                self._wire.settle()
                return server.listing
            self._cancel.check()
            beside = self._listed_beside(hasty, server) if hasty else None  # which may hold no refs
            return self._listed_by(server) if beside is None else beside

    def _listed_beside(self, hasty: HastyListing, server: v2.Server) -> RefListing | None:
        """The refs that were asked for beside the introduction; None if they do not count."""
        # Elsewhere, or to another user, they may be others.
        if self._beside is None or not self._wire.asks_as(self._beside):
            return None
        self._wire.settle()  # a host may answer the other request only when this connection is free
        return hasty.of(server, AGENT)

    def _fetched_from(self, request: FetchRequest) -> Server:
        """The server to ask for a pack: one that is presumed will do, unless it has to be able to filter."""
        if self._presumed and not request.filter:
            self._cancel.check()
            return self._presumed
        one_pack = isinstance(self._introduction.server, v0.Server) and not self._wire.stateless
        return self._connected(stale=one_pack and self._fetched)

    def _hasty(self, cancel: Cancel) -> Callable[[], RefListing] | None:
        """What lists as the USUAL server is asked, on a wire of its own; None where it cannot be."""
        wire = self._beside = self._wire.hasty_fork(cancel)
        if wire is None:
            return None

        def listed() -> RefListing:
            try:
                return UploadPack(wire, self._limits, cancel)._listed_by(USUAL)
            finally:
                wire.close()

        return listed

    def _connected(self, *, stale: bool) -> Server:
        """The server of the conversation, which is opened if there is none, or anew if it is stale."""
        self._cancel.check()
        if stale:
            self._introduction = Introduction()
        return self._introduction.had_from(self._opened)

    def _opened(self) -> Server:
        reader = self._wire.open()
        self._listed = self._fetched = False
        return read_introduction(reader, self._wire.stateless, self._limits, self._cancel)

    def _answer(self, body: bytes, *, bulk: bool) -> PktReader:
        """The answer to a request, whose time begins now."""
        reader = self._wire.send(body, bulk=bulk)
        reader.pace.begin()
        return reader

    def _watched(self, sink: Sink) -> Sink:
        """The sink, whose error is remembered: it is told from the origin's."""

        def watched(data: memoryview) -> None:
            try:
                sink(data)
            except SnapshotterError as error:
                self._sink_error = error
                raise

        return watched

    def _failed(self, error: SnapshotterError, messages: Sequence[str] = ()) -> SnapshotterError:
        """The error to raise, with the server's messages. The next call opens another conversation: after an error,
        this one may be anywhere."""
        if not isinstance(error, FilterRefused) or not self._wire.stateless:
            self._introduction, self._presumed = Introduction(), None
        self._cancel.check()
        explanation = self._wire.explain(error)
        if error is self._sink_error:
            return error
        return to_show(explained(explanation, messages), self._wire.sent)
