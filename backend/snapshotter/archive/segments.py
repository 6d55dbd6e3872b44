"""A history on its way into the store and out of it again, one segment at a time.

In: bytes are copied once into a buffer of the segment size; full buffers are hashed and
uploaded by threads while the next one fills. Memory is the segment size times (uploads in
flight + 1), whatever the history weighs. Out: the next segments are downloaded while one is used.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue

from msgspec import Struct

from snapshotter.archive.layout import MANIFEST, segment_name
from snapshotter.archive.manifest import Artifact, Manifest
from snapshotter.archive.transfer import RunFolder, checked_get, damaged
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.side_by_side import awaited
from snapshotter.git.pack_frame import PackCheck
from snapshotter.store.objects import Store

MIN_SEGMENT = 64 * 1024
MAX_SEGMENT = 5 * 1024**3  # S3's largest single PUT
MAX_SEGMENTS = 10_000  # four digits: `cat history.bundle.*` must list them in order
CONTENT_TYPE = "application/octet-stream"


class Written(Struct, frozen=True):
    """A history in the store: its artifacts in order, and what the stream was."""

    artifacts: list[Artifact]
    pack_checksum: str
    objects: int
    bytes: int


class SegmentWriter:
    """Cuts one bundle into segments and puts them into a run's folder. One thread feeds it.

    Usage: `begin` with the header, `write` every byte of the pack, then `finish`; on any error `abort`.
    Raises UsageError if no segment may have `segment_bytes`, and what a cancellation raises.
    """

    def __init__(self, folder: RunFolder, *, fmt: str, segment_bytes: int, in_flight: int) -> None:
        check_size(segment_bytes)
        self._begun = ExitStack()
        self._cancel = self._begun.enter_context(folder.cancel.part())
        self._folder = replace(folder, cancel=self._cancel)
        self._size = segment_bytes
        self._slots = in_flight + 1  # the one that fills, and those on their way
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._buffers = 0
        self._uploads = ThreadPoolExecutor(in_flight, thread_name_prefix="upload")
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="hash")
        self._pending: list[Future[Artifact]] = []
        self._uploading: list[Future[Artifact]] = []  # of these, those that may not have ended
        self._check = PackCheck(fmt)
        self._header_left = 0
        self._buffer: memoryview | None = None
        self._filled = 0
        self.bytes = 0

    def begin(self, header: bytes) -> None:
        """Take the bundle's header, which comes before the pack. Blocks and raises as `write` does."""
        self._header_left = len(header)
        self.write(memoryview(header))

    def write(self, data: memoryview) -> None:
        """Take the next bytes; blocks while every buffer is in flight. Raises what an upload raised."""
        self.bytes += len(data)
        while data:
            if self._buffer is not None and self._filled == self._size:
                self._ship(only=False)
            if self._buffer is None:
                self._buffer, self._filled = self._take_buffer(), 0
            part = data[: self._size - self._filled]
            end = self._filled + len(part)
            self._buffer[self._filled : end] = part
            self._filled, data = end, data[len(part) :]

    def put_beside(self, name: str, data: bytes, content_type: str) -> Future[Artifact]:
        """Put another object into the run's folder, in the time of the segments. Whoever asks for it waits for it."""
        return self._uploads.submit(self._folder.put, name, data, content_type)

    def end(self) -> None:
        """Ship the rest: no more is written. Raises as `write` does."""
        if self._buffer is not None:
            self._ship(only=not self._pending)

    def finish(self) -> Written:
        """Ship the rest, check the pack's checksum, and wait until everything is stored."""
        self.end()
        self._hasher.submit(lambda: None).result()  # one thread takes them in order: so all before are hashed
        checksum = self._check.finish()
        artifacts = [awaited(future, self._cancel) for future in self._pending]
        self._uploads.shutdown()
        self._hasher.shutdown()
        self._begun.close()
        return Written(artifacts, checksum, self._check.objects, self.bytes)

    def abort(self) -> None:
        """Stop: nothing more is sent, or tried again. Does not wait for what is on its way, which prolongs the stay."""
        self._begun.close()
        self._cancel.cancel()
        self._uploads.shutdown(wait=False, cancel_futures=True)
        self._hasher.shutdown(wait=False, cancel_futures=True)
        # An error holds what it came through, maybe for long: the segments are not to be held with it.
        self._pending, self._uploading, self._buffer = [], [], None
        self._free = SimpleQueue()

    def _take_buffer(self) -> memoryview:
        """One that is free, or else another, as long as there may be more. Raises what an upload raised."""
        while True:
            self._cancel.check()
            ended = {future for future in self._uploading if future.done()}
            for future in ended:
                future.result()  # an upload that failed ends the run now
            self._uploading = [future for future in self._uploading if future not in ended]
            if not self._free.empty():
                return self._free.get()
            if self._buffers < self._slots:
                self._buffers += 1
                return pages(self._size)
            # For a moment only: no upload ends when the run is cancelled on a dead network.
            wait(self._uploading, timeout=0.25, return_when="FIRST_COMPLETED")

    def _ship(self, *, only: bool) -> None:
        buffer = self._buffer or memoryview(b"")
        view = buffer[: self._filled]
        index = len(self._pending)
        if index >= MAX_SEGMENTS:
            raise Unavailable(
                f"the history needs more than {MAX_SEGMENTS} segments",
                code="too-many-segments",
                hint="take it with a larger --segment-size",
            )
        # The pack's checksum does not cover the bundle's header.
        skip, self._header_left = min(self._header_left, len(view)), max(0, self._header_left - len(view))
        hashed = self._hasher.submit(self._check.update, view[skip:])
        upload = self._uploads.submit(self._upload, buffer, view, segment_name(index, only), hashed)
        self._folder.stay.until(upload)
        self._pending.append(upload)
        self._uploading.append(upload)
        self._buffer = None

    def _upload(self, buffer: memoryview, view: memoryview, name: str, hashed: Future[None]) -> Artifact:
        self._cancel.check()
        artifact = self._folder.put(name, view, CONTENT_TYPE)
        hashed.result()  # the buffer is filled again as soon as it is free
        self._free.put(buffer)
        return artifact


