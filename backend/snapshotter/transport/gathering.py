"""Reads of a socket: as they come, or, while much comes, what comes within a moment in one.

To be woken for each packet costs as much processor time as to copy it, and each record of TLS would be a turn through
all that a read is followed by.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
from contextlib import suppress
from typing import Any, Final

_PLENTY: Final = 64 * 1024  # bytes of one read: a pack comes
_GATHERED: Final = 256 * 1024  # bytes that the next read then waits for
_MOMENT: Final = 0.004  # seconds that it waits at most
_RECORD: Final = 8 * 1024  # bytes of a record of TLS after which there may be more


class GatheringReader:
    """Reads a plain socket, which the kernel makes wait. A silence of `idle_seconds` is a TimeoutError."""

    def __init__(self, sock: socket.socket, idle_seconds: float) -> None:
        self._socket, self._idle_seconds = sock, idle_seconds
        self._found = sock.gettimeout()
        # TLS through a proxy of TLS is no socket at all.
        self._may_gather = isinstance(sock, socket.socket)
        self._gathers = False
        self._prepare()

    def read_into(self, buffer: Any) -> int:
        """How many bytes one read brought into `buffer`; 0 at the end."""
        if self._gathers:
            if count := self._gathered(buffer):
                return count
            self._gather(on=False)  # nothing came for a moment: from now on, each byte is waited for
        count = self._awaited(buffer)
        if count >= _PLENTY and self._may_gather:
            try:
                self._gather(on=True)
            except OSError:  # not every kernel that passes for Linux can
                self._may_gather = False
        return count

    def end(self) -> None:
        """Leave the socket as it was found, if it is still open: behind a proxy's answer, TLS may begin on it."""
        with suppress(OSError):
            self._gather(on=False)
            self._restore()
            self._socket.settimeout(self._found)

    def _gather(self, *, on: bool) -> None:
        """Have reads wait for much or a moment, or, as ever, for one byte. Raises OSError where that cannot be."""
        if on != self._gathers:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _GATHERED if on else 1)
            self._gathers = on
            self._wait_for_a_moment() if on else self._wait_as_ever()

    def _prepare(self) -> None:
        self._socket.settimeout(
            None
        )  # the kernel ends a read in time; Python would ask it before each of them
        self._wait_as_ever()

    def _restore(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))

    def _wait_for_a_moment(self) -> None:
        self._wait_at_most(_MOMENT)

    def _wait_as_ever(self) -> None:
        self._wait_at_most(self._idle_seconds)

    def _wait_at_most(self, seconds: float) -> None:
        whole = int(seconds)
        moment = struct.pack("ll", whole, int((seconds - whole) * 1e6) or 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, moment)

    def _awaited(self, buffer: Any) -> int:
        """The first bytes that come."""
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            raise TimeoutError("timed out") from None

    def _gathered(self, buffer: Any) -> int:
        """What comes within a moment; 0 where nothing does, and at the end."""
        with suppress(BlockingIOError):
            return self._socket.recv_into(buffer)
        return 0


class TlsGatheringReader(GatheringReader):
    """Reads TLS, of which a read brings one record; those that have come are taken together."""

    def _prepare(self) -> None:
        """Nothing: the library waits as the connection's timeout says."""

    def _restore(self) -> None:
        """Nothing: the timeout is all that was changed."""

    def _wait_for_a_moment(self) -> None:
        self._socket.settimeout(0)

    def _wait_as_ever(self) -> None:
        self._socket.settimeout(self._idle_seconds)

    def _awaited(self, buffer: Any) -> int:
        count = self._socket.recv_into(buffer)
        if count >= _RECORD and self._may_gather:
            self._wait_for_a_moment()
            count += self._come(memoryview(buffer)[count:])
            self._wait_as_ever()
        return count

    def _gathered(self, buffer: Any) -> int:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.poll(_MOMENT * 1000)
        return self._come(memoryview(buffer))

    def _come(self, buffer: memoryview) -> int:
        """The records that have come."""
        count = 0
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while count < len(buffer) and (more := self._socket.recv_into(buffer[count:])):
                count += more
        return count


def reader_of(sock: socket.socket, idle_seconds: float) -> GatheringReader:
    """What reads a socket, by its kind."""
    plain = isinstance(sock, socket.socket) and not isinstance(sock, ssl.SSLSocket)
    return (GatheringReader if plain else TlsGatheringReader)(sock, idle_seconds)
