"""A large Parquet object of which only the needed parts are read: its footer, then columns of row groups.

The parts lie in a sparse file of the object's size, each at its own place, so the engine reads it like the whole.
Which parts the SQL needs is the engine's own plan (see sql_plan). A part that was not fetched is zeros, which no
page header begins with. Should plan and execution ever differ, the engine fails; it never answers wrongly.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Final

import msgspec

from snapshotter.archive.manifest import Artifact
from snapshotter.archive.transfer import damaged
from snapshotter.query.cache import Cache
from snapshotter.store.objects import Store

Span = tuple[int, int]  # first byte, and the one after the last

_TAIL: Final = 64 * 1024  # bytes read for a footer at first
_FOOTER: Final = 64 * 1024 * 1024  # bytes of the largest footer
_GAP: Final = 128 * 1024  # bytes between two parts that are cheaper to read than a second request
_REQUEST: Final = 8 * 1024 * 1024  # bytes of one request
_PARALLEL: Final = 8
_MAGIC: Final = b"PAR1"


class PartialFile:
    """One object's parts on this machine. Safe to share between threads."""

    def __init__(self, store: Store, artifact: Artifact, cache: Cache) -> None:
        self._store, self._artifact, self._cache = store, artifact, cache
        self.path = cache.part(artifact.sha256)
        self._record = self.path.with_suffix(".spans")
        self._lock = threading.Lock()

    @cached_property
    def _recorded(self) -> list[Span]:
        """What is there already, as the record beside the file says."""
        try:
            size, spans = msgspec.msgpack.decode(self._record.read_bytes(), type=tuple[int, list[Span]])
            there = self.path.stat().st_size
        except (FileNotFoundError, msgspec.MsgspecError):
            return []
        return spans if size == there == self._artifact.bytes else []

    def footer(self) -> None:
        """Fetch the footer if it is not there yet. Raises Damaged for a file that does not end like Parquet."""
        size = self._artifact.bytes
        self.fill([(0, len(_MAGIC)), (max(0, size - _TAIL), size)])
        with self.path.open("rb") as file:
            file.seek(size - 8)
            end = file.read(8)
        length = int.from_bytes(end[:4], "little")
        if end[4:] != _MAGIC or not 0 < length <= min(_FOOTER, size - 12):
            raise damaged(self._artifact.key, "it is not Parquet")
        self.fill([(size - 8 - length, size)])

    def fill(self, spans: Iterable[Span]) -> None:
        """Fetch what of the spans is not there yet. Bytes outside the object are passed over."""
        size = self._artifact.bytes
        with self._lock:  # held while it fetches: two threads would fetch the same part twice
            inside = merged([(max(0, a), min(b, size)) for a, b in spans if a < min(b, size)], _GAP)
            missing = [part for span in inside for part in _requests(without(span, self._recorded))]
            if not missing:
                return
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                os.truncate(handle, size)
                with ThreadPoolExecutor(_PARALLEL) as pool:
                    list(pool.map(self._fetcher(handle), missing))
                os.fsync(handle)  # before the record says that it is there
            finally:
                os.close(handle)
            self._recorded = merged([*self._recorded, *missing], 0)
            self._cache.write(self._record, msgspec.msgpack.encode((size, self._recorded)))

    def _fetcher(self, handle: int) -> Callable[[Span], None]:
        def fetch(span: Span) -> None:
            data = self._store.get_range(self._artifact.key, *span)
            if len(data) != span[1] - span[0]:
                raise damaged(self._artifact.key, "it is shorter than it was listed")
            os.pwrite(handle, data, span[0])

        return fetch


def merged(spans: Iterable[Span], gap: int) -> list[Span]:
    """The spans in order, those joined that overlap or lie at most `gap` bytes apart."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1] + gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def without(span: Span, have: Iterable[Span]) -> Iterator[Span]:
    """The parts of `span` that none of `have` covers. `have` is in order."""
    start, end = span
    for first, last in have:
        if last <= start or first >= end:
            continue
        if first > start:
            yield start, first
        start = last
    if start < end:
        yield start, end


def _requests(spans: Iterable[Span]) -> Iterator[Span]:
    for start, end in spans:
        for at in range(start, end, _REQUEST):
            yield at, min(at + _REQUEST, end)