def pages(size: int) -> memoryview:
    """Memory of its own: it begins at a page's start, as a write past the page cache wants it."""
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE)
    with suppress(OSError):  # a kernel without large pages gives small ones, which cost more time
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


def check_size(segment_bytes: int) -> None:
    """Raises UsageError unless a segment may have so many bytes."""
    if not MIN_SEGMENT <= segment_bytes <= MAX_SEGMENT:
        raise UsageError("the segment size must be between 64 KiB and 5 GiB", hint="--segment-size 16MiB")


class SegmentReader:
    """The bytes of one stored bundle in order, each segment checked against its manifest before use.

    Segments of at most `ahead` are in memory at a time, besides the one in use. Raises Damaged
    where the manifest lists none, or more than a history can have.
    """

    def __init__(
        self, store: Store, manifest: Manifest, *, ahead: int = 2, cancel: Cancel | None = None
    ) -> None:
        assert manifest.history is not None  # noqa: S101 - callers pass runs of a chain
        if not manifest.history.segments:
            raise damaged(manifest.key.key(MANIFEST), "its history has no segments")
        names = manifest.history.segments
        if len(names) > MAX_SEGMENTS or len(set(names)) < len(names):
            what = f"its history names a segment twice, or over {MAX_SEGMENTS:,}"
            raise damaged(manifest.key.key(MANIFEST), what)
        self._store = store
        listed = {artifact.name: artifact for artifact in manifest.artifacts}
        self._segments = [_segment(manifest, name, listed) for name in names]
        self._ahead = ahead
        self._cancel = cancel or Cancel()

    def __iter__(self) -> Iterator[memoryview]:
        """Raises Damaged at a segment that is missing or not what was written.

        Does not wait, at its end or a cancellation, for downloads that nobody wants any more.
        """
        pool = ThreadPoolExecutor(max(1, self._ahead), thread_name_prefix="download")
        pending: list[Future[bytes]] = []
        queue = iter(self._segments)
        with self._cancel.part() as part:
            try:
                for segment in queue:
                    pending.append(pool.submit(self._fetch, segment, part))
                    if len(pending) > self._ahead:
                        break
                while pending:
                    data = awaited(pending.pop(0), self._cancel)
                    yield memoryview(data)
                    del data  # before the next is waited for: else one segment more would be in memory
                    pending += (pool.submit(self._fetch, segment, part) for segment in islice(queue, 1))
            finally:
                part.cancel()
                pool.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, segment: Artifact, cancel: Cancel) -> bytes:
        cancel.check()  # the pool may have taken this one before it was shut down
        return checked_get(self._store, segment, cancel)


def _segment(manifest: Manifest, name: str, listed: Mapping[str, Artifact]) -> Artifact:
    artifact = listed.get(name)
    if artifact is None:
        raise damaged(manifest.key.key(name), "its manifest lists no such artifact")
    return artifact
