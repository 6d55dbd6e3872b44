"""Processes that analyse source for as many scans at once as there are sets of them."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from snapshotter.scan.symbols.workers import Workers


class WorkerSets:
    """At most `sets` scans at once, each with up to `count` processes, which the next scan finds warm.

    A context manager: they start when needed, and end with it. Safe to share between threads.
    """

    def __init__(self, sets: int, count: int) -> None:
        self._all = [Workers(count) for _ in range(sets)]
        self._free: queue.LifoQueue[Workers] = queue.LifoQueue()  # the warmest first
        for workers in self._all:
            self._free.put(workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for workers in self._all:
            workers.close()

    @contextmanager
    def lent(self) -> Iterator[Workers]:
        """A set for one scan, once there is one."""
        workers = self._free.get()
        try:
            yield workers
        finally:
            self._free.put(workers)
