"""Channels that are one long conversation: a child process, and a socket."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
from contextlib import ExitStack, suppress
from typing import Protocol

from snapshotter.base import children
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.transport import NoGitAnswer, OriginFailed, Stalled, WireLimits
from snapshotter.transport.child_errors import child_error
from snapshotter.transport.replies import explained
from snapshotter.transport.words import Tail


class Channel(Protocol):
    """A connected pair of streams."""

    def read_into(self, view: memoryview) -> int:
        """Bytes read into `view`, 0 at the end. Raises Stalled after `idle_seconds` of silence."""
        ...

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises OSError if the other side is gone."""
        ...

    def end(self) -> None:
        """Close both ways. Safe to call twice, from any thread."""
        ...

    def explain(self, error: SnapshotterError) -> SnapshotterError:
        """The error, with what the channel knows besides."""
        ...


class ProcessChannel:
    """A child's stdin and stdout. The end of its stderr is kept for the error message.

    What `needs` holds is let go when the child has said its first word or is ended: until then it may read its key.
    """

    def __init__(self, child: subprocess.Popen[bytes], limits: WireLimits, needs: ExitStack) -> None:
        assert child.stdout and child.stdin and child.stderr  # noqa: S101 - `start` makes all three pipes
        self._child = child
        self._out, self._in, self._err = child.stdout, child.stdin, child.stderr
        self._limits = limits
        self._needs: ExitStack | None = needs
        self._lock = threading.Lock()
        self._stderr = Tail()
        self._listener = threading.Thread(target=self._listen, daemon=True)

    @classmethod
    def start(
        cls, argv: list[str], env: dict[str, str], limits: WireLimits, needs: ExitStack | None = None
    ) -> ProcessChannel:
        """Start a child and listen to it. Raises Unavailable (code `no-program`) if it cannot be started."""
        needs = needs or ExitStack()
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                bufsize=0,
                start_new_session=True,  # a terminal's Ctrl-C reaches us alone, and we end the child in order
            )
        except OSError as error:
            needs.close()
            raise Unavailable(
                f"could not start {argv[0]}: {error.strerror}", code="no-program", hint=f"install {argv[0]}"
            ) from error
        channel = cls(child, limits, needs)
        channel._listener.start()
        return channel

    def read_into(self, view: memoryview) -> int:
        """Bytes read into `view`, 0 at the end. Raises Stalled after `idle_seconds` of silence."""
        fd = self._out.fileno()
        _await(fd, self._limits.idle_seconds)
        count = os.readv(fd, [view])
        if self._needs is not None:
            self._let_go()
        return count

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises OSError if the other side is gone."""
        view = memoryview(data)
        while view:
            view = view[self._in.write(view) :]

    def end(self) -> None:
        """Close the child's input, give it a moment, then kill it with all that it started. Safe to call twice, from
        any thread."""
        with suppress(OSError):
            self._in.close()
        if not children.has_ended(self._child):
            with suppress(subprocess.TimeoutExpired):  # git ends by itself when its input does
                self._child.wait(0.2)
        children.end_group(self._child)
        self._child.wait()
        self._let_go()

    def explain(self, error: SnapshotterError) -> SnapshotterError:
        """The error that the child's own words make of it, or the error with those words."""
        if isinstance(error, Stalled):  # it has not ended: what it has said so far may be why
            return explained(error, self._stderr.lines)
        if not isinstance(error, (NoGitAnswer, OriginFailed)):
            return error
        # A child that failed writes its reason as it ends, which may be just after its answer broke off.
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(0.5)
        self._listener.join(0.5)
        stderr = self._stderr.lines
        return (isinstance(error, NoGitAnswer) and child_error(stderr)) or explained(error, stderr)

    def _let_go(self) -> None:
        with self._lock:  # a cancellation ends the child from its own thread
            needs, self._needs = self._needs, None
            if needs is not None:
                needs.close()

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            while data := self._err.read(4096):
                self._stderr.add(data)


class SocketChannel:
    """A TCP connection."""

    def __init__(self, connection: socket.socket, limits: WireLimits) -> None:
        self._socket = connection
        self._limits = limits

    def read_into(self, view: memoryview) -> int:
        """Bytes read into `view`, 0 at the end. Raises Stalled after `idle_seconds` of silence."""
        _await(self._socket.fileno(), self._limits.idle_seconds)
        try:
            return self._socket.recv_into(view)
        except OSError:
            return 0  # a reset is an early end; the reader says where

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises OSError if the other side is gone."""
        self._socket.sendall(data)

    def end(self) -> None:
        """Close both ways. Safe to call twice, from any thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def explain(self, error: SnapshotterError) -> SnapshotterError:
        """Nothing more is known."""
        return error


def _await(fd: int, seconds: float) -> None:
    if fd < 0:  # a cancellation closed it: the read that follows says so
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(seconds * 1000):
        raise Stalled(
            f"the origin sent nothing for {seconds:.0f} s",
            hint="try again; for a slow server raise --idle-timeout",
        )
