"""A wire that is one long conversation, over any channel; and the channels of a local path and of git://.

That of SSH is in `ssh`.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from snapshotter.base import environment
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.text import printable
from snapshotter.git.origin import Origin
from snapshotter.transport import OriginNotFound, WireLimits
from snapshotter.transport.channels import Channel, ProcessChannel, SocketChannel
from snapshotter.transport.pktline import FLUSH, PktReader, buffered, encode
from snapshotter.transport.upload_pack import Wire
from snapshotter.transport.words import SentCredentials

_INLINE_WRITE = 32 * 1024  # bytes: less than any pipe holds, so writing cannot block on a busy peer


Dialer = Callable[[WireLimits], Channel]
"""Opens channels to one origin."""


class StreamWire:
    """A stateful wire: every request and answer share one channel."""

    stateless = False
    host = None
    sent = (
        SentCredentials()
    )  # the other side gets none that we know: ssh signs in by itself, git:// not at all

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
        # Not abandonable as a whole: an abandoned start leaves a child that outlives us if we end at once.
        self._cancel.check()
        channel = self._dial(self._limits)
        self._channel = channel
        self._scope.callback(channel.end)
        self._scope.enter_context(self._cancel.ending(channel.end))
        self._reader = PktReader(buffered(channel.read_into), self._limits)
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

    def hasty_fork(self, cancel: Cancel) -> None:
        """See Wire. A session is one conversation, which begins with the server's introduction."""

    def fork(self) -> Wire:
        """See Wire."""
        return StreamWire(self._dial, self._limits, self._cancel)

    def asks_as(self, fork: Wire) -> bool:
        """See Wire. A session's view of the refs is its own."""
        return False

    def settle(self) -> None:
        """See Wire: nobody else could use the channel."""

    def close(self) -> None:
        """See Wire."""
        if self._channel is not None:
            self._write(FLUSH)  # a polite end; without it upload-pack complains that the client hung up
        self._scope.close()
        self._channel = self._reader = None

    def _write(self, body: bytes) -> None:
        channel = self._channel
        if channel is not None:
            with suppress(OSError, ValueError):  # a peer that is gone shows as an early end to the reader
                channel.write(body)


# They come after the repository's own. Of what hides refs the last that matches a name counts, whichever of git's two
# variables it is in, and one with a ! shows (git-config, transfer.hideRefs).
_LOCAL_SETTINGS = (
    "uploadpack.allowFilter=true",
    "uploadpack.allowAnySHA1InWant=true",
    "transfer.hideRefs=!refs",
    "transfer.hideRefs=!HEAD",
    "lsrefs.unborn=advertise",
)


class LocalDialer:
    """`git upload-pack` on a path, with filters allowed, no ref hidden, nothing inherited that could redirect git."""

    def __init__(self, origin: Origin) -> None:
        self._path = origin.path

    def __call__(self, limits: WireLimits) -> Channel:
        """Start git. Raises Unavailable if the path is no directory, or git cannot be started."""
        if not Path(self._path).is_dir():
            raise OriginNotFound(
                f"no such folder: {printable(self._path)}",
                hint="for a repository on a host, give its URL with the scheme (https://…) or user@host:path",
            )
        settings = [word for setting in _LOCAL_SETTINGS for word in ("-c", setting)]
        # A grafted history lacks what a restore needs, as a shallow one does.
        grafts = {"GIT_GRAFT_FILE": os.devnull}
        git = {"GIT_PROTOCOL": "version=2", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"} | grafts
        env = environment.for_child(git)
        return ProcessChannel.start(["git", *settings, "upload-pack", self._path], env, limits)


class GitDialer:
    """The unauthenticated ``git://`` protocol."""

    def __init__(self, origin: Origin, cancel: Cancel) -> None:
        self._origin = origin
        self._cancel = cancel

    def __call__(self, limits: WireLimits) -> Channel:
        """Connect and ask for the repository. Raises Unavailable if the host cannot be reached."""
        origin = self._origin
        try:
            connection = self._cancel.abandonable(
                lambda: socket.create_connection((origin.host, origin.port or 9418), limits.connect_seconds),
                lambda late: late.close(),
            )
        except OSError as error:
            raise Unavailable(
                f"could not connect to {origin.netloc}: {error.strerror or error}",
                code="no-connection",
                hint="check the host's name, the port and the network",
            ) from error
        connection.settimeout(limits.idle_seconds)  # for writes; reads are waited for by `poll`
        path = origin.path.encode("utf-8", "surrogateescape")
        connection.sendall(
            encode(b"git-upload-pack %b\0host=%b\0\0version=2\0" % (path, origin.netloc.encode()))
        )
        return SocketChannel(connection, limits)
