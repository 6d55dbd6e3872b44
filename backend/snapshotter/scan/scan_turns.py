"""How many scans one process has under way at once.

While small ones wait for the search for secrets, others may join them: it costs as much for many as for one. A large
one fills memory, so there are few of these.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Self

from snapshotter.base.cancel import Cancel

_LARGE: Final = 16 << 20  # bytes of blobs
_MANY: Final = 5_000  # paths
_SLICE: Final = 0.5  # seconds between looks at the cancellation


class ScanTurns:
    """At most `scans` at once, and at most `large` of them large. Safe to share between threads."""

    def __init__(self, scans: int, large: int) -> None:
        self._scans, self._large = threading.Semaphore(scans), threading.Semaphore(large)

    @contextmanager
    def one(self) -> Iterator[ScanTurn]:
        """The turn of one scan, once it has come."""
        with self._scans, ScanTurn(self._large) as turn:
            yield turn


class ScanTurn:
    """One scan's turn. It is small until `weigh` has told otherwise. A context manager."""

    def __init__(self, large: threading.Semaphore | None = None) -> None:
        self._large, self._stack = large, ExitStack()
        self._bytes = self._paths = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def weigh(self, cancel: Cancel, *, more: int = 0, paths: int = 0) -> None:
        """Note that the scan has so many `paths`, and so many `more` bytes of blobs to hold than before.

        Once that makes it large, this waits until another large one may be. Raises the cancellation's error.
        """
        self._bytes += more
        self._paths += paths
        if self._large is None or (self._bytes <= _LARGE and self._paths <= _MANY):
            return
        large, self._large = self._large, None
        while not large.acquire(timeout=_SLICE):
            cancel.check()
        self._stack.callback(large.release)
