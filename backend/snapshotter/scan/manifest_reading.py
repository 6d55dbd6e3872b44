"""Reads the manifests of a tree, within the time of one scanner; their rows are made when all of them are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from snapshotter.scan.dependencies import Dependency, ManifestError, Manifests

LATE: Final = "not analysed: out of time"


class ManifestReading:
    """`errors` says, by path, what could not be read and why; `late` that some were not read for want of time."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._spent = seconds, 0.0
        self._manifests = Manifests()
        self._read: set[str] = set()
        self.errors: dict[str, str] = {}
        self.late = False

    def add(self, path: str, data: bytes) -> None:
        """Read one."""
        if self._timed(path, lambda: self._manifests.add(path, data)):
            self._read.add(path)

    def forget(self, path: str) -> None:
        """Let go of one that is not to be told of after all. Nothing happens if it was not read."""
        if path in self._read:
            self._read.discard(path)
            self._manifests.forget(path)

    def taken_in(self) -> set[str]:
        """Paths, not read yet, that requirements files take in."""
        return self._manifests.taken_in() - self.errors.keys()

    def rows(self) -> tuple[dict[str, list[Dependency]], dict[str, set[str]]]:
        """The rows of each manifest that was read, and the other manifests that lent them something. This may take as
        long again: what was read in time is not lost."""
        self._spent = 0.0
        rows: dict[str, list[Dependency]] = {}
        lenders: dict[str, set[str]] = {}

        def tell(path: str) -> None:
            rows[path] = self._manifests.rows(path)
            lenders[path] = self._manifests.lenders(path)

        for path in sorted(self._read):
            self._timed(path, lambda path=path: tell(path))  # type: ignore[misc]
        self.errors = {**self._manifests.partly, **self.errors}
        return rows, lenders

    def _timed(self, path: str, work: Callable[[], None]) -> bool:
        """Whether `work` was done, within the time of all of them together and without an error."""
        if self._spent > self._seconds:
            self.late = True
            self.errors[path] = LATE
            return False
        started = time.monotonic()
        try:
            work()
        except ManifestError as error:
            self.errors[path] = str(error)
            return False
        finally:
            self._spent += time.monotonic() - started
        return True
