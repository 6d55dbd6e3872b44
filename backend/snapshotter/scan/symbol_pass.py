"""Staged source through the grammars' workers into the tables of symbols and imports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Final, NamedTuple

from snapshotter.base.cancel import Cancel
from snapshotter.scan import table_rows
from snapshotter.scan.lines import Lines
from snapshotter.scan.parquet import ScanTables
from snapshotter.scan.reading_plan import Unit
from snapshotter.scan.redaction import Redaction
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.staging import Staging
from snapshotter.scan.symbols.languages import LANGUAGES
from snapshotter.scan.symbols.records import Analysis
from snapshotter.scan.symbols.resolve import Resolve
from snapshotter.scan.symbols.routing import QueuedBlob
from snapshotter.scan.symbols.shared_workers import SharedWorkers
from snapshotter.scan.symbols.workers import Workers

_BATCH: Final = 20_000  # rows that are held before the tables take them


class SourceFile(NamedTuple):
    """One staged file to analyse."""

    name: str
    unit: Unit
    language: str


def sources_of(
    staged: Mapping[str, Unit], counted: Mapping[Unit, Lines]
) -> tuple[list[SourceFile], dict[Unit, str]]:
    """The staged files to analyse, those of a language with a grammar; and why some of them are left out."""
    sources: list[SourceFile] = []
    left_out: dict[Unit, str] = {}
    for name, unit in sorted(staged.items()):
        lines = counted.get(unit)
        if lines is None or lines.binary or lines.language not in LANGUAGES:
            continue
        if lines.minified:
            left_out[unit] = "minified: its names mean nothing"
        else:
            sources.append(SourceFile(name, unit, lines.language))
    return sources, left_out


class SymbolPass:
    """One pass over staged files, by `workers`; `resolve` tells what their imports mean.

    `errors` says which units could not be analysed, and why; `late` whether any of them came too late.
    """

    def __init__(
        self,
        staging: Staging,
        tables: ScanTables,
        workers: Workers | SharedWorkers,
        resolve: Resolve,
        cancel: Cancel,
    ) -> None:
        self._staging, self._tables, self._workers, self._cancel = staging, tables, workers, cancel
        self._imports = partial(table_rows.imports, resolve=resolve)
        self.errors: dict[Unit, str] = {}
        self.late = False

    def run(
        self,
        sources: Sequence[SourceFile],
        seconds: float,
        paths: table_rows.Paths,
        searching: Future[list[SecretFinding] | None],
    ) -> None:
        """Analyse `sources` for at most `seconds`, and add the rows of each of its `paths` to the tables.

        Rows wait for `searching`, which tells where the secrets are that must not be quoted. Raises ScannerFailed
        if no worker starts.
        """
        if not sources:
            return
        adding: Future[None] | None = None
        jobs = [QueuedBlob(one, one.language, self._staging.staged[one.name].bytes) for one in sources]
        # A thread of its own, so that no worker waits for the tables.
        with ThreadPoolExecutor(1, thread_name_prefix="tables") as pool:
            with self._workers.turn(self._cancel) as workers:
                deadline = time.monotonic() + seconds
                analyses = workers.analyze(jobs, lambda source: self._in_time(source, deadline))
                with closing(analyses):
                    for batch in _batches(analyses):
                        self.errors.update({source.unit: one.error for source, one in batch if one.error})
                        if adding is not None:
                            adding.result()  # one batch at a time waits in memory
                        adding = pool.submit(self._add, batch, paths, searching)
            if adding is not None:
                adding.result()

    def _in_time(self, source: SourceFile, deadline: float) -> bytes | None:
        """The blob of a source whose turn has come; None for one that comes after the deadline, which is late."""
        self._cancel.check()
        if time.monotonic() > deadline:
            self.late = True
            self.errors[source.unit] = "not analysed: out of time"
            return None
        return self._staging.read(source.name)

    def _add(
        self,
        batch: list[tuple[SourceFile, Analysis]],
        paths: table_rows.Paths,
        searching: Future[list[SecretFinding] | None],
    ) -> None:
        redaction = Redaction(searching.result())
        for table, make in (("symbols", table_rows.symbols), ("imports", self._imports)):
            self._tables.add(
                table,
                (
                    row
                    for source, analysis in batch
                    for row in make(source.unit, source.language, analysis, paths, redaction)
                ),
            )


def _batches(analyses: Iterable[tuple[SourceFile, Analysis]]) -> Iterator[list[tuple[SourceFile, Analysis]]]:
    """The analyses in lists of about _BATCH rows."""
    held: list[tuple[SourceFile, Analysis]] = []
    size = 0
    for source, analysis in analyses:
        held.append((source, analysis))
        size += len(analysis.symbols) + len(analysis.imports)
        if size > _BATCH:
            yield held
            held, size = [], 0
    if held:
        yield held
