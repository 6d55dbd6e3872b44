"""An HTTP answer: a git server's, to be read as pkt-lines, or what somebody says instead."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Final

import urllib3
from urllib3.exceptions import HTTPError

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.git.origin import Origin
from snapshotter.transport import WireLimits
from snapshotter.transport.http_errors import (
    as_library,
    dumb_http,
    network_error,
    status_error,
    wrong_content,
)
from snapshotter.transport.http_response import plain
from snapshotter.transport.pktline import PktReader
from snapshotter.transport.words import FIRST, KEPT, lines, with_details

ADVERTISEMENT: Final = "application/x-git-upload-pack-advertisement"
RESULT: Final = "application/x-git-upload-pack-result"

_HEAD: Final = re.compile(rb"[0-9a-fA-F]{4}")
# A line of info/refs, which a web server without git serves as a file (git's gitrepository-layout).
_DUMB_LINE: Final = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?\t\S+")
_SHOWN: Final = ("text/plain", "application/json", "application/problem+json")
_PATIENCE: Final = 5.0  # seconds for words that only explain
_MOMENT: Final = 0.5  # seconds for words that nobody is shown: more than another connection costs
_MOST: Final = 512 * 1024  # bytes of one piece of a body


class HttpAnswer:
    """One answer to a request of ours. Whoever makes it reads or closes it."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse, origin: Origin, limits: WireLimits, cancel: Cancel
    ) -> None:
        self._response = response
        self._origin = origin
        self._limits = limits
        self._cancel = cancel
        self._plain = plain(response)

    @property
    def content_type(self) -> str:
        """Its content type, in lower case and without parameters; '' if it has none."""
        return self._response.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def refusal(self, *, had_credential: bool) -> SnapshotterError:
        """The error that its status stands for, with what it says in plain text. Closes it."""
        error = status_error(self._response.status, self._origin, had_credential=had_credential)
        return with_details(error, self._messages(self._rest()))

    def advertisement(self) -> PktReader:
        """A reader of it as the answer to the discovery, which git judges by its content type.

        Closes any other, and raises what its body shows it to be.
        """
        if self.content_type == ADVERTISEMENT:
            return self._reader(decode=True)
        body = self._rest()
        text = body.splitlines()
        if all(_DUMB_LINE.fullmatch(line) for line in text[:100]) and (text or self._may_be_file()):
            raise dumb_http(self._origin)
        raise with_details(wrong_content(self.content_type, self._origin), self._messages(body))

    def result(self, *, decode: bool) -> PktReader:
        """A reader of it as the answer to a request, which git judges by its framing.

        Closes one that has another, if its content type is not a git server's either.
        """
        if self.content_type == RESULT:
            return self._reader(decode=decode)
        head = b""
        while len(head) < 4 and (more := self._next(4 - len(head), decode=decode)):
            head += more
        if head and not _HEAD.fullmatch(head):
            body = head + self._rest()
            raise with_details(wrong_content(self.content_type, self._origin), self._messages(body))
        return self._reader(decode=decode, head=head)

    def end(self) -> None:
        """Give the connection back to the pool if the answer is fully read; close any other."""
        ended = False
        # urllib3 raises RuntimeError for a read1 where it decodes: then its end is unknown, and it is closed.
        with suppress(HTTPError, OSError, RuntimeError, SnapshotterError):
            ended = not (self._next(1, decode=False) if self._plain else self._response.read1(1024))
        self._response.release_conn() if ended else self._response.close()

    def skip(self) -> None:
        """Let go of an answer whose body says nothing new: where that is short, its connection is used again."""
        _, ended = self._read_rest(_MOMENT)
        self._response.release_conn() if ended else self._response.close()

    def close(self) -> None:
        """Close its connection: what would follow on it is unknown."""
        self._response.close()

    def _reader(self, *, decode: bool, head: bytes = b"") -> PktReader:
        def pieces() -> Sequence[memoryview]:
            nonlocal head
            if head:
                first, head = head, b""
                return (memoryview(first),)
            with self._explained():
                if self._plain is not None:
                    return self._plain.pieces()
            return (self._next(_MOST, decode=decode),)

        return PktReader(pieces, self._limits)

    def _next(self, most: int, *, decode: bool) -> memoryview:
        """The next bytes of the body, at most so many, and none at its end. Valid until the next call."""
        with self._explained():
            if self._plain is not None:
                return self._plain.next_bytes(most)
            return memoryview(self._response.read1(most, decode_content=decode))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Have what a read raises say what it means."""
        try:
            yield
        except (HTTPError, HTTPException, OSError) as error:
            self._cancel.check()
            raise network_error(as_library(error), self._origin) from error

    def _rest(self) -> bytes:
        """What comes within some seconds and kilobytes. Closes the answer."""
        body, _ = self._read_rest(_PATIENCE)
        self._response.close()
        self._cancel.check()
        return body

    def _read_rest(self, seconds: float) -> tuple[bytes, bool]:
        """What comes within so many seconds and some kilobytes, and whether that is all."""
        body, ended = b"", False
        end = threading.Timer(min(seconds, self._limits.idle_seconds), shut, [self._response])
        end.start()
        # Whatever ends it: what came before is shown all the same.
        with suppress(HTTPError, OSError, RuntimeError, SnapshotterError):
            while len(body) <= KEPT and (data := self._next(KEPT, decode=True)):
                body += data
            ended = len(body) <= KEPT
        end.cancel()
        return body, ended

    def _messages(self, body: bytes) -> list[str]:
        """The lines of a body that is meant for people and is no page."""
        if self.content_type not in _SHOWN or body.lstrip().startswith(b"<"):
            return []
        return [f"remote: {line}" for line in lines(body[:KEPT], cut_after=len(body) > KEPT)[:FIRST]]

    def _may_be_file(self) -> bool:
        """Whether an empty body may be the list of a repository without refs."""
        return self.content_type in ("text/plain", "application/octet-stream")


def shut(response: urllib3.BaseHTTPResponse) -> None:
    """End whatever reads the answer, from any thread."""
    with suppress(Exception):  # whatever state the connection is in, it is to end
        response.shutdown()
