"""Memory that works at the same time share, counted before they take it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from snapshotter.base.cancel import Cancel

_LOOK: Final = 0.25  # seconds between two looks at whether the wait was cancelled: nothing else would end it


class Room:
    """So many bytes; what is larger than all of them goes alone. Safe to share between threads."""

    def __init__(self, size: int, cancel: Cancel) -> None:
        self._size, self._used, self._cancel = size, 0, cancel
        self._changed = threading.Condition()

    def of(self, count: int) -> AbstractContextManager[None]:
        """Its block waits until there is room for `count` bytes, and keeps it. May be entered many times.

        What the cancellation raises, ends the wait.
        """
        return _Share(self, count)

    def take(self, count: int) -> None:
        """Wait for room, and keep it."""
        with self._changed:
            while self._used and self._used + count > self._size:
                self._changed.wait(_LOOK)
                self._cancel.check()
            self._used += count

    def give_back(self, count: int) -> None:
        """Let others have it."""
        with self._changed:
            self._used -= count
            self._changed.notify_all()


@dataclass(frozen=True)
class _Share(AbstractContextManager[None]):
    room: Room
    count: int

    def __enter__(self) -> None:
        self.room.take(self.count)

    def __exit__(self, *_: object) -> None:
        self.room.give_back(self.count)


class Stay(AbstractContextManager["Stay"]):
    """A block in a room, which is left once the block has ended and each future that it is given has.

    So what goes on in threads, after an error has ended the block, still counts. Safe to share between threads.
    """

    def __init__(self, room: AbstractContextManager[object] | None = None) -> None:
        self._room = room or nullcontext()
        self._lock, self._reasons = threading.Lock(), 0

    def __enter__(self) -> Stay:
        self._room.__enter__()
        self._reasons = 1
        return self

    def __exit__(self, *_: object) -> None:
        self._ended()

    def until(self, future: Future[Any]) -> None:
        """Stay until this has ended, too."""
        with self._lock:
            self._reasons += 1
        future.add_done_callback(lambda _: self._ended())

    def _ended(self) -> None:
        with self._lock:
            self._reasons -= 1
            last = not self._reasons
        if last:
            self._room.__exit__(None, None, None)
