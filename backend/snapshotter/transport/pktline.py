"""git's pkt-line framing: reading, without a copy of what comes in large, and writing.

Source: git's gitprotocol-common.
"""

from __future__ import annotations

import re
import time
from binascii import a2b_hex
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import lru_cache

from snapshotter.base.text import decode_name, printable
from snapshotter.transport import NoGitAnswer, WireLimits
from snapshotter.transport.pace import Pace
from snapshotter.transport.words import FIRST, KEPT, lines

MAX_PACKET = 65520
PACK_BAND = 1
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
    """Packets from `pieces`, which returns what has come, nothing at the end, and may use its buffer again.

    `pace` is how they come; `total` the bytes so far.
    """

    def __init__(self, pieces: Callable[[], Sequence[memoryview]], limits: WireLimits) -> None:
        self.pace = Pace(limits)
        self._pieces = pieces
        self._come = deque[memoryview]()
        self._held = memoryview(b"")  # what has come and was not taken
        self._pack_left = 0  # bytes of a packet of the pack that was begun
        self.total = 0

    def packet(self) -> memoryview | Mark:
        """The next packet's data, valid until the next call, or a mark.

        Raises Unavailable if the stream is cut inside a packet or is not pkt-lines at all.
        """
        length = self._head()
        return length if isinstance(length, Mark) else self._whole(length)

    def line(self) -> bytes | Mark:
        """The next packet as bytes without its newline, or a mark."""
        packet = self.packet()
        return packet if isinstance(packet, Mark) else bytes(packet).removesuffix(b"\n")

    def band(self) -> tuple[int, memoryview] | Mark:
        """What comes next on the side-bands and on which, valid until the next call, or a mark.

        Of the pack (1) it is what has come of a packet, for a packet need not be put together; of another band a whole
        packet. A packet without a band is of band 0. Raises as `packet` does.
        """
        if not self._pack_left:
            length = self._head()
            if isinstance(length, Mark):
                return length
            if not length:
                return 0, memoryview(b"")
            band = self._whole(1)[0]
            if band != PACK_BAND or length == 1:
                return band, self._whole(length - 1)
            self._pack_left = length - 1
        if not self._held and not self._more():
            raise _cut(self.total)
        data = self._taken(min(self._pack_left, len(self._held)))
        self._pack_left -= len(data)
        return PACK_BAND, data

    def more_of_pack(self) -> list[memoryview]:
        """What else of the pack came along with what `band` gave last, in its pieces. It may be less than there is.

        Valid, like that, until the next call. Raises nothing.
        """
        found, held, left = list[memoryview](), self._held, self._pack_left
        at, end = 0, len(held)
        while True:
            if at == end:
                if not self._come:
                    break
                held = self._next_piece()
                at, end = 0, len(held)
            elif left:
                stop = min(at + left, end)
                found.append(held[at:stop])
                left -= stop - at
                at = stop
            elif left := _pack_packet(bytes(held[at : at + 5])):
                at += 5
            else:
                break
        self._held, self._pack_left = held[at:], left
        return found

    def raw(self) -> memoryview | None:
        """Whatever bytes come next, outside any framing; None at the end. For packs without side-band.

        Raises as the stream below does.
        """
        if not self._held and not self._more():
            return None
        return self._taken(len(self._held))

    def _head(self) -> int | Mark:
        """How many bytes the next packet has, or the mark that it is."""
        head = bytes(self._joined(4))
        if len(head) < 4:
            if head:
                raise _cut(self.total)
            return Mark.END
        length = self._length(head)
        return _MARKS[length] if length < 4 else length - 4

    def _whole(self, count: int) -> memoryview:
        """The next `count` bytes. Raises Unavailable if the stream ends before."""
        data = self._joined(count)
        if len(data) < count:
            raise _cut(self.total)
        return data

    def _joined(self, count: int) -> memoryview:
        """The next `count` bytes, or fewer if the stream ends before; copied only where they did not come together."""
        if len(self._held) >= count:
            return self._taken(count)
        joined = bytearray()
        while len(joined) < count and (self._held or self._more()):
            joined += self._taken(min(count - len(joined), len(self._held)))
        return memoryview(joined)

    def _taken(self, count: int) -> memoryview:
        """The next `count` of the bytes that have come."""
        data, self._held = self._held[:count], self._held[count:]
        return data

    def _more(self) -> bool:
        """Whether more has come. What was held is taken by now."""
        if not self._come:
            began = time.monotonic()
            pieces = self._pieces()
            self.pace.came(sum(map(len, pieces)), time.monotonic() - began)
            self._come.extend(pieces)
        self._held = self._next_piece() if self._come else memoryview(b"")
        return bool(self._held)

    def _next_piece(self) -> memoryview:
        piece = self._come.popleft()
        self.total += len(piece)
        return piece

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
                details=self._first_words(head),
            )
        return length

    def _first_words(self, head: bytes) -> tuple[str, ...]:
        """What stands in place of the first packet, if it is a text for people and no page: as hosts' shells answer."""
        if self.total > len(head) + len(self._held):
            return ()
        text = (head + bytes(self._held[:KEPT]))[:KEPT]
        if text.lstrip().startswith(b"<") or not _is_text(text):
            return ()
        return tuple(f"remote: {line}" for line in lines(text, cut_after=self.total > KEPT)[:FIRST])


def buffered(read_into: Callable[[memoryview], int]) -> Callable[[], Sequence[memoryview]]:
    """What PktReader reads from, of a function that fills part of a buffer and returns a count, 0 at the end."""
    buffer = memoryview(bytearray(_BUFFER))
    return lambda: (buffer[: read_into(buffer)],)


@lru_cache(64)  # a server's packets have few lengths
def _pack_packet(start: bytes) -> int:
    """How many bytes of the pack a packet has, by its first five bytes; 0 unless it has any, or it is not sure."""
    if len(start) < 5 or start[4] != PACK_BAND:
        return 0
    try:
        length = int.from_bytes(a2b_hex(start[:4]), "big")
    except ValueError:
        return 0
    return length - 5 if 5 < length <= MAX_PACKET else 0


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
