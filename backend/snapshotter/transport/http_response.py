"""An HTTP answer as it comes over its connection: in time, through a large buffer, without an object for each chunk."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable, Sequence
from typing import Any

import urllib3

from snapshotter.transport import WireLimits
from snapshotter.transport.http_body import Body
from snapshotter.transport.timed_source import TimedSource

_BUFFER = 256 * 1024  # bytes
_MAX_HEAD = 4 * _BUFFER  # bytes of status lines and headers, those of interim answers too


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
        self._source = TimedSource(sock, limits, crowded)
        self._source.most = _MAX_HEAD
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

    def close(self) -> None:
        """See HTTPResponse."""
        self._body = (
            None  # which refers to this one: with its buffers, both would stay until the collector comes
        )
        super().close()

    def next_bytes(self, most: int) -> memoryview:
        """The next bytes of a body that is not compressed, and none at its end. Valid until the next call.

        Whoever uses it, or `pieces`, reads by nothing else. Raises as `Body.next` does.
        """
        body = self._plain_body()
        return body.next(most) if body else memoryview(b"")

    def pieces(self) -> Sequence[memoryview]:
        """What has come of such a body, in its pieces, and none at its end: see `Body.pieces`."""
        body = self._plain_body()
        return body.pieces() if body else ()

    def read1(self, n: int = -1) -> bytes:
        """See HTTPResponse."""
        if not self.compressed:
            self._source.pace.begin()
        return super().read1(n)

    def _plain_body(self) -> Body | None:
        """The body, each read of which has the whole time; None of an answer without one."""
        self._source.pace.begin()
        if self._body is None and self.fp is not None:
            self._body = Body(
                self.fp, self._source, length=self.length, chunked=self.chunked, ended=self.close
            )
        return self._body


def plain(response: urllib3.BaseHTTPResponse) -> Response | None:
    """The answer of which a response is made, to read its bytes as they lie in the buffer that received them.

    None for one with a compressed body.
    """
    answer = getattr(response.connection, "answer", None)
    return answer if isinstance(answer, Response) and not answer.compressed else None
