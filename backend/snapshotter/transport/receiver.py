"""A pack taken off the wire, and the server's messages beside it."""

from __future__ import annotations

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.transport import NoGitAnswer, Sink, WireLimits
from snapshotter.transport.pace import Pace
from snapshotter.transport.pktline import PACK_BAND, Mark, PktReader
from snapshotter.transport.replies import server_error
from snapshotter.transport.words import Tail

_MESSAGE_BAND, _ERROR_BAND = 2, 3


class PackReceiver:
    """Takes one pack, with or without side-bands, within the limits. `messages` came on side-band 2."""

    def __init__(self, limits: WireLimits, cancel: Cancel, sink: Sink) -> None:
        self.messages = Tail()
        self._limits = limits
        self._cancel = cancel
        self._sink = sink
        self._chatter = 0
        self._pace = Pace(
            limits
        )  # of the pack alone: by the reader's, chatter would pass for a pack that comes

    def receive(self, reader: PktReader, *, side_band: bool) -> None:
        """Read to the pack's end. Raises Unavailable on an error from the server, or past a limit."""
        if not side_band:
            while (data := reader.raw()) is not None:
                self._take(reader, [data])
            return
        while (part := reader.band()) is not Mark.FLUSH:
            if isinstance(part, Mark):
                raise NoGitAnswer(
                    f"the origin stopped sending after {reader.total} bytes, before its pack was complete",
                    code="stream-cut",
                    hint="the origin's server died or a proxy cut the transfer; try again",
                )
            band, data = part
            if band == PACK_BAND and data:
                self._chatter = 0
                self._take(reader, [data, *reader.more_of_pack()])
            else:
                self._hear(reader, band, data)

    def _hear(self, reader: PktReader, band: int, data: memoryview) -> None:
        """Take a packet that is not of the pack."""
        if band == _ERROR_BAND:
            raise server_error(bytes(data))
        self._take(reader, [])  # the wait for it counts as a wait for the pack
        self._chatter += len(data) + 5  # with its head
        if band == _MESSAGE_BAND:
            self.messages.add(data)
        if self._chatter > self._limits.chatter_bytes:
            raise Unavailable(
                f"the origin talks but sends no pack ({self._chatter} bytes of progress)",
                code="chatter",
                hint="its server is overloaded or hostile; try again later",
            )

    def _take(self, reader: PktReader, pieces: list[memoryview]) -> None:
        """Hand on what came of the pack, which may be nothing."""
        self._cancel.check()
        if pieces:
            reader.pace.flow()
            self._pace.flow()
        self._pace.came(sum(map(len, pieces)), reader.pace.waited - self._pace.waited)
        for data in pieces:
            self._sink(data)
