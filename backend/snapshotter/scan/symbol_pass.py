"""Staged source through the grammars' workers into the tables of symbols and imports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from snapshotter.base.cancel import Cancel
from snapshotter.scan import table_rows
from snapshotter.scan.parquet import Tables
from snapshotter.scan.reading_plan import Unit
from snapshotter.scan.redaction import Redaction
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.staging import Staging
from snapshotter.scan.symbols import Analysis, Workers

_A_WORKER: Final = 512 * 1024  # bytes of source that pay for one more worker: it starts in the time of these
_BATCH: Final = 20_000  # rows that are held before the tables take them


class SourceFile(NamedTuple):
    """One staged file to analyse."""

    name: str
    unit: Unit
    language: str


class SymbolPass:
    """One pass over staged files; at most `workers` processes."""

    def __init__(self, staging: Staging, tables: Tables, workers: int, cancel: Cancel) -> None:
        self._staging, self._tables, self._most, self._cancel = staging, tables, workers, cancel

    def run(
        self,
        jobs: Sequence[SourceFile],
        seconds: float,
        paths: table_rows.Paths,
        errors: dict[Unit, str],
        searching: Future[list[SecretFinding] | None],
    ) -> bool:
        """Analyse `jobs` for at most `seconds`; returns whether some came too late.

        What could not be analysed, and why, goes into `errors`. Rows wait for `searching`, which tells
        where the secrets are that must not be quoted. Raises ScannerFailed if no worker starts.
        """
        deadline = time.monotonic() + seconds
        late: list[Unit] = []

        def feed() -> Iterator[tuple[SourceFile, bytes, str]]:
            for job in jobs:
                self._cancel.check()
                if time.monotonic() > deadline:
                    late.append(job.unit)
                else:
                    yield job, self._staging.read(job.name), job.language

        adding: Future[None] | None = None
        with (
            ThreadPoolExecutor(
                1, thread_name_prefix="tables"
            ) as pool,  # so that no worker waits for the tables
            Workers(self._workers(jobs)) as workers,
            self._cancel.ending(workers.close),
        ):
            for batch in _batches(workers.analyze(feed())):
                errors.update({job.unit: found.error for job, found in batch if found.error})
                if adding is not None:
                    adding.result()
                adding = pool.submit(self._add, batch, paths, searching)
            if adding is not None:
                adding.result()
        errors.update(dict.fromkeys(late, "not analysed: out of time"))
        return bool(late)

    def _workers(self, jobs: Sequence[SourceFile]) -> int:
        """As many as pay for their start."""
        size = sum(self._staging.staged[job.name].bytes for job in jobs)
        return min(self._most, len(jobs), 1 + size // _A_WORKER)

    def _add(
        self,
        batch: list[tuple[SourceFile, Analysis]],
        paths: table_rows.Paths,
        searching: Future[list[SecretFinding] | None],
    ) -> None:
        hidden = Redaction(searching.result())
        for table, make in (("symbols", table_rows.symbols), ("imports", table_rows.imports)):
            self._tables.add(
                table,
                (row for job, found in batch for row in make(job.unit, job.language, found, paths, hidden)),
            )


def _batches(analyses: Iterable[tuple[SourceFile, Analysis]]) -> Iterator[list[tuple[SourceFile, Analysis]]]:
    """Lists of analyses with about _BATCH rows."""
    held: list[tuple[SourceFile, Analysis]] = []
    size = 0
    for job, found in analyses:
        held.append((job, found))
        size += len(found.symbols) + len(found.imports)
        if size > _BATCH:
            yield held
            held, size = [], 0
    if held:
        yield held
