"""S3's lists, page by page, with every key as it is.

Client libraries refuse a whole list that holds one key with an empty or dotted segment, or follow a
continuation token in circles. Anybody who may write below the prefix could so take every snapshot away, and
nobody may delete there: so lists are read here.

Source: S3's ListObjectsV2 page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import unquote_plus
from xml.parsers import expat

from snapshotter.store.backend import ListedObject, ListPage, ListRequest
from snapshotter.store.s3_requests import S3Failed, S3Requests
from snapshotter.store.sigv4 import Signable, query_string

_LARGEST: Final = 64 * 1024 * 1024  # bytes of a page: 1,000 keys of 1,024 bytes, escaped, take 4 MiB
# What XML cannot hold, but a key can: seen from servers that do not know of `encoding-type`.
_NOT_XML: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|&#(?:x0*1?[0-9a-fA-F]|0*[12]?[0-9]|0*3[01]);")


@dataclass(frozen=True)
class Lister:
    """Lists one bucket. Safe to share between threads. Raises S3Failed."""

    requests: S3Requests
    prefix: str

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
        answer = self.requests.send(Signable("GET", f"{self.requests.url}?{query_string(parameters)}"))
        page = _PageParser().parse(self.requests.whole(answer, _LARGEST))
        entries = [ListedObject(self._relative(key), size) for key, size in page.objects]
        folders = [
            name[len(below) :].removesuffix("/") if name.startswith(below) else "" for name in page.prefixes
        ]
        return ListPage(entries if request.deep else [], folders, page.token)

    def _relative(self, key: str) -> str:
        """A key as the store knows it. One outside of the store, which a server should not list, becomes a key that
        is not plain, and so is passed over."""
        return key[len(self.prefix) :] if key.startswith(self.prefix) else f"/{key}"


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
        """The page that is written in an answer's body. Raises S3Failed if it is none, or not all of one."""
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
            raise _no_list(str(error)) from None
        # A list that goes on and does not say where would be taken for a whole one: snapshots would be missing.
        if not self._is_list or self._goes_on is not bool(self._token):
            raise _no_list("or not as all of one")
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
    raise _no_list("it declares a document type")


def _no_list(why: str) -> S3Failed:
    return S3Failed(None, f"its answer does not read as a list ({why})")
