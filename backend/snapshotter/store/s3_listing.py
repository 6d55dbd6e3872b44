"""S3's lists, page by page, with every key as it is.

The client library refuses a whole list that holds one key with an empty or dotted segment, and follows a
continuation token in circles. Anybody who may write below the prefix could so take every snapshot away, and
nobody may delete there: so lists are read here.

Source: S3's ListObjectsV2 page.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus, urlsplit
from xml.parsers import expat

import urllib3

from snapshotter.aws import connections
from snapshotter.store.backend import READS_AT_ONCE, ListedObject, ListPage, ListRequest
from snapshotter.store.sigv4 import query_string, signed_get

_CONNECT: Final = 15.0  # seconds
_SILENCE: Final = 60.0  # seconds without a byte
_WHOLE: Final = 600.0  # seconds for one page, however it drips
_LARGEST: Final = 64 * 1024 * 1024  # bytes of a page: 1,000 keys of 1,024 bytes, escaped, take 4 MiB
# What XML cannot hold, but a key can: seen from servers that do not know of `encoding-type`.
_NOT_XML: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:x0*1?[0-9a-fA-F]|0*[12]?[0-9]|0*3[01]);")


class ListFailed(Exception):
    """S3 gave no list. The text holds the status and body of its answer, or why there is none."""


@dataclass(frozen=True)
class Lister:
    """Lists one bucket at `url`. Safe to share between threads. Raises ListFailed."""

    url: str
    prefix: str
    region: str
    credentials: Callable[[], Mapping[str, Any]]
    ca_bundle: str | None = None

    def page(self, request: ListRequest, token: str | None) -> ListPage:
        """See Backend."""
        below = self.prefix + (f"{request.folder}/" if request.folder else "")
        parameters = {"list-type": "2", "encoding-type": "url", "prefix": below}
        if not request.deep:
            parameters["delimiter"] = "/"
        if token:
            parameters["continuation-token"] = token
        elif request.after:
            parameters["start-after"] = self.prefix + request.after
        page = _PageParser().parse(self._get(f"{self.url}?{query_string(parameters)}"))
        entries = [ListedObject(self._relative(key), size) for key, size in page.objects]
        folders = [
            name[len(below) :].removesuffix("/") if name.startswith(below) else "" for name in page.prefixes
        ]
        return ListPage(entries if request.deep else [], folders, page.token)

    def _relative(self, key: str) -> str:
        """A key as the store knows it. One outside of the store, which a server should not list, becomes a key that
        is not plain, and so is passed over."""
        return key[len(self.prefix) :] if key.startswith(self.prefix) else f"/{key}"

    def _get(self, url: str) -> bytes:
        headers = signed_get(url, self.region, self.credentials(), datetime.now(UTC))
        try:
            answer = self._connections.request(
                "GET", url, headers=headers, redirect=False, preload_content=False
            )
            body = _body(answer)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            host = urlsplit(url).netloc
            raise ListFailed(
                f"no answer from {urlsplit(url).scheme}://{host}/ {type(error).__name__}: {error}"
            ) from error
        if answer.status != 200:
            # S3 names the bucket's region in a header even where its error document does not.
            region = answer.headers.get("x-amz-bucket-region", "")
            told = f" <Region>{region}</Region>" if region else ""
            raise ListFailed(f"status code: {answer.status} {body[:2000].decode('utf-8', 'replace')}{told}")
        return body

    @cached_property
    def _connections(self) -> urllib3.PoolManager:
        timeout = urllib3.Timeout(
            connect=_CONNECT, read=_SILENCE
        )  # the store tries again, and knows what may help
        return connections.pool(self.url, timeout, ca_bundle=self.ca_bundle, at_once=READS_AT_ONCE)


def _body(answer: urllib3.BaseHTTPResponse) -> bytes:
    """A page's bytes. Raises ListFailed for one that does not end."""
    started, body = time.monotonic(), bytearray()
    for piece in answer.stream(64 * 1024):
        body += piece
        if len(body) > _LARGEST:
            raise ListFailed("its page of a list is larger than any can be")
        if time.monotonic() - started > _WHOLE:
            raise ListFailed("timed out: its page of a list does not end")
    answer.release_conn()
    return bytes(body)


class _ParsedPage(NamedTuple):
    """One page as S3 wrote it: objects with their sizes, common prefixes, and the token of the next page, if any."""

    objects: list[tuple[str, int]]
    prefixes: list[str]
    token: str | None


class _PageParser:
    """Parses one page."""

    def __init__(self) -> None:
        self._objects: list[tuple[str, int]] = []
        self._prefixes: list[str] = []
        self._token: str | None = None
        self._encoded = self._is_list = self._goes_on = False
        self._path: list[str] = []
        self._text: list[str] = []
        self._key, self._size = "", 0

    def parse(self, body: bytes) -> _ParsedPage:
        """The page that is written in an answer's body. Raises ListFailed if it is none, or not all of one."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = _refuse  # its entities could grow without end
        try:
            # By another control character, which XML can hold: the key stays one that is passed over.
            parser.Parse(_NOT_XML.sub(b"\x7f", body), True)
        except expat.ExpatError as error:
            raise ListFailed(f"its answer does not read as a list ({error})") from None
        # A list that goes on and does not say where would be taken for a whole one: snapshots would be missing.
        if not self._is_list or self._goes_on is not bool(self._token):
            raise ListFailed("its answer does not read as a list, or as all of one")
        decode = unquote_plus if self._encoded else str
        objects = [(decode(key), size) for key, size in self._objects]
        return _ParsedPage(objects, [decode(prefix) for prefix in self._prefixes], self._token or None)

    def _start(self, name: str, _: object) -> None:
        self._path.append(name.rpartition(":")[2])
        self._text.clear()

    def _end(self, _: str) -> None:
        name, inside = self._path.pop(), self._path[-1] if self._path else ""
        text = "".join(self._text)
        self._text.clear()
        match inside, name:
            case "Contents", "Key":
                self._key = text
            case "Contents", "Size":
                self._size = int(text) if text.isascii() and text.isdigit() else 0
            case "ListBucketResult", "Contents":
                self._objects.append((self._key, self._size))
                self._key, self._size = "", 0
            case "CommonPrefixes", "Prefix":
                self._prefixes.append(text)
            case "ListBucketResult", "NextContinuationToken":
                self._token = text
            case "ListBucketResult", "IsTruncated":
                self._goes_on = text == "true"
            case "", "ListBucketResult":
                self._is_list = True
            case "ListBucketResult", "EncodingType":
                self._encoded = text == "url"


def _refuse(*_: object) -> None:
    raise ListFailed("its answer does not read as a list (it declares a document type)")
