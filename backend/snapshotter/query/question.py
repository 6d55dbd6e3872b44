"""One question to a store: SQL in, rows out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb

from snapshotter.archive.catalog import Catalog
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.query import cache, guard, locked_engine, schema, sql_plan
from snapshotter.query.archive_views import ArchiveViews, create, insert, keys
from snapshotter.query.partial_file import PartialFile
from snapshotter.query.snapshot_choice import ChosenSnapshots, choose
from snapshotter.query.table_files import TableFile, TableFiles
from snapshotter.query.terms import LeftOut, QueryOptions
from snapshotter.query.views import KEYS, MACROS, SCANNED, Column
from snapshotter.store.objects import Store

_ROWS: Final = 5_000  # rows taken from the engine at once
_NOT_JSON: Final = re.compile(r"\b(?:NaN|Infinity)\b")


@dataclass
class QueryResult:
    """The rows that SQL has, to be taken once, and what is not among them."""

    columns: list[tuple[str, str]]  # name and DuckDB type; names are unique
    snapshots: int
    left_out: list[LeftOut]
    _running: locked_engine.Running
    _sql: str
    _partials: dict[str, list[PartialFile]] = field(default_factory=dict)

    def texts(self) -> Iterator[tuple[str | None, ...]]:
        """The rows with every value as DuckDB writes it, null as None."""
        return self._rows("CAST({} AS VARCHAR)")

    def json(self) -> Iterator[str]:
        """The rows as JSON objects; what is no number to JSON (NaN, infinities) is null."""
        names = [json.dumps(name, ensure_ascii=False) for name, _ in self.columns]
        for row in self._rows("CAST(to_json({}) AS VARCHAR)"):
            values = [_plain(value) for value in row]
            yield "{" + ", ".join(f"{n}: {v}" for n, v in zip(names, values, strict=True)) + "}"

    def parquet(self, path: Path) -> int:
        """Write the rows to the output file that the question named; how many they are."""
        sql = self._wrapped("{}")
        self._fill(sql)
        self._running.execute(
            f"COPY ({sql}) TO {locked_engine.literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"
        )
        return int(self._running.fetch(1)[0][0])

    def _rows(self, form: str) -> Iterator[tuple[Any, ...]]:
        sql = self._wrapped(form)
        self._fill(sql)
        self._running.execute(sql)
        while rows := self._running.fetch(_ROWS):
            yield from rows

    def _wrapped(self, form: str) -> str:
        """The user's SELECT with each column in another form. Columns go by number: names may be anything."""
        numbered = [f"c{number}" for number in range(len(self.columns))]
        shown = [
            f"{form.format(column)} AS {_quoted(name)}"
            for column, (name, _) in zip(numbered, self.columns, strict=True)
        ]
        return f"SELECT {', '.join(shown)} FROM (\n{self._sql}\n) AS t({', '.join(numbered)})"  # noqa: S608 - guarded

    def _fill(self, sql: str) -> None:
        if self._partials:
            found = sql_plan.readings(self._running, sql)
            for table, partials in self._partials.items():
                for partial in partials:
                    sql_plan.fill(self._running, partial, table, found)


@contextmanager
def ask(
    store: Store,
    sql: str,
    options: QueryOptions,
    *,
    output: Path | None = None,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
) -> Iterator[QueryResult]:
    """Ask `sql` of the snapshots that the options mean. Only what it names is read.

    `output` is the file that `QueryResult.parquet` may write. Raises UsageError (code `sql`) for SQL that cannot be
    run, Unavailable (codes `query-time`, `query-memory`, `query-data`, and the store's own), and Interrupted when
    cancelled.
    A snapshot or table that is missing, damaged or not what it says is left out, and is in `QueryResult.left_out`.
    """
    observer, cancel = observer or Observer(), cancel or Cancel()
    with closing(locked_engine.connect(options.memory)) as connection:
        for macro in MACROS:
            connection.execute(macro)
        wanted = guard.read(connection, sql)
        with cache.opened(options.cache, options.cache_bytes) as kept:
            question = _Question(connection, Catalog(store), kept, options, wanted.views, observer, cancel)
            try:
                question.prepare()
            except duckdb.OutOfMemoryException as error:
                raise locked_engine.too_large(options.memory) from error
            except duckdb.Error as error:
                raise locked_engine.unreadable("a table", str(error)) from error
            locked_engine.lock(connection, [*question.files, *([output] if output else [])])
            running = locked_engine.Running(
                connection,
                memory=options.memory,
                seconds=options.seconds,
                cancel=cancel,
                views=wanted.views,
                files=question.unchecked,
            )
            columns = _describe(running, wanted.sql)
            yield QueryResult(
                columns,
                len(question.selection.snapshots),
                question.left_out,
                running,
                wanted.sql,
                question.partials,
            )


