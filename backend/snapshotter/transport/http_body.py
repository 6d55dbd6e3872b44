"""The body of an HTTP answer, out of its framing, as it lies in one large buffer.

The library makes an object and several calls of each HTTP chunk; of a pack, that costs more than to receive it.
Source: RFC 9112.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from http.client import IncompleteRead, LineTooLong
from typing import Final

_BUFFER: Final = 512 * 1024  # bytes
_LINE: Final = 65536  # bytes of a chunk's head or a trailer, and of all of them beside what they frame
_FRAMING: Final = 16  # bytes of heads for each byte of the body, at most: a chunk of one byte takes five
_GLANCE: Final = 64  # bytes: more than a chunk's head has
_SIZE: Final = re.compile(rb"[0-9a-fA-F]{1,15}")
_BETWEEN: Final = re.compile(rb"\r\n([0-9a-fA-F]{1,15})\r\n")  # chunks, as servers write it
_NOTHING: Final = memoryview(b"")


class Body:
    """What comes after an answer's head: chunks, or `length` bytes, or all until the connection ends.

    The head was read through `stream`, which may hold more; the rest is read from `source`. `ended` is called once, as
    soon as the body's end was read.
    """

    def __init__(
        self,
        stream: io.BufferedReader,
        source: io.RawIOBase,
        *,
        length: int | None,
        chunked: bool,
        ended: Callable[[], None],
    ) -> None:
        self._stream: io.BufferedReader | None = stream
        self._source = source
        self._chunked = chunked
        self._left = 0 if chunked else length  # bytes of the chunk, or of the body; None if nobody knows
        self._begun = False  # whether a chunk's line end is due
        self._spare = _LINE  # bytes of heads and trailers that may yet come
        self._ended = ended
        self._over = False
        self._buffer = _NOTHING  # made when it is needed: a short body has come with its head
        self._held = _NOTHING  # what has come and was not taken

    def next(self, most: int = _BUFFER) -> memoryview:
        """The next bytes, at most so many, and none at the end. Valid until the next call.

        Raises IncompleteRead where the connection ends before, LineTooLong, and whatever the source raises.
        """
        if self._over or (self._left == 0 and not self._another_chunk()):
            return self._end()
        if not self._held and not self._fill():
            if self._left is None:
                return self._end()
            raise IncompleteRead(b"", self._left)
        data = self._held[: most if self._left is None else min(most, self._left)]
        self._held = self._held[len(data) :]
        if self._left is not None:
            self._left -= len(data)
        return data

    def pieces(self) -> list[memoryview]:
        """What has come, in the pieces that its chunks make of it; waits for the first. No piece at the end.

        Valid until the next call. Raises as `next` does.
        """
        first = self.next()
        if not first:
            return []
        found, held, at = [first], self._held, 0
        # What is no whole head is left to `next`, which may have to wait for the rest.
        while self._chunked and self._left == 0 and (head := _BETWEEN.match(held, at)):
            if not (size := int(head[1], 16)):
                break
            at = head.end()
            if data := held[at : at + size]:
                found.append(data)
                at += len(data)
            self._left = size - len(data)
        self._held = held[at:]
        return found

    def _end(self) -> memoryview:
        if not self._over:
            self._over = True
            self._ended()
        return _NOTHING

    def _another_chunk(self) -> bool:
        """Whether there is one: then its head was read. Else all that follows the last one was."""
        if not self._chunked:
            return False
        if self._begun:
            self._line()
        self._begun = True
        size = self._line().partition(b";")[0].strip()
        if not _SIZE.fullmatch(size):
            raise IncompleteRead(b"")
        self._left = int(size, 16)
        self._spare += _FRAMING * self._left
        if not self._left:
            while self._line() not in (b"\r\n", b"\n", b""):
                pass
        return bool(self._left)

    def _line(self) -> bytes:
        """The bytes up to a line's end; what there is where the connection ends before."""
        line = b""
        while self._held or self._fill():
            glance = bytes(self._held[:_GLANCE])
            length = glance.find(b"\n") + 1 or len(glance)
            line += glance[:length]
            self._held = self._held[length:]
            if line.endswith(b"\n"):
                break
            if len(line) > _LINE:
                raise LineTooLong("chunk size")
        self._spare -= len(line)
        if self._spare < 0:
            raise LineTooLong("chunks' heads and trailers")
        return line

    def _fill(self) -> bool:
        """Whether more has come."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            self._held = memoryview(stream.read1(_BUFFER))
        else:
            self._buffer = self._buffer or memoryview(bytearray(_BUFFER))
            self._held = self._buffer[: self._source.readinto(self._buffer) or 0]
        return bool(self._held)
