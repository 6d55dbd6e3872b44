"""Engines for the tables of small scans, for whoever may not have any scan: DuckDB is loaded with the first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from snapshotter.scan.staging import TMPFS

if TYPE_CHECKING:
    from snapshotter.scan.table_engine import TableEngine, TableEngines


class LateEngines:
    """`TableEngines` that are made when the first one is lent. A context manager. Safe to share between threads."""

    def __init__(self, *, temp: Path | None = None, tmpfs: Path = TMPFS) -> None:
        self._temp, self._tmpfs = temp, tmpfs
        self._stack, self._making = ExitStack(), threading.Lock()
        self._engines: TableEngines | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def lent(self) -> Iterator[TableEngine]:
        """See `TableEngines`."""
        with self._making:
            if self._engines is None:
                from snapshotter.scan.table_engine import TableEngines

                self._engines = self._stack.enter_context(TableEngines(temp=self._temp, tmpfs=self._tmpfs))
        with self._engines.lent() as engine:
            yield engine
