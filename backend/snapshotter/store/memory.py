"""Objects in this process, for tests and trials."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from snapshotter.base.errors import SnapshotterError
from snapshotter.store import errors
from snapshotter.store.backend import ListedObject, ListPage, ListRequest, ObjectAttributes, OverLimit, Taken


class MemoryBackend:
    """See Backend."""

    troubles: tuple[type[Exception], ...] = (KeyError,)

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def create(self, key: str, data: bytes | memoryview, attributes: ObjectAttributes) -> None:
        """See Backend."""
        with self._lock:
            if key in self._objects:
                raise Taken
            self._objects[key] = bytes(data)

    def read(self, key: str, limit: int | None) -> bytes:
        """See Backend."""
        data = self._objects[key]
        if limit is not None and len(data) > limit:
            raise OverLimit(len(data))
        return data

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """See Backend."""
        return self._objects[key][start:end]

    def pieces(self, key: str, size: int) -> Iterator[memoryview]:
        """See Backend."""
        data = memoryview(self._objects[key])
        return (data[start : start + size] for start in range(0, len(data), size))

    def file(self, key: str) -> None:
        """See Backend."""

    def page(self, request: ListRequest, token: str | None) -> ListPage:
        """See Backend."""
        below = f"{request.folder}/" if request.folder else ""
        with self._lock:
            keys = [key for key in self._objects if key.startswith(below) and key > request.after]
        if request.deep:
            return ListPage([ListedObject(key, len(self._objects[key])) for key in keys], [])
        inner = {key[len(below) :].partition("/")[0] for key in keys if "/" in key[len(below) :]}
        return ListPage([], sorted(inner))

    def transient(self, error: Exception, tries: int) -> bool:
        """See Backend."""
        return False

    def translate(self, error: Exception, action: str, key: str) -> SnapshotterError:
        """See Backend."""
        return errors.missing(key, self._uri)
