"""Requests to one bucket of S3, signed by ourselves, and why one was not carried out.

No redirect is followed: it would take the session token to another host, and where a write is answered 303, that
host would say whether it was done.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote, urlsplit

import urllib3

from snapshotter.aws import connections, error_document
from snapshotter.aws.renewal import SessionKeys
from snapshotter.store.sigv4 import Signable, signed

_CONNECT: Final = 15.0  # seconds
_SILENCE: Final = 60.0  # seconds without a byte
_CONNECTIONS: Final = 256  # that are kept open: more than the store's readers ever use at once
_WORDS: Final = 64 * 1024  # bytes of an answer that says no, or only yes
_TRANSIENT: Final = re.compile(
    r"timed? ?out|connection|broken ?pipe|reset by peer|EOF occurred|Incomplete", re.IGNORECASE
)
_TRANSIENT_CODES: Final = frozenset(
    {
        "SlowDown",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "OperationAborted",
        "ConditionalRequestConflict",
    }
)
# What S3 itself answers by 404: a gateway or proxy, which says it in other words, may find its way again.
_NOT_FOUND_CODES: Final = frozenset({"NoSuchKey", "NoSuchBucket"})
_URL: Final = re.compile(r"https?://\S+")


class S3Failed(Exception):
    """S3 did not do what was asked: the HTTP `status` of its answer and what it said, or None and why there is none."""

    def __init__(self, status: int | None, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words

    @property
    def code(self) -> str | None:
        """S3's word for what is wrong; None where whoever answered did not say it as S3 does."""
        return error_document.read(self.words).code

    @property
    def passes(self) -> bool:
        """Whether trying again may help: trouble on the way or in S3, never a refusal, nor S3's own "not found"."""
        if self.status is None:
            return bool(_TRANSIENT.search(_URL.sub("", self.words)))  # a URL may hold any word
        if self.status == 404:
            return self.code not in _NOT_FOUND_CODES
        return self.status >= 500 or self.status in (408, 409, 429) or self.code in _TRANSIENT_CODES


@dataclass(frozen=True)
class S3Requests:
    """One bucket, at `url`. Safe to share between threads.

    `credentials` gives those in force; each request asks anew. `ca_bundle` is a PEM file of
    CAs that are trusted beside the system's. `pause` waits, in seconds, before a download goes on where it broke.
    """

    url: str
    region: str
    credentials: Callable[[], SessionKeys]
    ca_bundle: str | None = None
    pause: Callable[[float], object] = time.sleep
    _heard: threading.Event = field(default_factory=threading.Event, init=False, compare=False)

    @property
    def is_s3(self) -> bool:
        """Whether S3 is known to be there: it has done what was asked, or said in its own words why not."""
        return self._heard.is_set()

    @property
    def secure(self) -> bool:
        """Whether S3 is asked over HTTPS."""
        return self.url.startswith("https://")

    def of(self, key: str) -> str:
        """The URL of an object."""
        return f"{self.url.rstrip('/')}/{quote(key, safe='/~')}"

    def send(
        self, request: Signable, body: Iterable[memoryview] | None = None, *, expected: int = 200
    ) -> urllib3.BaseHTTPResponse:
        """The answer to a request, of which nothing was read yet. Raises S3Failed unless its status is `expected`.

        With a body, the request has a `content-length`. Whoever does not read the answer to its end closes it.
        """
        keys = self.credentials()
        headers = signed(request, self.region, keys, datetime.now(UTC))
        sent: Any = body  # the library's own types know of no view, which a socket takes as it takes bytes
        target = request.url[request.url.index("/", len("https://")) :]
        with self.answering():
            answer = self._connections.urlopen(
                request.method, target, body=sent, headers=headers, redirect=False, preload_content=False
            )
        if answer.status == expected:
            self._heard.set()
            return answer
        said = self._words(answer).decode("utf-8", "replace")
        # S3 names the bucket's region in a header even where its error document does not.
        region = answer.headers.get("x-amz-bucket-region", "")
        told = f" <Region>{region}</Region>" if region else ""
        if keys.token:
            said = said.replace(keys.token, "***")  # a server may say back what it was sent
        failed = S3Failed(answer.status, f"HTTP {answer.status} {said}{told}")
        if failed.code:
            self._heard.set()
        raise failed

    def whole(self, answer: urllib3.BaseHTTPResponse, most: int = _WORDS) -> bytes:
        """An answer's body. Raises S3Failed for one of more than `most` bytes."""
        body = bytearray()
        with self.answering():
            for piece in answer.stream(64 * 1024, decode_content=False):
                body += piece
                if len(body) > most:
                    break
        answer.close()
        if len(body) > most:
            raise S3Failed(None, "its answer is larger than any can be")
        return bytes(body)

    def _words(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        """What an answer says that is not the one that was hoped for, or as much as comes: its status tells enough."""
        try:
            return self.whole(answer)
        except S3Failed:
            answer.close()
            return b""

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A context for waiting for S3, and for reading what it says. Raises S3Failed where nothing comes."""
        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError) as error:
            split = urlsplit(self.url)
            raise S3Failed(
                None, f"no answer from {split.scheme}://{split.netloc}/ {type(error).__name__}: {error}"
            ) from error

    @cached_property
    def _connections(self) -> urllib3.HTTPConnectionPool:
        # One try: the store tries again, and knows what may help.
        timeout = urllib3.Timeout(connect=_CONNECT, read=_SILENCE)
        pool = connections.pool(self.url, timeout, ca_bundle=self.ca_bundle, at_once=_CONNECTIONS)
        return pool.connection_from_url(self.url)
