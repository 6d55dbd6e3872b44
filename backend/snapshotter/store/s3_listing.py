"""S3's lists, page by page, with every key as it is.

The client library refuses a whole list that holds one key with an empty or dotted segment, and follows a
continuation token in circles. Anybody who may write below the prefix could so take every snapshot away, and
nobody may delete there: so lists are read here.

Source: S3's ListObjectsV2 page.
"""

from __future__ import annotations

import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import unquote, unquote_plus, urlsplit
from xml.parsers import expat

import urllib3

from snapshotter.base.urls import is_loopback
from snapshotter.store.backend import READS_AT_ONCE, Entry, Page, Question
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

    def page(self, question: Question, token: str) -> Page:
        """See Backend."""
        below = self.prefix + (f"{question.folder}/" if question.folder else "")
        asked = {"list-type": "2", "encoding-type": "url", "prefix": below}
        if not question.deep:
            asked["delimiter"] = "/"
        if token:
            asked["continuation-token"] = token
        elif question.after:
            asked["start-after"] = self.prefix + question.after
        answer = _Answer(self._get(f"{self.url}?{query_string(asked)}"))
        entries = [Entry(self._relative(key), size) for key, size in answer.objects]
        folders = [
            name[len(below) :].removesuffix("/") if name.startswith(below) else "" for name in answer.prefixes
        ]
        return Page(entries if question.deep else [], folders, answer.token)

    def _relative(self, key: str) -> str:
        """A key as the store knows it; one outside of the store, which was not asked for, as a key that none has."""
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
            raise ListFailed(f"status code: {answer.status} {body[:2000].decode('utf-8', 'replace')}")
        return body

    @cached_property
    def _connections(self) -> urllib3.PoolManager:
        """Direct, or through the environment's proxy."""
        split = urlsplit(self.url)
        proxy = urllib.request.getproxies().get(split.scheme, "")
        named: dict[str, Any] = {
            "maxsize": READS_AT_ONCE,
            "retries": False,  # the store tries again, and knows what may help
            "timeout": urllib3.Timeout(connect=_CONNECT, read=_SILENCE),
        }
        if split.scheme == "https":
            context = ssl.create_default_context()
            if self.ca_bundle:
                context.load_verify_locations(self.ca_bundle)
            named["ssl_context"] = context
        if (
            not proxy
            or urllib.request.proxy_bypass(split.hostname or "")
            or is_loopback(split.hostname or "")
        ):
            return urllib3.PoolManager(**named)
        at = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        pair = f"{unquote(at.username)}:{unquote(at.password or '')}" if at.username else None
        return urllib3.ProxyManager(
            f"{at.scheme}://{at.hostname}:{at.port or 3128}",
            proxy_headers=urllib3.make_headers(proxy_basic_auth=pair) if pair else None,
            **named,
        )


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


class _Answer:
    """One page as S3 wrote it: objects with their sizes, common prefixes, and the token of the next page."""

    def __init__(self, body: bytes) -> None:
        self.objects: list[tuple[str, int]] = []
        self.prefixes: list[str] = []
        self.token = ""
        self._encoded = self._is_list = self._goes_on = False
        self._path: list[str] = []
        self._text: list[str] = []
        self._key, self._size = "", 0
        self._raw: list[tuple[str, int]] = []
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = _refuse
        try:
            # By another control character, which XML can hold: the key stays one that is passed over.
            parser.Parse(_NOT_XML.sub(b"\x7f", body), True)
        except expat.ExpatError as error:
            raise ListFailed(f"its answer does not read as a list ({error})") from None
        # A list that goes on and does not say where would be taken for a whole one: snapshots would be missing.
        if not self._is_list or self._goes_on is not bool(self.token):
            raise ListFailed("its answer does not read as a list, or as all of one")
        decode = unquote_plus if self._encoded else str
        self.objects = [(decode(key), size) for key, size in self._raw]
        self.prefixes = [decode(prefix) for prefix in self.prefixes]

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
                self._raw.append((self._key, self._size))
                self._key, self._size = "", 0
            case "CommonPrefixes", "Prefix":
                self.prefixes.append(text)
            case "ListBucketResult", "NextContinuationToken":
                self.token = text
            case "ListBucketResult", "IsTruncated":
                self._goes_on = text == "true"
            case "", "ListBucketResult":
                self._is_list = True
            case "ListBucketResult", "EncodingType":
                self._encoded = text == "url"


def _refuse(*_: object) -> None:
    raise ListFailed("its answer does not read as a list (it declares a document type)")
