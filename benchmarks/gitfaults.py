"""What can go wrong on the way from a git host: faults that `githost.GitHost` can be told to commit."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, pairwise


class Cut(Exception):
    """The reply is to end here by hanging up."""


@dataclass(frozen=True)
class Fault:
    """How to spoil one reply. Offsets are bytes of the reply's body, HTTP framing not counted."""

    cut_at: int | None = None  # hang up after so many bytes
    cut_cleanly: bool = False  # with cut_at: end the HTTP message properly, only git's content is short
    flip_at: int | None = None  # invert the byte at this offset
    stall_at: int | None = None  # send so many bytes, then nothing for stall_seconds, then go on
    stall_seconds: float = 3600.0
    chatter: bool = False  # instead of git's reply, well-formed progress (or refs) packets without end
    status: int | None = None  # instead of git's reply, this status with `headers` and `body`
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def spoil(pieces: Iterator[bytes], fault: Fault, closing: threading.Event) -> Iterator[bytes]:
    """The same bytes with the fault's cut, flip and stall; a stall is over once `closing` is set.

    Raises Cut where the connection is to be closed.
    """
    sent = 0
    for piece in _split(pieces, {fault.cut_at, fault.flip_at, fault.stall_at}):
        if sent == fault.stall_at and closing.wait(fault.stall_seconds):
            raise Cut
        if sent == fault.cut_at:
            break
        yield bytes((piece[0] ^ 0xFF,)) + piece[1:] if sent == fault.flip_at else piece
        sent += len(piece)
    if sent == fault.cut_at and not fault.cut_cleanly:
        raise Cut


def _split(pieces: Iterator[bytes], offsets: set[int | None]) -> Iterator[bytes]:
    """The same bytes in pieces that never straddle one of the offsets."""
    marks = sorted(offset for offset in offsets if offset is not None)
    start = 0
    for piece in pieces:
        edges = [start, *(mark for mark in marks if start < mark < start + len(piece)), start + len(piece)]
        for low, high in pairwise(edges):
            yield piece[low - start : high - start]
        start += len(piece)


def _packet(data: bytes) -> bytes:
    return b"%04x%b" % (len(data) + 4, data)


def chatter(label: str, protocol: str) -> Iterator[bytes]:
    """Packets without end that are well-formed where they stand: refs in a listing, progress in a fetch.

    At most about 50 MB/s, so that a client without limits takes a while to use up a machine's memory.
    """
    is_fetch = label.endswith(("#fetch", "/git-upload-pack"))
    if is_fetch:
        yield _packet(b"packfile\n" if label.endswith("#fetch") else b"NAK\n")
    elif "info/refs" in label:
        version = _packet(b"version 2\n") if "version=2" in protocol else b""
        yield _packet(b"# service=git-upload-pack\n") + b"0000" + version
    for start in count(0, 1000):
        lines = range(start, start + 1000)
        if is_fetch:
            yield b"".join(_packet(b"\x02still counting: %d\n" % i) for i in lines)
        else:
            yield b"".join(_packet(b"%040x refs/heads/endless-%d\n" % (i + 1, i)) for i in lines)
        time.sleep(0.001)
