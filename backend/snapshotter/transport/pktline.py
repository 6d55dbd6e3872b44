"""git's pkt-line framing: reading from a stream into one reused buffer, and writing.

Source: git's gitprotocol-common.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from enum import Enum

from snapshotter.base.text import decode_name, printable
from snapshotter.transport import NoGitAnswer, WireLimits
from snapshotter.transport.pace import Pace
from snapshotter.transport.words import FIRST, KEPT, lines

MAX_PACKET = 65520
_BUFFER = 4 * 65536


class Mark(Enum):
    """A packet that carries no data."""

    FLUSH = 0
    DELIM = 1
    RESPONSE_END = 2
    END = 3  # the stream ended between two packets


_MARKS = {0: Mark.FLUSH, 1: Mark.DELIM, 2: Mark.RESPONSE_END}

_BINARY = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")  # what no text has; it may have colours

FLUSH = b"0000"
DELIM = b"0001"


class PktReader:
    """Packets from `read_into`, which fills part of a buffer and returns a count, 0 at the end.

    `pace` is how they come; `total` the bytes so far.
    """

    def __init__(self, read_into: Callable[[memoryview], int], limits: WireLimits) -> None:
        self.pace = Pace(limits)
        self._read_into = read_into
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self.total = 0

    def packet(self) -> memoryview | Mark:
        """The next packet's data, valid until the next call, or a mark.

        Raises Unavailable if the stream is cut inside a packet or is not pkt-lines at all.
        """
        if not self._need(4):
            if self._end > self._start:
                raise _cut(self.total)
            return Mark.END
        head = self._view[self._start : self._start + 4]
        length = self._length(bytes(head))
        if length < 4:
            self._start += 4
            return _MARKS[length]
        if not self._need(length):
            raise _cut(self.total)
        data = self._view[self._start + 4 : self._start + length]
        self._start += length
        return data

    def line(self) -> bytes | Mark:
        """The next packet as bytes without its newline, or a mark."""
        packet = self.packet()
        return packet if isinstance(packet, Mark) else bytes(packet).removesuffix(b"\n")

    def raw(self) -> memoryview | None:
        """Whatever bytes come next, outside any framing; None at the end. For packs without side-band.

        Raises as the stream below does.
        """
        if self._start == self._end and not self._need(1):
            return None
        data = self._view[self._start : self._end]
        self._start = self._end
        return data

    def _length(self, head: bytes) -> int:
        try:
            # int() would take "+1ab", "0x1f" and "1_00" too.
            length = int(head, 16) if head.strip(b"0123456789abcdefABCDEF") == b"" else -1
        except ValueError:
            length = -1
        if length < 0 or length == 3 or length > MAX_PACKET:
            raise NoGitAnswer(
                f"the origin's answer is not git's protocol (it has {printable(decode_name(head))!r} for a length)",
                hint="is the URL that of a git repository? Try `git ls-remote` on it; a proxy may answer instead",
                details=self._first_words(),
            )
        return length

    def _first_words(self) -> tuple[str, ...]:
        """What stands in place of the first packet, if it is a text for people and no page: as hosts' shells answer."""
        text = bytes(self._view[: min(self._end, KEPT)])
        if self._start or self.total > self._end or text.lstrip().startswith(b"<") or not _is_text(text):
            return ()
        return tuple(f"remote: {line}" for line in lines(text, cut_after=self._end > KEPT)[:FIRST])

    def _need(self, count: int) -> bool:
        """Whether `count` unread bytes are in the buffer, after reading more; False if the stream ends first."""
        while self._end - self._start < count:
            # Only when a packet may not fit any more: moving what is unread costs a copy.
            if self._start and len(self._buffer) - self._end < MAX_PACKET:
                unread = self._end - self._start
                self._buffer[:unread] = self._buffer[self._start : self._end]
                self._start, self._end = 0, unread
            began = time.monotonic()
            received = self._read_into(self._view[self._end :])
            self.pace.came(received, time.monotonic() - began)
            if not received:
                return False
            self._end += received
            self.total += received
        return True


def _is_text(data: bytes) -> bool:
    """Whether bytes are a text. The last few may be a part of a character, which is not judged."""
    return not _BINARY.search(data) and "\\x" not in decode_name(data[:-4])


def encode(data: bytes) -> bytes:
    """One packet."""
    return b"%04x%b" % (len(data) + 4, data)


def encode_lines(lines: Iterable[bytes]) -> bytes:
    """Packets of text lines, each with its newline."""
    return b"".join(encode(line + b"\n") for line in lines)


def _cut(total: int) -> NoGitAnswer:
    return NoGitAnswer(
        f"the origin's answer was cut off after {total} bytes",
        code="stream-cut",
        hint="the origin or something before it closed the connection; try again",
    )
