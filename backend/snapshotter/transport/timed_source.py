"""The bytes of a socket, as long as they come in time: one at a time, or many at once while many come."""

from __future__ import annotations

import io
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from snapshotter.transport import WireLimits
from snapshotter.transport.pace import Pace
from snapshotter.transport.replies import over_limit

# Seconds without a word, until a host may be one that has no room for another connection.
_PATIENCE: Final = 1.0
_PLENTY: Final = 64 * 1024  # bytes of one read: a pack comes
_GATHERED: Final = 256 * 1024  # bytes that the next read then waits for
_MOMENT: Final = 0.004  # seconds that it waits at most


class TimedSource(io.RawIOBase):
    """The bytes of a socket, as long as they come in time and are no more than `most`.

    `crowded` is called each second that the first of them does not come. While many come, a read waits a moment for
    more: to be woken for each packet costs as much processor time as to copy it. Of TLS, whose records come one by one,
    it does not.
    """

    def __init__(self, sock: socket.socket, limits: WireLimits, crowded: Callable[[], None]) -> None:
        self._socket, self._crowded, self._idle_seconds = sock, crowded, limits.idle_seconds
        self._raw = sock.makefile("rb", 0)  # as long as it is open, so is the socket
        # TLS through a proxy of TLS is no socket at all.
        self._may_gather = isinstance(sock, socket.socket) and not isinstance(sock, ssl.SSLSocket)
        self._gathers = False
        if self._may_gather:
            sock.settimeout(None)  # the kernel ends a read in time; Python would ask it before each of them
            self._wait_at_most(self._idle_seconds)
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
        count = self._received(buffer)
        self.pace.came(count, time.monotonic() - began)
        self._total += count
        if self.most is not None and self._total > self.most:
            raise over_limit("an HTTP answer without end", "no git server does; check the URL")
        return count

    def close(self) -> None:
        """See RawIOBase."""
        with suppress(OSError):  # of a socket that is closed already
            self._gather(on=False)
        self._raw.close()
        super().close()

    def _received(self, buffer: Any) -> int:
        try:
            count = self._socket.recv_into(buffer)
        except BlockingIOError:
            if not self._gathers:
                raise TimeoutError("timed out") from None
            self._gather(on=False)  # nothing came for a moment: from now on, each byte is waited for
            return self._received(buffer)
        if count >= _PLENTY and self._may_gather:
            try:
                self._gather(on=True)
            except OSError:  # not every kernel that passes for Linux can
                self._may_gather = False
        return count

    def _gather(self, *, on: bool) -> None:
        """Have a read end once much is there, or with what there is after a moment; or, as ever, with the first byte.
        Raises OSError where it cannot be had."""
        if on != self._gathers:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _GATHERED if on else 1)
            self._gathers = on
            self._wait_at_most(_MOMENT if on else self._idle_seconds)

    def _wait_at_most(self, seconds: float) -> None:
        """Have a read end by itself after so many seconds."""
        whole = int(seconds)
        moment = struct.pack("ll", whole, int((seconds - whole) * 1e6) or 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, moment)

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
