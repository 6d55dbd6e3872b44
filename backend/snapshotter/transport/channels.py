"""Channels that are one long conversation: a child process, and a socket."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
from contextlib import suppress
from typing import Protocol

from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable
from snapshotter.base.text import decode_name, printable
from snapshotter.base.urls import redact
from snapshotter.transport import NoGitAnswer, WireLimits

_STDERR_KEPT = 4096


class Channel(Protocol):
    """A connected pair of streams."""

    def read_into(self, view: memoryview) -> int:
        """Bytes read into `view`, 0 at the end. Raises Unavailable after `idle_seconds` of silence."""
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
    """A child's stdin and stdout. Its stderr is kept, bounded, for the error message."""

    def __init__(self, argv: list[str], env: dict[str, str], limits: WireLimits) -> None:
        try:
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(
                f"could not start {argv[0]}: {error.strerror}", code="no-program", hint=f"install {argv[0]}"
            ) from error
        assert self._child.stdout and self._child.stdin and self._child.stderr  # noqa: S101 - all three are PIPE
        self._out, self._in, self._err = self._child.stdout, self._child.stdin, self._child.stderr
        self._limits = limits
        self._said = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def read_into(self, view: memoryview) -> int:
        """Bytes read into `view`, 0 at the end. Raises Unavailable after `idle_seconds` of silence."""
        fd = self._out.fileno()
        _await(fd, self._limits.idle_seconds)
        return os.readv(fd, [view])

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises OSError if the other side is gone."""
        view = memoryview(data)
        while view:
            view = view[self._in.write(view) :]

    def end(self) -> None:
        """Close the child's input, give it a moment, then kill it. Safe to call twice, from any thread."""
        with suppress(OSError):
            self._in.close()
        if self._child.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(0.2)
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def explain(self, error: SnapshotterError) -> SnapshotterError:
        """The error that the child's own words make of it."""
        if not isinstance(error, NoGitAnswer):
            return error
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(0.5)
        self._listener.join(0.5)
        said = printable(redact(decode_name(self._said.strip())))[-600:]
        if not said:
            return error
        return _of_child(error, said)

    def _listen(self) -> None:
        with suppress(OSError, ValueError):
            while data := self._err.read(4096):
                self._said = (self._said + data)[-_STDERR_KEPT:]


class SocketChannel:
    """A TCP connection."""

    def __init__(self, connection: socket.socket, limits: WireLimits) -> None:
        self._socket = connection
        self._limits = limits

    def read_into(self, view: memoryview) -> int:
        """Bytes read into `view`, 0 at the end. Raises Unavailable after `idle_seconds` of silence."""
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
    if fd < 0:
        return
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(seconds * 1000):
        raise Unavailable(
            f"the origin sent nothing for {seconds:.0f} s",
            code="stalled",
            hint="try again; for a slow server raise --idle-timeout",
        )


def _of_child(error: SnapshotterError, said: str) -> SnapshotterError:
    lowered = said.lower()
    details = tuple(said.splitlines()[-6:])
    if "permission denied" in lowered or ("could not read from remote" in lowered and "access" in lowered):
        return AccessDenied(
            "the origin refused this user",
            details=details,
            code="origin-denied",
            hint="check the SSH key (ssh-add -l) and that it may read the repository",
        )
    if "dubious ownership" in lowered:
        return Unavailable(
            "git refuses a repository that another user owns",
            details=details,
            code="dubious-ownership",
            hint="if you trust it: git config --global --add safe.directory PATH",
        )
    if "host key verification failed" in lowered:
        return Unavailable(
            "the host's SSH key is not known",
            details=details,
            code="host-key",
            hint="add it to known_hosts after checking it (ssh-keyscan, then compare the fingerprint)",
        )
    if "ssh: connect to host" in lowered or "could not resolve hostname" in lowered:
        return Unavailable(
            "ssh could not connect to the origin's host",
            details=details,
            code="no-connection",
            hint="check the host's name, the port and the network",
        )
    if (
        "not a git repository" in lowered
        or "does not appear to be a git" in lowered
        or "not found" in lowered
    ):
        return Unavailable(
            "the origin is not a git repository",
            details=details,
            code="origin-not-found",
            hint="check the path; `git ls-remote` on the same origin shows what git finds there",
        )
    return type(error)(error.message, details=details, code=error.code, hint=error.hint)
