"""A pack taken off the wire, and the server's messages beside it."""

from __future__ import annotations

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.transport import NoGitAnswer, Sink, WireLimits
from snapshotter.transport.pace import Pace
from snapshotter.transport.pktline import Mark, PktReader
from snapshotter.transport.replies import server_error
from snapshotter.transport.words import Tail


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
                self._take(reader, data)
            return
        while (packet := reader.packet()) is not Mark.FLUSH:
            if isinstance(packet, Mark):
                raise NoGitAnswer(
                    f"the origin stopped sending after {reader.total} bytes, before its pack was complete",
                    code="stream-cut",
                    hint="the origin's server died or a proxy cut the transfer; try again",
                )
            self._sort(reader, packet)

    def _sort(self, reader: PktReader, packet: memoryview) -> None:
        band = packet[0] if len(packet) else 0
        if band == 1 and len(packet) > 1:
            self._chatter = 0
            self._take(reader, packet[1:])
        elif band == 3:
            raise server_error(bytes(packet[1:]))
        else:
            self._take(reader, packet[:0])  # the wait for it counts as a wait for the pack
            self._chatter += len(packet) + 4
            if band == 2:
                self.messages.add(packet[1:])
            if self._chatter > self._limits.chatter_bytes:
                raise Unavailable(
                    f"the origin talks but sends no pack ({self._chatter} bytes of progress)",
                    code="chatter",
                    hint="its server is overloaded or hostile; try again later",
                )

    def _take(self, reader: PktReader, data: memoryview) -> None:
        """Hand on what came of the pack, which may be nothing."""
        self._cancel.check()
        if data:
            reader.pace.flow()
            self._pace.flow()
        self._pace.came(len(data), reader.pace.waited - self._pace.waited)
        if data:
            self._sink(data)
