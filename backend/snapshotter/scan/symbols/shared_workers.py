"""Processes that analyse source for several scans that are under way in one process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from snapshotter.base.cancel import Cancel
from snapshotter.scan.symbols.workers import Workers

_PATIENCE: Final = 3.0  # seconds that a scan waits for warm processes: a large tree may keep them for minutes
_SLICE: Final = 0.1  # seconds between looks at another set, and at the cancellation


class SharedWorkers:
    """Up to `sets` analyses at once, each by up to `count` processes, which serve one scan after another.

    A context manager: they start when needed, and end with it. Safe to share between threads. Beyond the first `used`,
    a set starts only where those before it were busy for long: each has every query to compile.
    """

    def __init__(self, sets: int, count: int, used: int = 1) -> None:
        self._sets = [Workers(count) for _ in range(sets)]
        self._used = used  # of the sets; these are warm

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
        workers = self._free(cancel)
        with workers.taken(cancel):
            yield workers

    def _free(self, cancel: Cancel) -> Workers:
        used, until = self._used, time.monotonic() + _PATIENCE
        while True:
            for workers in self._sets[: self._used]:
                if workers.take(_SLICE):
                    return workers
                cancel.check()
            if time.monotonic() > until:
                self._used = min(used + 1, len(self._sets))
