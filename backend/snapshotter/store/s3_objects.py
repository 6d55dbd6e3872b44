"""Objects of a bucket, read and created. A download goes on where its connection broke.

Source: S3's GetObject and PutObject pages (create-only by `If-None-Match`, AES256 by header, checksums).
"""

from __future__ import annotations

import base64
import hashlib
import io
import random
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlencode

import urllib3

from snapshotter.store.backend import ObjectAttributes, OverLimit, Taken
from snapshotter.store.s3_requests import S3Failed, S3Requests
from snapshotter.store.sigv4 import Signable

_BREAKS: Final = 4  # after which one download is given up
_PIECE: Final = 256 * 1024  # bytes
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


def create(s3: S3Requests, key: str, data: bytes | memoryview, attributes: ObjectAttributes) -> None:
    """Create an object in one PUT, encrypted by AES256. Raises Taken if there is one, and S3Failed."""
    view = memoryview(data).cast("B")
    digest = attributes.sha256 or hashlib.sha256(view).hexdigest()
    headers = {
        "content-length": str(len(view)),
        "content-type": attributes.content_type,
        "if-none-match": "*",
        # S3 takes no write without a checksum where a bucket locks by default, and compares it everywhere:
        # docs/decisions/0012-a-checksum-with-every-write.md.
        "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(digest)).decode(),
        "x-amz-server-side-encryption": "AES256",
    }
    if attributes.tags:
        headers["x-amz-tagging"] = urlencode(attributes.tags)
    pieces = (view[at : at + _PIECE] for at in range(0, len(view), _PIECE))
    try:
        s3.whole(s3.send(Signable("PUT", s3.of(key), headers, digest), pieces))
    except S3Failed as error:
        if error.status == 412:
            raise Taken from None
        raise


def read(s3: S3Requests, key: str, limit: int | None) -> bytes:
    """An object's bytes. Raises OverLimit, with nothing read, beyond `limit`, and S3Failed."""
    object_ = ObjectDownload(s3, key)
    object_.open()
    if limit is not None and object_.bytes > limit:
        object_.close()
        raise OverLimit(object_.bytes)
    data = io.BytesIO()
    for piece in object_.pieces(_PIECE):
        data.write(piece)
    return data.getvalue()


def read_range(s3: S3Requests, key: str, start: int, end: int) -> bytes:
    """The bytes from `start` up to `end`. Raises S3Failed."""
    answer = _ranged(s3, key, f"bytes={start}-{end - 1}", start, {})
    return s3.whole(answer, end - start)


class ObjectDownload:
    """One object on its way. `bytes` is its size, once it is open."""

    def __init__(self, s3: S3Requests, key: str) -> None:
        self._s3, self._key = s3, key
        self._answer: urllib3.BaseHTTPResponse | None = None
        self._same: dict[str, str] = {}
        self.bytes = 0

    def open(self) -> None:
        """Ask for it. Raises S3Failed."""
        answer = self._s3.send(Signable("GET", self._s3.of(self._key)))
        size = answer.headers.get("content-length", "")
        if not (size.isascii() and size.isdigit()):
            answer.close()
            raise S3Failed(None, "its answer does not say how large the object is")
        if etag := answer.headers.get("etag"):
            self._same = {"if-match": etag}
        self._answer, self.bytes = answer, int(size)

    def close(self) -> None:
        """Read no more of it."""
        if self._answer is not None:
            self._answer.close()

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Its bytes, `size` at a time. Raises S3Failed."""
        came, breaks, done = 0, 0, False
        try:
            while not done:
                try:
                    for piece in self._rest(size, came):
                        came += len(piece)
                        yield memoryview(piece)
                    done = True
                except S3Failed as error:
                    breaks += 1
                    if breaks > _BREAKS or not error.passes:
                        raise
                    self.close()
                    self._answer = None
                    self._s3.pause(random.uniform(0.1, 0.2) * 2**breaks)  # noqa: S311 - jitter, not a secret
        finally:
            self.close()

    def _rest(self, size: int, start: int) -> Iterator[bytes]:
        """Its bytes from `start` on, as far as one answer goes. Raises S3Failed unless they are as many as was said."""
        if self._answer is None:
            self._answer = _ranged(self._s3, self._key, f"bytes={start}-", start, self._same)
        came = start
        with self._s3.answering():
            for piece in self._answer.stream(size, decode_content=False):
                came += len(piece)
                if came > self.bytes:  # nothing else ends an answer in chunks
                    raise S3Failed(None, "its answer is larger than it says that the object is")
                yield piece
        if came < self.bytes:
            raise S3Failed(None, f"the connection ended after {came} of {self.bytes} bytes")


def _ranged(
    s3: S3Requests, key: str, asked: str, start: int, same: Mapping[str, str]
) -> urllib3.BaseHTTPResponse:
    """The answer to a GET of a part that begins at `start`. Raises S3Failed for one that holds another."""
    answer = s3.send(Signable("GET", s3.of(key), {"range": asked, **same}), expected=206)
    told = _RANGE.fullmatch(answer.headers.get("content-range", ""))
    if told is None or int(told[1]) != start:
        answer.close()
        raise S3Failed(None, "its answer is another part than the one that was asked for")
    return answer
