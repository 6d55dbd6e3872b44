"""Processes that analyse source for several scans that are under way in one process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from snapshotter.base.cancel import Cancel
from snapshotter.scan.symbols.workers import Workers

_PATIENCE: Final = 1.0  # seconds that a scan waits for warm processes: a large tree may keep them for minutes


class SharedWorkers:
    """Up to `sets` analyses at once, each by up to `count` processes, which serve one scan after another.

    A context manager: they start when needed, and end with it. Safe to share between threads. A set starts only where
    those before it are busy for long: each has every query to compile.
    """

    def __init__(self, sets: int, count: int) -> None:
        self._sets = [Workers(count) for _ in range(sets)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for workers in self._sets:
            workers.close()

    def start(self, count: int) -> None:
        """See `Workers.start`: the first set."""
        self._sets[0].start(count)

    @contextmanager
    def turn(self, cancel: Cancel) -> Iterator[Workers]:
        """A set to oneself, once one is free. Raises the cancellation's error."""
        for workers in itertools.cycle(self._sets):
            if workers.take(_PATIENCE):
                break
            cancel.check()
        with workers.taken(cancel):
            yield workers
