"""LFS objects on their way into the store: checked before they count, in bounded memory.

One of up to a segment is compared with its id and then put under it. A larger one is cut into segments as it comes,
under keys of this attempt; whether it was good is known at its end, and a bad attempt is named by nobody.
"""

from __future__ import annotations

import hashlib
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from snapshotter.archive import layout
from snapshotter.archive.segments import CONTENT_TYPE, MAX_SEGMENTS, pages
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.base.observer import Observer
from snapshotter.base.side_by_side import awaited
from snapshotter.store.objects import Store
from snapshotter.transport.lfs.source import Download, LfsPointer, LfsUnavailable, Reason

_LARGE: Final = 1024 * 1024  # bytes
_KIND: Final = "lfs"  # the tag that tells these objects from a run's


@dataclass(frozen=True)
class LfsStorage:
    """Puts the LFS objects of one repo. Safe to share between threads."""

    store: Store
    repo: str
    segment_bytes: int
    observer: Observer
    cancel: Cancel

    def put(self, pointer: LfsPointer, download: Download) -> list[str]:
        """Download an object and store it: its keys, in order.

        Raises LfsUnavailable if what comes is not the object, and what the download and the store raise.
        """
        if pointer.bytes <= self.segment_bytes:
            return [self._put_whole(pointer, download)]
        if pointer.bytes > self.segment_bytes * MAX_SEGMENTS:
            raise _refused(pointer, "too-large", f"it needs more than {MAX_SEGMENTS:,} segments")
        with ThreadPoolExecutor(1, thread_name_prefix="lfs-upload") as uploads:
            segments = _Segments(self, pointer, uploads)
            download(segments.take)
            return segments.finish()

    def weight(self, pointer: LfsPointer) -> int:
        """The bytes of memory that an object takes on its way."""
        return min(pointer.bytes, 2 * self.segment_bytes)

    def put_new(self, key: str, data: bytes | memoryview) -> None:
        """One object under its key."""
        tags = {"kind": _KIND, "repo": self.repo}
        self.store.put_new(key, data, content_type=CONTENT_TYPE, tags=tags, cancel=self.cancel)

    def _put_whole(self, pointer: LfsPointer, download: Download) -> str:
        data, filled = _buffer(pointer.bytes), 0

        def take(view: memoryview) -> None:
            nonlocal filled
            self.cancel.check()
            data[filled : filled + len(view)] = view
            filled += len(view)
            self.observer.advance(len(view))

        download(take)
        _check(pointer, hashlib.sha256(data).hexdigest())
        key = layout.lfs_key(self.repo, pointer.oid)
        try:
            self.put_new(key, data)
        except Unavailable as error:
            if error.code != "exists":
                raise
            # Something else lies there, and nobody can take it away: this one gets a key of its own.
            key = layout.lfs_key(self.repo, pointer.oid, secrets.token_hex(4))
            self.put_new(key, data)
        return key


class _Segments:
    """A large object on its way: two buffers, of which one fills while the other is put."""

    def __init__(self, storage: LfsStorage, pointer: LfsPointer, uploads: ThreadPoolExecutor) -> None:
        self._storage, self._pointer, self._uploads = storage, pointer, uploads
        self._attempt = secrets.token_hex(4)
        self._keys: list[str] = []
        self._digest = hashlib.sha256()
        self._buffer, self._filled = _buffer(storage.segment_bytes), 0
        self._other = _buffer(storage.segment_bytes)
        self._pending: Future[None] | None = None

    def take(self, data: memoryview) -> None:
        """The next bytes. Blocks while the segment before is put; raises what that raised."""
        self._storage.cancel.check()
        self._digest.update(data)
        self._storage.observer.advance(len(data))
        while len(data):
            count = min(len(data), len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + count] = data[:count]
            self._filled += count
            data = data[count:]
            if self._filled == len(self._buffer):
                self._ship()

    def finish(self) -> list[str]:
        """The keys, once all is put. Raises LfsUnavailable if it is another object."""
        _check(self._pointer, self._digest.hexdigest())
        if self._filled:
            self._ship()
        self._wait()
        return self._keys

    def _ship(self) -> None:
        self._wait()
        key = layout.lfs_key(self._storage.repo, self._pointer.oid, self._attempt, len(self._keys))
        self._keys.append(key)
        full = self._buffer
        self._pending = self._uploads.submit(self._storage.put_new, key, full[: self._filled])
        self._buffer, self._other, self._filled = self._other, full, 0

    def _wait(self) -> None:
        if self._pending is not None:
            awaited(self._pending, self._storage.cancel)


def _buffer(size: int) -> memoryview:
    """Room for so many bytes; that of a large one is the system's again as soon as nobody has it.

    The C library's own would stay with each of the threads that once had one.
    """
    return pages(size) if size >= _LARGE else memoryview(bytearray(size))


def _check(pointer: LfsPointer, digest: str) -> None:
    if digest != pointer.oid:
        raise _refused(pointer, "wrong-digest", "other bytes came than it is named for (SHA-256 differs)")


def _refused(pointer: LfsPointer, reason: Reason, what: str) -> LfsUnavailable:
    return LfsUnavailable(
        f"LFS object {pointer.oid}: {what}", reason, hint="run `git lfs fsck` at the origin"
    )
