"""The bytes of a socket, as long as they come in time."""

from __future__ import annotations

import io
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from snapshotter.transport import WireLimits
from snapshotter.transport.gathering import reader_of
from snapshotter.transport.pace import Pace
from snapshotter.transport.replies import over_limit

# Seconds without a word, until a host may be one that has no room for another connection.
_PATIENCE: Final = 1.0


class TimedSource(io.RawIOBase):
    """The bytes of a socket, as long as they come in time and are no more than `most`.

    `crowded` is called each second that the first of them does not come.
    """

    def __init__(self, sock: socket.socket, limits: WireLimits, crowded: Callable[[], None]) -> None:
        self._socket, self._crowded, self._idle_seconds = sock, crowded, limits.idle_seconds
        self._raw = sock.makefile("rb", 0)  # as long as it is open, so is the socket
        self._reader = reader_of(sock, limits.idle_seconds)
        self.pace = Pace(limits)
        self.most: int | None = None
        self._total = 0

    def readable(self) -> bool:
        """See RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See RawIOBase. Raises Unavailable if the bytes come too slowly or are too many, TimeoutError if none come."""
        if not self._total:
            self._await_first()
        began = time.monotonic()
        count = self._reader.read_into(buffer)
        self.pace.came(count, time.monotonic() - began)
        self._total += count
        if self.most is not None and self._total > self.most:
            raise over_limit("an HTTP answer without end", "no git server does; check the URL")
        return count

    def close(self) -> None:
        """See RawIOBase."""
        self._reader.end()
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
