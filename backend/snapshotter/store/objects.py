"""Objects by one set of rules, wherever they live.

Every write creates (nothing is ever overwritten), is one PUT, and on S3 carries AES256. Every
list has a prefix. Nothing is deleted, and no key is read that was not listed or just written.
"""

from __future__ import annotations

import builtins
import hashlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, TooLarge, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.base.text import printable
from snapshotter.store import errors
from snapshotter.store.backend import (
    Backend,
    ListedObject,
    ListPage,
    ListRequest,
    ObjectAttributes,
    OverLimit,
    Taken,
)

_ATTEMPTS: Final = 6
_ODD: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]|(?:^|/)\\.{0,2}(?:/|$)")
T = TypeVar("T")


def is_plain(key: str) -> bool:
    """Whether an object of a store can have this key: no segment is empty, ``.`` or ``..``, and no character a
    control or half of one."""
    return not _ODD.search(key)


class Place(Struct, frozen=True):
    """Where a store is: its URI as shown to users, and its folder if it is in one."""

    uri: str
    folder: Path | None = None


class _BeingWritten(Exception):
    """The key is taken by an object that is not listed: a write to it, maybe our own first try, is still under way."""


class Store:
    """A store. Safe to share between threads.

    What lies in it under keys that none of ours can have is passed over, and its observer told once. Errors are
    Unavailable or AccessDenied, each with a hint; see docs/operations.md. `pause` waits before another try, by the
    number of the one that failed, and ends with the cancellation; whoever cannot wait may put another in its place.
    """

    def __init__(self, backend: Backend, place: Place, observer: Observer | None = None) -> None:
        self._backend = backend
        self.place = place
        self._observer = observer or Observer()
        self._told = threading.Lock()
        self.pause: Callable[[int, Cancel | None], None] = _pause

    def put_new(
        self,
        key: str,
        data: bytes | memoryview,
        *,
        content_type: str = "application/octet-stream",
        tags: Mapping[str, str] | None = None,
        sha256: str | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        """Create one object, in one request, whole or not at all. `sha256` is the digest of `data`, if it is known.

        If the answer to a first try was lost, the object may be there already: that counts if its bytes are
        these. Raises Unavailable (code `exists`) if the key holds something else.
        """
        attributes = ObjectAttributes(content_type, tags or {}, sha256)

        def create() -> None:
            try:
                self._backend.create(key, data, attributes)
            except Taken:
                if self._holds(key, data):
                    return
                if self._listed(key) is None:
                    raise _BeingWritten from None
                raise errors.key_taken(key) from None

        self._tried(create, "PutObject", key, cancel)

    def get(self, key: str, *, limit: int | None = None, cancel: Cancel | None = None) -> bytes:
        """A whole object that is known to exist. Raises TooLarge beyond `limit` bytes, Missing if it is gone, and
        Damaged if no regular file of the store is in its place. After a cancellation nothing is tried again."""
        try:
            with self._missing_if_denied(key):
                return self._reading(lambda: self._backend.read(key, limit), "GetObject", key, cancel)
        except OverLimit as error:
            raise TooLarge(
                f"{key} has {error.bytes} bytes, more than the {limit} expected",
                hint="it was altered, or is not ours; run `snapshotter verify`",
            ) from None

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end` of an object that is known to exist and to be at least that long.

        Raises as `get` does.
        """
        with self._missing_if_denied(key):
            return self._reading(lambda: self._backend.read_range(key, start, end), "GetObject", key)

    def stream(
        self, key: str, chunk: int = 4 * 1024 * 1024, *, cancel: Cancel | None = None
    ) -> Iterator[memoryview]:
        """An existing object's bytes, about `chunk` at a time. Raises as `get` does, at any of them, and like it tries
        nothing again after a cancellation."""
        with self._missing_if_denied(key):
            pieces = self._reading(lambda: self._backend.pieces(key, chunk), "GetObject", key, cancel)
            while True:
                try:
                    piece = next(pieces)
                except StopIteration:
                    return
                except self._backend.troubles as error:
                    raise self._backend.translate(error, "GetObject", key) from error
                yield piece

    def file(self, key: str) -> Path | None:
        """The file that is an existing object of a store in a folder; None for another store. Raises as `get` does."""
        with self._missing_if_denied(key):
            return self._reading(lambda: self._backend.file(key), "GetObject", key)

    def list(
        self, folder: str, *, after: str = "", ours: Callable[[str], bool] = lambda _: True
    ) -> builtins.list[ListedObject]:
        """Every object below `folder` (without a trailing slash; '' is the root) whose key sorts after
        `after`, in key order. On S3 one request for each 1,000.

        Folders of which `ours` says that nothing in them is wanted may be left out: so one that cannot be read
        costs nothing. Raises Unavailable or AccessDenied.
        """
        pages = self._pages(ListRequest(folder, after, ours=ours))
        entries = [entry for page in pages for entry in page.entries if self._is_plain(entry.key)]
        return sorted(entries, key=lambda entry: entry.key)

    def folders(self, folder: str) -> builtins.list[str]:
        """The names of the folders directly below `folder`, sorted. Raises Unavailable or AccessDenied."""
        pages = self._pages(ListRequest(folder, deep=False))
        return sorted(
            name for page in pages for name in page.folders if self._is_plain(name, f"{folder}/{name}/")
        )

    def pass_over(self, what: str) -> None:
        """Tell the observer, once for this store, that it holds something which is not ours."""
        # One warning for a store, not one for each of a stranger's objects: the lock is never let go.
        if self._told.acquire(blocking=False):
            self._observer.warn(
                f"{self.place.uri} holds what is not snapshotter's, which is passed over: {printable(what)[:200]}"
            )

    def _is_plain(self, key: str, shown: str = "") -> bool:
        """Whether a listed key is one; if not, it is passed over."""
        plain = is_plain(key)
        if not plain and not key.endswith("/"):  # an S3 console's folder is an object with such a key
            self.pass_over(shown or key)
        return plain

    def _pages(self, request: ListRequest) -> Iterator[ListPage]:
        """The parts of a listing. Raises Unavailable for one that goes in circles."""
        tokens: set[str] = set()
        token: str | None = None
        while True:
            page = self._reading(partial(self._backend.page, request, token), "ListBucket", request.folder)
            for what in page.passed_over:
                self.pass_over(what)
            yield page
            token = page.token
            if token is None:
                return
            if token in tokens:
                raise Unavailable(
                    f"the list of {request.folder or self.place.uri} does not end: its continuation token came before",
                    code="store",
                    hint="the endpoint does not keep S3's rules: check AWS_ENDPOINT_URL_S3",
                )
            tokens.add(token)

    @contextmanager
    def _missing_if_denied(self, key: str) -> Iterator[None]:
        """A context for reading an object. Raises Missing where that is denied and no listing shows it: under the
        bucket's rules, a missing key answers 403."""
        try:
            yield
        except AccessDenied as error:
            if self._listed(key) is None:
                raise errors.missing(key, self.place.uri) from error
            raise

    def _listed(self, key: str) -> ListedObject | None:
        folder = key.rpartition("/")[0]
        return next((entry for entry in self.list(folder) if entry.key == key), None)

    def _holds(self, key: str, data: bytes | memoryview) -> bool:
        entry = self._listed(key)
        if entry is None or entry.bytes != len(data):
            return False
        return hashlib.sha256(self.get(key, limit=len(data))).digest() == hashlib.sha256(data).digest()

    def _reading(self, read: Callable[[], T], action: str, key: str, cancel: Cancel | None = None) -> T:
        """What `read` returns. Raises Missing for a key that no object can have, and as `_tried` does."""
        if key and not is_plain(key):
            # A manifest may hold any text: it is nothing to ask a disk or S3 for.
            raise errors.impossible(key)
        return self._tried(read, action, key, cancel)

    def _tried(self, request: Callable[[], T], action: str, key: str, cancel: Cancel | None = None) -> T:
        """What `request` returns, after as many tries as may help. Raises what the last failure means."""
        attempt = 1
        while True:
            try:
                return request()
            except _BeingWritten:
                if attempt == _ATTEMPTS:
                    raise errors.key_taken(key) from None
            except self._backend.troubles as error:
                if attempt == _ATTEMPTS or not self._backend.transient(error, attempt):
                    raise self._backend.translate(error, action, key) from error
            self.pause(attempt, cancel)
            attempt += 1


def _pause(attempt: int, cancel: Cancel | None) -> None:
    seconds = random.uniform(0.2, 0.4) * 2**attempt  # noqa: S311 - jitter, not a secret
    cancel.sleep(seconds) if cancel else time.sleep(seconds)
