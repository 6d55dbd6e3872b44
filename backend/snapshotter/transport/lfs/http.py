"""LFS objects over HTTP: the Batch API, and basic transfers from where it sends us.

Source: git-lfs's docs/api/batch.md and docs/api/basic-transfers.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import urllib3

from snapshotter.base.text import printable
from snapshotter.git.origin import Credential
from snapshotter.transport import Sink
from snapshotter.transport.lfs import batch
from snapshotter.transport.lfs.batch import Action, Operation, Upload
from snapshotter.transport.lfs.exchange import Exchange
from snapshotter.transport.lfs.server import LfsServer
from snapshotter.transport.lfs.source import Download, LfsPointer, LfsUnavailable, Reason

Told = TypeVar("Told")
_UPLOADS: Final = 4  # at once
_STALE: Final = frozenset({401, 403, 410})  # what stores answer to an action whose time is over
_ANSWERED: Final = frozenset({200, 203})
_MAX_MESSAGE: Final = 64 * 1024  # bytes of a refusal's body


@dataclass
class HttpLfs:
    """The LFS server of one origin. `find` tells which it is, and is asked once; `named` reads the URL of a
    repository's own configuration. Safe to share between threads, once `configured` is over."""

    exchange: Exchange
    find: Callable[[], LfsServer]
    named: Callable[[str], LfsServer | LfsUnavailable]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _server: LfsServer | None = None

    def configured(self, url: str) -> LfsUnavailable | None:
        """See LfsSource."""
        named = self.named(url)
        if isinstance(named, LfsUnavailable):
            return named
        self._server = named
        return None

    def locate(self, pointers: Sequence[LfsPointer]) -> dict[LfsPointer, Download | LfsUnavailable]:
        """See LfsSource."""
        return {
            pointer: told if isinstance(told, LfsUnavailable) else partial(self._download, pointer, told)
            for pointer, told in self._told(pointers).items()
        }

    def upload(self, files: Mapping[LfsPointer, Path]) -> dict[LfsPointer, LfsUnavailable]:
        """See LfsTarget."""
        told = self._asked([*files], "upload", batch.read_uploads)

        def put(pointer: LfsPointer) -> LfsUnavailable | None:
            way = told[pointer]
            try:
                if isinstance(way, LfsUnavailable):
                    raise way
                self._put(pointer, files[pointer], way)
            except LfsUnavailable as error:
                return error
            return None

        with ThreadPoolExecutor(_UPLOADS, thread_name_prefix="lfs-upload") as pool:
            outcomes = zip(files, pool.map(put, files), strict=True)
            return {pointer: error for pointer, error in outcomes if error is not None}

    def _put(self, pointer: LfsPointer, file: Path, way: Upload) -> None:
        """One object, and the word that it is there. Raises LfsUnavailable."""
        if way.put is not None:
            headers = {"Content-Type": "application/octet-stream", **way.put.headers}
            with self.exchange.put(way.put.href, headers, file, signed=way.put.signed) as response:
                self._check(pointer, response)
        if way.verify is not None:
            headers = {"Accept": batch.MEDIA_TYPE, "Content-Type": batch.MEDIA_TYPE, **way.verify.headers}
            body = json.dumps({"oid": pointer.oid, "size": pointer.bytes}).encode()
            with self.exchange.post(way.verify.href, headers, body) as response:
                self._check(pointer, response)

    def _check(self, pointer: LfsPointer, response: urllib3.BaseHTTPResponse) -> None:
        if not 200 <= response.status < 300:
            said = batch.message_of(self._whole(response, _MAX_MESSAGE) or b"")
            raise self._refused(pointer, response.status, said)

    def _told(self, pointers: Sequence[LfsPointer]) -> Mapping[LfsPointer, Action | LfsUnavailable]:
        return self._asked(pointers, "download", batch.read)

    def _asked(
        self,
        pointers: Sequence[LfsPointer],
        operation: Operation,
        read: Callable[[bytes, Sequence[LfsPointer], datetime], Mapping[LfsPointer, Told]],
    ) -> Mapping[LfsPointer, Told]:
        """What the server says of each. A server that takes fewer at a time is asked for halves."""
        server = self._server = self._server or self.find()
        headers = {"Accept": batch.MEDIA_TYPE, "Content-Type": batch.MEDIA_TYPE, **server.headers}
        self._learn(server.headers)
        question = batch.request(pointers, operation)
        with self.exchange.post(f"{server.href}/objects/batch", headers, question) as response:
            if response.status in _ANSWERED:
                body = self._whole(response, batch.MAX_ANSWER)
                if body is None:
                    raise _no_batch("unreadable", "the LFS server's answer has no end")
                told = read(body, pointers, self.clock())
                for each in told.values():
                    for action in (each.put, each.verify) if isinstance(each, Upload) else (each,):
                        self._learn(action.headers if isinstance(action, Action) else {})
                return told
            if response.status != 413 or len(pointers) == 1:
                raise self._refusal(response)
        half = len(pointers) // 2
        parts = pointers[:half], pointers[half:]
        return {
            pointer: told for part in parts for pointer, told in self._asked(part, operation, read).items()
        }

    def _download(self, pointer: LfsPointer, action: Action, sink: Sink) -> None:
        """One object. An action whose time is over is asked for anew, once."""
        for is_last in (False, True):
            if is_last or (action.until and action.until <= self.clock()):
                renewed = self._told([pointer])[pointer]
                if isinstance(renewed, LfsUnavailable):
                    raise renewed
                action = renewed
            with self.exchange.get(action.href, action.headers, signed=action.signed) as response:
                if response.status in _ANSWERED:
                    self._take(pointer, response, sink)
                    return
                if is_last or response.status not in _STALE:
                    said = batch.message_of(self._whole(response, _MAX_MESSAGE) or b"")
                    raise self._refused(pointer, response.status, said)

    def _take(self, pointer: LfsPointer, response: urllib3.BaseHTTPResponse, sink: Sink) -> None:
        """The bytes of an answer into the sink: never more than the pointer says."""
        left = pointer.bytes
        for data in self.exchange.pieces(response):
            if len(data) > left:
                raise batch.refused(pointer, "wrong-size", f"more than its {pointer.bytes} bytes came")
            left -= len(data)
            sink(data)
        if left:
            error = batch.refused(pointer, "unreachable", f"{left} of its {pointer.bytes} bytes did not come")
            error.transient = True
            raise error

    def _refused(self, pointer: LfsPointer, status: int, said: str) -> LfsUnavailable:
        words = self.exchange.sent.hide(said) or f"HTTP {status}"
        return batch.refused(pointer, batch.reason_of(status, said), words, status)

    def _refusal(self, response: urllib3.BaseHTTPResponse) -> LfsUnavailable:
        """The error for a question that is refused as a whole."""
        status, said = response.status, batch.message_of(self._whole(response, _MAX_MESSAGE) or b"")
        reason = batch.reason_of(status, said)
        if status in (404, 405, 410, 501) and reason != "over-quota":
            reason = "no-server"
        words = printable(" ".join(self.exchange.sent.hide(said).split()))[:200]
        return _no_batch(reason, f"the LFS server answered HTTP {status}" + (f": {words}" if words else ""))

    def _whole(self, response: urllib3.BaseHTTPResponse, limit: int) -> bytes | None:
        """A body of at most `limit` bytes. Returns None if it is longer."""
        body = bytearray()
        for data in self.exchange.pieces(response):
            body += data
            if len(body) > limit:
                return None
        return bytes(body)

    def _learn(self, headers: Mapping[str, str]) -> None:
        """Hide what a server has given us to sign in with, wherever it is said back."""
        for name, value in headers.items():
            if name.lower() == "authorization":
                self.exchange.sent.learn(Credential("", value.rpartition(" ")[2]))


_HINTS: Final[dict[Reason, str]] = {
    "over-quota": "the owner of the repository has to buy more LFS bandwidth, or wait for the next month",
    "forbidden": "the token must be allowed to read LFS objects, too",
    "no-server": "its pointers lead nowhere: ask the repository's owner, or leave LFS out with --no-lfs",
}


def _no_batch(reason: Reason, message: str) -> LfsUnavailable:
    hint = _HINTS.get(reason, "the next run asks again")
    return LfsUnavailable(message, reason, hint=hint, of_all=True)