class _Question:
    """Fills an engine with the views that one SELECT names."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        catalog: Catalog,
        kept: cache.Cache,
        options: QueryOptions,
        views: frozenset[str],
        observer: Observer,
        cancel: Cancel,
    ) -> None:
        self._connection, self._views, self._cancel = connection, views, cancel
        scans = not views.isdisjoint(("snapshots", *SCANNED))
        self.selection: ChosenSnapshots = choose(catalog, kept, options, cancel, scans=scans)
        self._records = ArchiveViews(connection, catalog, kept, cancel)
        self._known = schema.Known(kept)
        self._tables = TableFiles(catalog, kept, whole=options.whole, observer=observer, cancel=cancel)
        self.files: set[Path] = set()
        self.partials: dict[str, list[PartialFile]] = {}
        self.unchecked: dict[str, str] = {}  # whose table it is, by a file's path
        self.left_out: list[LeftOut] = list(self.selection.left_out)

    def prepare(self) -> None:
        """Make the views, and note what could not be among their rows."""
        for view in sorted(self._views):
            if view in SCANNED:
                self._scanned(view)
            else:
                self._records.fill(view, self.selection.snapshots)
        self.left_out += self._records.left_out + self._tables.left_out

    def _scanned(self, table: str) -> None:
        brought = self._fitting(table, self._tables.bring(table, self.selection.snapshots))
        columns = (*KEYS, Column("file", "VARCHAR", ""))
        scans = f"_scans_{table}"
        create(self._connection, scans, columns)
        rows = (keys(each.snapshot) | {"file": str(each.path)} for each, _ in brought)
        insert(self._connection, scans, columns, rows, self._cancel)
        files = {each.path: found for each, found in brought}
        self._connection.execute(schema.view(table, files, scans))
        self.files |= files.keys()
        for each, _ in brought:
            if each.sha256 is None:
                key = each.snapshot.run.key
                self.unchecked[str(each.path)] = f"{key.repo}@{key.run_id}: {table}"
        partials = {each.path: each.partial for each, _ in brought if each.partial is not None}
        if partials:
            self.partials[table] = list(partials.values())

    def _fitting(self, table: str, brought: Sequence[TableFile]) -> list[tuple[TableFile, schema.Schema]]:
        """The files whose columns are what the table's should be, with their schemas."""
        found = self._known.read(self._connection, {each.path: each.sha256 for each in brought})
        fitting: list[tuple[TableFile, schema.Schema]] = []
        for each in brought:
            columns = found[each.path]
            wrong = columns if isinstance(columns, str) else schema.misfit(table, columns)
            if isinstance(columns, str) or wrong:
                self.left_out.append(LeftOut(each.snapshot.run.key, table, wrong or ""))
            else:
                fitting.append((each, columns))
        return fitting


def _describe(running: locked_engine.Running, sql: str) -> list[tuple[str, str]]:
    running.execute(f"DESCRIBE SELECT * FROM (\n{sql}\n) AS t")  # noqa: S608 - guarded
    return [(str(name), str(kind)) for name, kind, *_ in running.fetch(10_000)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(value: str | None) -> str:
    if value is None:
        return "null"
    if not _NOT_JSON.search(value):
        return value
    return json.dumps(_scrubbed(json.loads(value)), ensure_ascii=False)


def _scrubbed(value: Any) -> Any:
    """The value with NaN and infinities as None. Nesting is as deep as a DuckDB type, which is bounded."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {key: _scrubbed(each) for key, each in value.items()}
    return [_scrubbed(each) for each in value] if isinstance(value, list) else value
