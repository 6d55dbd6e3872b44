"""Where objects live: a local folder, memory, or S3, by one set of rules.

Every write creates (nothing is ever overwritten), is one PUT, and on S3 carries AES256. Every
list has a prefix. Nothing is deleted, and no key is read that was not listed or just written.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore import exceptions as obs
from obstore.store import LocalStore, MemoryStore, ObjectStore

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, SnapshotterError, TooLarge, Unavailable, UsageError
from snapshotter.store import errors

_ATTEMPTS = 5
_CHUNK = 1000  # entries of a listing taken at once: S3's own page
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One listed object: its key, relative to the store's root, and its size in bytes."""

    key: str
    bytes: int


@dataclass(frozen=True)
class Place:
    """Where a store is: its URI as shown to users, and on S3 its bucket and key prefix."""

    uri: str
    bucket: str = ""
    prefix: str = ""
    folder: Path | None = None


class Store:
    """A store. Safe to share between threads.

    Errors are Unavailable or AccessDenied, each with a hint; see docs/operations.md.
    """

    def __init__(self, backend: ObjectStore, place: Place, *, tagging: bool = False) -> None:
        self._backend = backend
        self.place = place
        self._remote = bool(place.bucket)
        self._tagging = tagging

    def put_new(
        self,
        key: str,
        data: bytes | memoryview,
        *,
        content_type: str = "application/octet-stream",
        tags: Mapping[str, str] | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        """Create one object, in one request, whole or not at all.

        If the answer to a first try was lost, the object may be there already: that counts if its bytes are
        these. Raises Unavailable (code `exists`) if the key holds something else.
        """
        options: dict[str, Any] = {"mode": "create", "use_multipart": False}
        if self._remote:
            options["attributes"] = {"Content-Type": content_type}
            options["tags"] = dict(tags) if tags and self._tagging else None
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                obstore.put(self._backend, self._full(key), data, **options)
                if self.place.folder:
                    _flush_to_disk(self.place.folder / key)
            except obs.AlreadyExistsError:
                if self._holds(key, data):
                    return
                if attempt == _ATTEMPTS or self._listed(key) is not None:
                    raise errors.key_taken(key) from None
                _pause(attempt, cancel)
            except (obs.BaseError, OSError) as error:
                if attempt == _ATTEMPTS or not self._transient(error):
                    raise self._translate(error, "PutObject", key) from error
                _pause(attempt, cancel)
            else:
                return

    def get(self, key: str, *, limit: int | None = None) -> bytes:
        """A whole object that is known to exist. Raises TooLarge beyond `limit` bytes, Missing if it is gone."""

        def read() -> bytes:
            result = obstore.get(self._backend, self._full(key))
            if limit is not None and result.meta["size"] > limit:
                raise TooLarge(
                    f"{key} has {result.meta['size']} bytes, more than the {limit} expected",
                    hint="it was altered, or is not ours; run `snapshotter verify`",
                )
            return bytes(result.bytes())

        try:
            return self._reading(read, "GetObject", key)
        except AccessDenied as error:
            if self._listed(key) is None:  # under the bucket's rules, a missing key answers 403
                raise errors.missing(key, self.place.uri) from error
            raise

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end` of an object that is known to exist and to be at least that long."""
        return self._reading(
            lambda: bytes(obstore.get_range(self._backend, self._full(key), start=start, end=end)),
            "GetObject",
            key,
        )

    def stream(self, key: str, chunk: int = 4 * 1024 * 1024) -> Iterator[memoryview]:
        """An existing object's bytes, `chunk` or more at a time. Raises Unavailable or AccessDenied at any of them."""
        result = self._reading(lambda: obstore.get(self._backend, self._full(key)), "GetObject", key)
        chunks = iter(result.stream(min_chunk_size=chunk))
        while True:
            try:
                data = next(chunks)
            except StopIteration:
                return
            except (obs.BaseError, OSError) as error:
                raise self._translate(error, "GetObject", key) from error
            yield memoryview(data)

    def list(self, folder: str, *, after: str = "") -> builtins.list[Entry]:
        """Every object below `folder` (without a trailing slash; '' is the root) whose key sorts after
        `after`, in key order. On S3 one request for each 1,000. Raises Unavailable or AccessDenied."""

        def read() -> builtins.list[Entry]:
            offset = self._full(after) if after else None
            pages = obstore.list(self._backend, self._full(folder) or None, offset=offset, chunk_size=_CHUNK)
            return [Entry(self._relative(meta["path"]), meta["size"]) for page in pages for meta in page]

        return sorted(
            self._reading(read, "ListBucket", f"{folder}/" if folder else ""), key=lambda entry: entry.key
        )

    def folders(self, folder: str) -> builtins.list[str]:
        """The names of the folders directly below `folder`, sorted. Raises Unavailable or AccessDenied."""

        def read() -> builtins.list[str]:
            listing = obstore.list_with_delimiter(self._backend, self._full(folder) or None)
            return [prefix.rstrip("/").rpartition("/")[2] for prefix in listing["common_prefixes"]]

        return sorted(self._reading(read, "ListBucket", f"{folder}/" if folder else ""))

    def _full(self, key: str) -> str:
        return f"{self.place.prefix}{key}".rstrip("/")

    def _relative(self, path: str) -> str:
        return path.removeprefix(self.place.prefix)

    def _listed(self, key: str) -> Entry | None:
        folder = key.rpartition("/")[0]
        return next((entry for entry in self.list(folder) if entry.key == key), None)

    def _holds(self, key: str, data: bytes | memoryview) -> bool:
        entry = self._listed(key)
        if entry is None or entry.bytes != len(data):
            return False
        return hashlib.sha256(self.get(key)).digest() == hashlib.sha256(data).digest()

    def _reading(self, read: Callable[[], T], action: str, key: str) -> T:
        """What `read` returns, after some tries: the library does not try again when a body breaks off."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return read()
            except (obs.BaseError, OSError) as error:
                if attempt == _ATTEMPTS or not self._transient(error):
                    raise self._translate(error, action, key) from error
                _pause(attempt, None)
        raise AssertionError  # the last attempt returns or raises

    def _transient(self, error: Exception) -> bool:
        """Whether trying again may help: never after a refusal, nor on a full disk."""
        return self._remote and errors.transient(error)

    def _translate(self, error: Exception, action: str, key: str) -> SnapshotterError:
        if self._remote:
            return errors.in_bucket(error, self.place.uri, self.place.bucket, action, self.place.prefix + key)
        return errors.in_folder(error, self.place.uri, key)


def open_store(
    uri: str, *, allow_http: bool = False, must_exist: bool = False, env: Mapping[str, str] = os.environ
) -> Store:
    """The store that a URI names: ``file:PATH`` or a path, ``s3://bucket/prefix/``, or ``memory:``.

    A folder is made, unless it `must_exist`: whoever only reads should hear of a typing error or an unmounted
    disk. Raises UsageError for any other URI, and for S3 over plain HTTP unless it is loopback and allowed.
    """
    scheme, colon, rest = uri.partition(":")
    if scheme == "memory" and colon:
        return Store(MemoryStore(), Place("memory:"))
    if scheme == "s3" and colon:
        from snapshotter.store.s3 import open_bucket  # loaded only for S3: start-up

        opened = open_bucket(uri, allow_http=allow_http, env=env)
        canonical = f"s3://{opened.name}/{opened.prefix}"
        return Store(opened.backend, Place(canonical, opened.name, opened.prefix), tagging=True)
    if "://" in uri and scheme != "file":
        raise UsageError(f"not a store: {uri}", hint="give file:PATH or s3://bucket/prefix/")
    path = (rest.removeprefix("//") if scheme == "file" and colon else uri) or "."
    folder = Path(path).expanduser().absolute()
    if must_exist and not folder.is_dir():
        raise Unavailable(
            f"no such store: {folder}",
            code="no-store",
            hint="check --store; the first `snapshotter snapshot` makes it",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"cannot make the store's folder {folder}: {error.strerror}",
            code="store",
            hint="give another --store",
        ) from error
    return Store(LocalStore(folder), Place(f"file:{folder}", folder=folder))


def _pause(attempt: int, cancel: Cancel | None) -> None:
    seconds = random.uniform(0.2, 0.4) * 2**attempt  # noqa: S311 - jitter, not a secret
    cancel.sleep(seconds) if cancel else time.sleep(seconds)


def _flush_to_disk(path: Path) -> None:
    """Make a new file survive a power cut: its bytes, and the folders' entries for it."""
    for place in (path, path.parent):
        fd = os.open(place, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
