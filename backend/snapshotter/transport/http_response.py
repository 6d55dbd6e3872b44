"""An HTTP answer as it comes over its connection: in time, through a large buffer, without an object for each chunk."""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Any

import urllib3

from snapshotter.transport import WireLimits
from snapshotter.transport.http_body import Body
from snapshotter.transport.pace import Pace
from snapshotter.transport.replies import over_limit

_BUFFER = 256 * 1024  # bytes
_MAX_HEAD = 4 * _BUFFER  # bytes of status lines and headers, those of interim answers too
_PATIENCE = 1.0  # seconds without a word, until a host may be one that has no room for another connection


class _TimedSource(io.RawIOBase):
    """The bytes of a socket, as long as they come in time and are no more than `most`.

    `crowded` is called each second that the first of them does not come.
    """

    def __init__(self, sock: socket.socket, limits: WireLimits, crowded: Callable[[], None]) -> None:
        self._socket, self._crowded, self._idle_seconds = sock, crowded, limits.idle_seconds
        self._raw = sock.makefile("rb", 0)  # as long as it is open, so is the socket
        _wait_in_the_kernel(sock, limits.idle_seconds)
        self.pace = Pace(limits)
        self.most: int | None = _MAX_HEAD
        self._total = 0

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See RawIOBase. Raises Unavailable if the bytes come too slowly or are too many, TimeoutError if none come."""
        if not self._total:
            self._await_first()
        began = time.monotonic()
        try:
            count = self._socket.recv_into(buffer)
        except BlockingIOError:
            raise TimeoutError("timed out") from None
        self.pace.came(count, time.monotonic() - began)
        self._total += count
        if self.most is not None and self._total > self.most:
            raise over_limit("an HTTP answer without end", "no git server does; check the URL")
        return count

    def close(self) -> None:
        """See RawIOBase."""
        self._raw.close()
        super().close()

    def _await_first(self) -> None:
        """Until the first byte is here. A host that serves one connection after another comes to this one when those
        that wait for another request are closed. Raises TimeoutError after the idle timeout."""
        if self._socket.fileno() < 0 or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            return
        poll, end = select.poll(), time.monotonic() + self._idle_seconds
        poll.register(self._socket, select.POLLIN)
        while (left := end - time.monotonic()) > 0:
            if poll.poll(min(left, _PATIENCE) * 1000):
                return
            self._crowded()
        raise TimeoutError("timed out")


def _wait_in_the_kernel(sock: socket.socket, seconds: float) -> None:
    """Have reads of a plain socket end after so many seconds by themselves: Python would ask before each of them."""
    if not isinstance(sock, ssl.SSLSocket):
        sock.settimeout(None)
        whole = int(seconds)
        sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", whole, int((seconds - whole) * 1e6) or 1)
        )


class Response(http.client.HTTPResponse):
    """An answer whose head, and each read of its body, come in time. A compressed body comes in time as a whole: a
    decoder may take any number of reads and give nothing.

    It is read through a large buffer: with the library's 8 KiB, every HTTP chunk of a pack costs two or three system
    calls and as many trips through Python.
    """

    def __init__(
        self, sock: socket.socket, limits: WireLimits, crowded: Callable[[], None], *args: Any, **named: Any
    ) -> None:
        super().__init__(sock, *args, **named)
        self.fp.close()  # the library's own file of the socket, from which nothing was read yet
        self._limits = limits
        self._source = _TimedSource(sock, limits, crowded)
        self.fp = io.BufferedReader(self._source, _BUFFER)

    def _read_status(self) -> tuple[str, int, str]:
        """The status of the answer, after any number of interim ones: the library passes over 100 alone."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 102 <= status < 200:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def begin(self) -> None:
        """See HTTPResponse."""
        super().begin()
        self.compressed = bool(self.getheader("Content-Encoding"))
        self._body: Body | None = None
        # Of a pack the size is bounded elsewhere; a compressed answer is a list, and may be a bomb.
        self._source.most = self._limits.max_refs_bytes if self.compressed else None

    def next_bytes(self, most: int) -> memoryview:
        """The next bytes of a body that is not compressed, and none at its end. Valid until the next call.

        Whoever uses it reads by nothing else. Raises as `Body.next` does.
        """
        if self._body is None:
            if self.fp is None:  # an answer without a body
                return memoryview(b"")
            self._body = Body(
                self.fp, self._source, length=self.length, chunked=self.chunked, ended=self.close
            )
        self._source.pace.begin()
        return self._body.next(most)

    def read1(self, n: int = -1) -> bytes:
        """See HTTPResponse."""
        if not self.compressed:
            self._source.pace.begin()
        return super().read1(n)


def plain_body(response: urllib3.BaseHTTPResponse) -> Callable[[int], memoryview] | None:
    """What gives the next bytes of an answer's body, at most so many, as they lie in the buffer that received them.

    None for a body that is compressed. Whoever uses it reads the answer by nothing else.
    """
    answer = getattr(response.connection, "answer", None)
    return answer.next_bytes if isinstance(answer, Response) and not answer.compressed else None
