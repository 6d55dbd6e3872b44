"""Wires that are one long conversation: a child process (SSH, a local path) and a socket (git://)."""

from __future__ import annotations

import os
import select
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

from snapshotter.cancel import Cancel
from snapshotter.errors import AccessDenied, SnapshotterError, Unavailable, UsageError
from snapshotter.origin import Origin, redact
from snapshotter.text import decode_name, printable
from snapshotter.transport import WireLimits
from snapshotter.transport.pktline import FLUSH, PktReader, encode
from snapshotter.transport.upload_pack import Wire

_INLINE_WRITE = 32 * 1024  # bytes: less than any pipe holds, so writing cannot block on a busy peer
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


Dialer = Callable[[WireLimits], Channel]
"""Opens channels to one origin."""


class StreamWire:
    """A stateful wire: every request and answer share one channel."""

    stateless = False

    def __init__(self, dial: Dialer, limits: WireLimits, cancel: Cancel) -> None:
        self._dial = dial
        self._limits = limits
        self._cancel = cancel
        self._channel: Channel | None = None
        self._reader: PktReader | None = None
        self._scope = ExitStack()

    def open(self) -> PktReader:
        """See Wire."""
        self.close()
        channel = self._cancel.leaving(lambda: self._dial(self._limits), lambda late: late.end())
        self._channel = channel
        self._scope.callback(channel.end)
        self._scope.enter_context(self._cancel.ending(channel.end))
        self._reader = PktReader(channel.read_into)
        return self._reader

    def send(self, body: bytes, *, bulk: bool) -> PktReader:
        """See Wire. A large body is written from a thread: the peer may answer before it has read all."""
        assert self._channel is not None and self._reader is not None  # noqa: S101 - open() came first, by Wire's contract
        if len(body) <= _INLINE_WRITE:
            self._write(body)
        else:
            threading.Thread(target=self._write, args=(body,), daemon=True).start()
        return self._reader

    def explain(self, error: SnapshotterError) -> SnapshotterError:
        """See Wire."""
        return self._channel.explain(error) if self._channel else error

    def fork(self) -> Wire:
        """See Wire."""
        return StreamWire(self._dial, self._limits, self._cancel)

    def close(self) -> None:
        """See Wire."""
        if self._channel is not None:
            self._write(FLUSH)  # a polite end; without it upload-pack complains of a hang-up
        self._scope.close()
        self._channel = self._reader = None

    def _write(self, body: bytes) -> None:
        channel = self._channel
        if channel is not None:
            with suppress(OSError, ValueError):  # a peer that is gone shows as an early end to the reader
                channel.write(body)


class ProcessChannel:
    """A child's stdin and stdout. Its stderr is kept, bounded, for the error message."""

    def __init__(self, argv: list[str], env: dict[str, str], limits: WireLimits) -> None:
        try:
            self._child = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, bufsize=0,
                start_new_session=True,
            )  # fmt: skip
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
        if error.code not in ("not-git", "stream-cut", "unavailable"):
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


class LocalDialer:
    """`git upload-pack` on a path, with filters allowed and nothing inherited that could redirect git."""

    def __init__(self, origin: Origin) -> None:
        self._path = origin.path

    def __call__(self, limits: WireLimits) -> Channel:
        """Start it. Raises Unavailable if the path is no directory."""
        if not Path(self._path).is_dir():
            raise Unavailable(
                f"no such folder: {printable(self._path)}",
                code="origin-not-found",
                hint="for a repository on a host, give its URL with the scheme (https://…) or user@host:path",
            )
        allow = ["-c", "uploadpack.allowFilter=true", "-c", "uploadpack.allowAnySHA1InWant=true"]
        env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        env |= {"GIT_PROTOCOL": "version=2", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
        return ProcessChannel(["git", *allow, "upload-pack", self._path], env, limits)


class SshDialer:
    """`git-upload-pack` on a host, by the user's ssh client. Never asks a question."""

    def __init__(self, origin: Origin, command: str) -> None:
        self._origin = origin
        try:
            self._command = shlex.split(command)
        except ValueError:
            self._command = []
        if not self._command:
            raise UsageError(
                "SNAPSHOTTER_SSH_COMMAND is no command: check its quotes", hint="write it as for a shell"
            )

    def __call__(self, limits: WireLimits) -> Channel:
        """Start the client."""
        origin = self._origin
        options = ["-o", "BatchMode=yes", "-o", "SendEnv=GIT_PROTOCOL"]
        options += ["-o", f"ConnectTimeout={max(1, int(limits.connect_seconds))}"]
        options += ["-p", str(origin.port)] if origin.port else []
        destination = f"{origin.user}@{origin.host}" if origin.user else origin.host
        path = origin.path.removeprefix("/") if origin.path.startswith("/~") else origin.path
        remote = f"git-upload-pack {quote_remote(path)}"
        env = dict(os.environ) | {"GIT_PROTOCOL": "version=2"}
        return ProcessChannel([*self._command, *options, "--", destination, remote], env, limits)


class GitDialer:
    """The unauthenticated ``git://`` protocol."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def __call__(self, limits: WireLimits) -> Channel:
        """Connect and ask for the repository."""
        origin = self._origin
        try:
            connection = socket.create_connection((origin.host, origin.port or 9418), limits.connect_seconds)
        except OSError as error:
            raise Unavailable(
                f"could not connect to {origin.netloc}: {error.strerror or error}",
                code="no-connection",
                hint="check the host's name, the port and the network",
            ) from error
        connection.settimeout(limits.idle_seconds)
        path = origin.path.encode("utf-8", "surrogateescape")
        connection.sendall(
            encode(b"git-upload-pack %b\0host=%b\0\0version=2\0" % (path, origin.netloc.encode()))
        )
        return SocketChannel(connection, limits)


def quote_remote(path: str) -> str:
    """A path for the remote shell, always in single quotes, as git itself sends it: hosts whose
    "shell" is a git server parse exactly that form. git expands a leading ``~`` by itself."""
    return "'" + path.replace("'", "'\\''").replace("!", "'\\!'") + "'"


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
            "the origin refused this user", details=details, code="origin-denied",
            hint="check the SSH key (ssh-add -l) and that it may read the repository",
        )  # fmt: skip
    if "dubious ownership" in lowered:
        return Unavailable(
            "git refuses a repository that another user owns", details=details, code="dubious-ownership",
            hint="if you trust it: git config --global --add safe.directory PATH",
        )  # fmt: skip
    if "host key verification failed" in lowered:
        return Unavailable(
            "the host's SSH key is not known", details=details, code="host-key",
            hint="add it to known_hosts after checking it (ssh-keyscan, then compare the fingerprint)",
        )  # fmt: skip
    if (
        "not a git repository" in lowered
        or "does not appear to be a git" in lowered
        or "not found" in lowered
    ):
        return Unavailable(
            "the origin is not a git repository", details=details, code="origin-not-found",
            hint="check the path; `git ls-remote` on the same origin shows what git finds there",
        )  # fmt: skip
    return type(error)(error.message, details=details, code=error.code, hint=error.hint)
