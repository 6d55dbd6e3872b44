"""The client of `git upload-pack`: protocol v2, and v0 where the server knows no better.

A wire opens the conversation and sends requests, so that the same code runs over HTTP, SSH, git:// and a
local process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.git.refs import RefListing
from snapshotter.transport import (
    FetchRequest,
    FilterRefused,
    NoGitAnswer,
    Sink,
    Transport,
    WireLimits,
    v0,
    v2,
)
from snapshotter.transport.pktline import Mark, PktReader
from snapshotter.transport.receiver import PackReceiver
from snapshotter.transport.replies import AGENT, bounded, broken, check_error, explained
from snapshotter.transport.words import SentCredentials, to_show


class Wire(Protocol):
    """A way to an upload-pack. A stateless wire (HTTP) answers each request by itself.

    `sent` are the credentials that the other side knows of us.
    """

    stateless: bool
    sent: SentCredentials

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

    def reach_ahead(self) -> None:
        """See Transport."""
        ...

    def fork(self) -> Wire:
        """A wire of its own to the same origin; a stateless one goes on where this one has been led."""
        ...

    def settle(self) -> None:
        """The last answer was read: let others have the turn until the next request. Raises nothing."""
        ...

    def close(self) -> None:
        """Let go of the connection. Raises nothing, and may be called twice."""
        ...


class UploadPack:
    """A Transport over any wire."""

    def __init__(self, wire: Wire, limits: WireLimits, cancel: Cancel) -> None:
        self._wire = wire
        self._limits = limits
        self._cancel = cancel
        self._server: v2.Server | v0.Server | None = None
        self._listed = self._fetched = False  # what the conversation was used for
        self._sink_error: SnapshotterError | None = None  # it is ours: no wire can explain it

    def ls_refs(self) -> RefListing:
        """See Transport."""
        try:
            # A stateful server answers from what it read of the refs before, as v0 does from its first words.
            one_view = isinstance(self._server, v0.Server) or not self._wire.stateless
            server = self._connected(stale=one_view and (self._listed or self._fetched))
            self._listed = True
            if isinstance(server, v0.Server):
                self._wire.settle()
                return server.listing
            reader = self._answer(v2.ls_refs(server, AGENT), bulk=False)
            return self._whole_list(server, reader)
        except SnapshotterError as error:
            failed = self._failed(error)
            raise failed from failed.__cause__

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        """See Transport."""
        receiver = PackReceiver(self._limits, self._cancel, self._watched(sink))
        try:
            one_pack = isinstance(self._server, v0.Server) and not self._wire.stateless
            server = self._connected(stale=one_pack and self._fetched)
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

    def reach_ahead(self) -> None:
        """See Transport."""
        self._wire.reach_ahead()

    def fork(self) -> Transport:
        """See Transport."""
        fork = UploadPack(self._wire.fork(), self._limits, self._cancel)
        if self._wire.stateless and isinstance(self._server, v2.Server):
            fork._server = self._server  # what it can do was told once, and holds for every request
        return fork

    def close(self) -> None:
        """See Transport."""
        self._wire.close()

    def _connected(self, *, stale: bool) -> v2.Server | v0.Server:
        """The server of the conversation, which is opened if there is none, or anew if it is stale."""
        self._cancel.check()
        if self._server is None or stale:
            reader = self._wire.open()
            self._listed = self._fetched = False
            self._server = _advertisement(reader, self._wire.stateless, self._limits, self._cancel)
        return self._server

    def _whole_list(self, server: v2.Server, reader: PktReader) -> RefListing:
        """The refs of an ls-refs answer, which must end after them: one flipped bit can turn a line into a flush."""
        listing = v2.read_refs(server, reader, self._limits, self._cancel)
        if self._wire.stateless and reader.line() is not Mark.END:
            raise broken("its list of refs goes on after its end")
        self._wire.settle()
        return listing

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
            self._server = None
        self._cancel.check()
        explanation = self._wire.explain(error)
        if error is self._sink_error:
            return error
        return to_show(explained(explanation, messages), self._wire.sent)


def _advertisement(
    reader: PktReader, over_http: bool, limits: WireLimits, cancel: Cancel
) -> v2.Server | v0.Server:
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
