"""Staged source through the grammars' workers into the tables of symbols and imports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from snapshotter.base.cancel import Cancel
from snapshotter.scan import table_rows
from snapshotter.scan.lines import Lines
from snapshotter.scan.parquet import ScanTables
from snapshotter.scan.reading_plan import Unit
from snapshotter.scan.redaction import Redaction
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.staging import Staging
from snapshotter.scan.symbols import LANGUAGES, Analysis, Workers

_A_WORKER: Final = 512 * 1024  # bytes of source that pay for one more worker: it starts in the time of these
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
    """One pass over staged files, by at most `workers` processes.

    `errors` says which units could not be analysed, and why; `late` whether any of them came too late.
    """

    def __init__(self, staging: Staging, tables: ScanTables, workers: int, cancel: Cancel) -> None:
        self._staging, self._tables, self._most, self._cancel = staging, tables, workers, cancel
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
        deadline = time.monotonic() + seconds
        adding: Future[None] | None = None
        with (
            # A thread of its own, so that no worker waits for the tables.
            ThreadPoolExecutor(1, thread_name_prefix="tables") as pool,
            Workers(self._workers(sources)) as workers,
            self._cancel.ending(workers.close),
        ):
            for batch in _batches(workers.analyze(self._in_time(sources, deadline))):
                self.errors.update({source.unit: one.error for source, one in batch if one.error})
                if adding is not None:
                    adding.result()  # one batch at a time waits in memory
                adding = pool.submit(self._add, batch, paths, searching)
            if adding is not None:
                adding.result()

    def _in_time(
        self, sources: Iterable[SourceFile], deadline: float
    ) -> Iterator[tuple[SourceFile, bytes, str]]:
        """The sources as the workers take them, each read when its turn comes; those after the deadline are late."""
        for source in sources:
            self._cancel.check()
            if time.monotonic() > deadline:
                self.late = True
                self.errors[source.unit] = "not analysed: out of time"
            else:
                yield source, self._staging.read(source.name), source.language

    def _workers(self, sources: Sequence[SourceFile]) -> int:
        """How many processes to start: each must have enough to do to pay for its start."""
        size = sum(self._staging.staged[source.name].bytes for source in sources)
        return min(self._most, len(sources), 1 + size // _A_WORKER)

    def _add(
        self,
        batch: list[tuple[SourceFile, Analysis]],
        paths: table_rows.Paths,
        searching: Future[list[SecretFinding] | None],
    ) -> None:
        redaction = Redaction(searching.result())
        for table, make in (("symbols", table_rows.symbols), ("imports", table_rows.imports)):
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
