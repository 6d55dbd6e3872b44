"""LFS objects from an origin into the store: asked for by the hundred, several at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Final

from snapshotter.base.room import Room, Stay
from snapshotter.base.side_by_side import settle
from snapshotter.capture.lfs_storing import LfsStorage
from snapshotter.capture.options import LFS_SEGMENTS
from snapshotter.transport.lfs.source import BATCH, Download, LfsPointer, LfsSource, LfsUnavailable

_AT_ONCE: Final = 8
_LEFT: Final = 2 * _AT_ONCE  # when the next are asked for: these have enough to do until the answer
_TRIES: Final = 3  # of one object whose bytes broke off

Outcome = list[str] | LfsUnavailable
"""The keys of a stored object, or why it cannot be had."""


@dataclass
class LfsFetch:
    """One run's fetch of LFS objects. What ends it, ends it for all that were not asked for yet: a server that does
    not answer, or a spent quota."""

    source: LfsSource
    storage: LfsStorage
    max_object: int
    stay: Stay = field(default_factory=Stay)  # which what is on its way prolongs
    _ended: LfsUnavailable | None = None
    _outcomes: dict[LfsPointer, Outcome] = field(default_factory=dict)
    _done: SimpleQueue[Future[Outcome]] = field(default_factory=SimpleQueue)

    def fetch(self, pointers: Sequence[LfsPointer]) -> Mapping[LfsPointer, Outcome]:
        """What came of each. Raises what the store raises, once nothing is on its way, and the caller's Interrupted at
        once."""
        storage = self.storage
        self._outcomes = {each: _too_large(each) for each in pointers if each.bytes > self.max_object}
        wanted = [each for each in pointers if each not in self._outcomes]
        storage.observer.stage(
            f"fetching {len(wanted):,} LFS objects", sum(each.bytes for each in wanted) if wanted else None
        )
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lfs")
        pending: dict[Future[Outcome], LfsPointer] = {}
        with storage.cancel.part() as part:
            own, room = replace(storage, cancel=part), Room(LFS_SEGMENTS * storage.segment_bytes, part)
            try:
                for start in range(0, len(wanted), BATCH):
                    # The next are asked for while the last of those before are on their way.
                    self._settle(pending, _LEFT)
                    for pointer, told in self._located(wanted[start : start + BATCH]).items():
                        if isinstance(told, LfsUnavailable):
                            self._outcomes[pointer] = told
                        else:
                            future = pool.submit(self._one, pointer, told, own, room)
                            pending[future] = pointer
                            self.stay.until(future)
                            future.add_done_callback(self._done.put)
                self._settle(pending, 0)
            finally:
                part.cancel()
                pool.shutdown(wait=False, cancel_futures=True)
                settle(pending, storage.cancel)
        return self._outcomes

    def _settle(self, pending: dict[Future[Outcome], LfsPointer], most: int) -> None:
        """Wait until no more than `most` are on their way: a large one keeps none of the others back."""
        while len(pending) > most:
            self.storage.cancel.check()
            try:
                done = self._done.get(timeout=0.25)
            except Empty:  # on a dead network none of them ends
                continue
            self._outcomes[pending.pop(done)] = done.result()

    def _located(self, batch: Sequence[LfsPointer]) -> Mapping[LfsPointer, Download | LfsUnavailable]:
        if self._ended is None:
            try:
                return self.source.locate(batch)
            except LfsUnavailable as error:
                self._ended = error
                self.storage.observer.warn(f"no LFS objects: {error.message}; {error.hint}")
        return dict.fromkeys(batch, self._ended)

    def _one(self, pointer: LfsPointer, download: Download, storage: LfsStorage, room: Room) -> Outcome:
        for attempt in range(1, _TRIES + 1):
            if self._ended is not None:
                return self._ended
            try:
                with room.of(storage.weight(pointer)):
                    return storage.put(pointer, download)
            except LfsUnavailable as error:
                if error.reason == "over-quota":
                    self._ended = error
                if not error.transient or attempt == _TRIES:
                    return error
            storage.cancel.sleep(0.5 * 2**attempt)
        raise AssertionError  # the last try returns


def _too_large(pointer: LfsPointer) -> LfsUnavailable:
    return LfsUnavailable(
        f"LFS object {pointer.oid}: it has {pointer.bytes:,} bytes",
        "too-large",
        hint="raise SNAPSHOTTER_LFS_MAX_OBJECT to take it",
    )
