"""The tables of one scan: filled in memory, with the parent's scan beside them, and written as Parquet.

One DuckDB connection that reaches nothing but its own temporary folder and the parent's tables. What does not fit
its memory spills into that folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, Self

import duckdb

from snapshotter.base.errors import Damaged
from snapshotter.scan import table_engine
from snapshotter.scan.columns import COLUMNS, OF_A_BLOB, order
from snapshotter.scan.late_engines import LateEngines
from snapshotter.scan.loading import insert
from snapshotter.scan.symbols.records import Import
from snapshotter.scan.symbols.resolve import Resolve
from snapshotter.scan.table_engine import LIMITS, EngineLimits, TableEngines, literal

MAX_ROWS: Final = 10_000_000  # of one table of the parent
_CARRIED: Final = "WHERE path IN (SELECT now FROM pairs)"
_ROW_GROUP: Final = 20_480  # rows, a multiple of DuckDB's vectors of 2,048
_FEW: Final = 500  # files


class ScanTables:
    """The five tables of a scan and, as `before_<table>`, those of the parent's scan. A context manager.

    `temp` is a private folder that exists, best on tmpfs; nothing of the tables is left there at the end.
    Every method raises Unavailable(code="no-room") when the memory or the folder cannot hold the tables.
    """

    def __init__(
        self,
        *,
        temp: Path,
        memory: int = LIMITS.memory,
        spill: int = LIMITS.spill,
        threads: int = LIMITS.threads,
        engines: TableEngines | LateEngines | None = None,
    ) -> None:
        """`memory` is what DuckDB may hold, and `spill` what it may put into `temp` beside that, both in MiB; but the
        tables of few files may be put into one of the `engines`, with limits of their own."""
        self._temp, self._limits, self._engines = temp, EngineLimits(memory, spill, threads), engines
        self._before: Mapping[str, Path] = {}
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._folder = temp
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection, for readers of the tables by SQL. Its configuration is locked."""
        if self._connection is None:
            self._connection = self._opened()
        return self._connection

    def expect(self, files: int) -> None:
        """Say how many files there will be, before every other method: for few, a second thread costs more than it
        does, and so do good plans."""
        if files <= _FEW:
            self._limits = self._limits._replace(threads=1, small=True)

    def load_before(self, paths: Mapping[str, Path]) -> None:
        """Load the tables of the parent's scan, by name; one that is not there is empty.

        Comes before every other method. Raises Damaged for a file that is not such a
        table: no Parquet, other columns or types, nulls where there are none, more than MAX_ROWS rows, or
        more than this memory and folder hold.
        """
        if self._connection is not None:
            raise RuntimeError("the tables are open already")
        self._before = {table: paths[table].resolve() for table in COLUMNS if table in paths}
        for table, path in self._before.items():
            try:
                self._load(table, str(path))
            except duckdb.Error as error:
                raise _damaged(table, table_engine.first_line(error)) from error

    def before_files(self) -> list[dict[str, Any]]:
        """The rows of the parent's `files`, by column."""
        if not self._before:
            return []
        names = list(COLUMNS["files"])
        rows = self.connection.execute("FROM before_files").fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def told_before(self) -> frozenset[str]:
        """The paths of the parent's `dependencies`."""
        if not self._before:
            return frozenset()
        rows = self.connection.execute("SELECT DISTINCT path FROM before_dependencies").fetchall()
        return frozenset(path for (path,) in rows)

    def paths_changed(self) -> bool:
        """Whether `files` has other paths than the parent's, or one that is of another kind or skipped otherwise."""
        if not self._before:
            return True
        differing = self.connection.execute(
            "SELECT count(*) FROM files FULL JOIN before_files AS before ON files.path = before.path"
            " AND files.kind = before.kind AND files.skip_reason IS NOT DISTINCT FROM before.skip_reason"
            " WHERE files.path IS NULL OR before.path IS NULL"
        ).fetchone()
        return differing != (0,)

    def add(self, table: str, rows: Iterable[Sequence[object]]) -> None:
        """Add rows: values in the order of the table's columns, a list or a tuple where a column is a list.

        Text comes back exactly as it was; it must encode to UTF-8. A second row of one path in `files` is the
        caller's mistake: duckdb.ConstraintException.
        """
        with table_engine.room():
            insert(self.connection, table, COLUMNS[table], rows, self._path("rows.json"))

    def carry(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Take over the parent's rows of a path, in all tables but `files`: pairs of (path now, path before).

        The caller knows that both are the same blob. Without tables of the parent's, nothing happens.
        """
        if not self._before:
            return
        with table_engine.room():
            columns = {"now": "VARCHAR", "before": "VARCHAR"}
            self.connection.execute("CREATE OR REPLACE TABLE pairs (now VARCHAR, before VARCHAR)")
            insert(self.connection, "pairs", columns, pairs, self._path("rows.json"))
            for table in OF_A_BLOB:
                self.connection.execute(
                    f"INSERT INTO {table} SELECT before.* REPLACE (now AS path)"  # noqa: S608 - our own names
                    f" FROM before_{table} AS before JOIN pairs ON before.path = pairs.before"
                )

    def mark_secrets(self, repo: str) -> None:
        """Give every row of `secrets` a fingerprint that says nothing of its value: the SHA-256 of rule, repo, path,
        and the order of the finding among those of its rule in its file. An edit elsewhere in the file keeps it.
        """
        if not _count(self.connection, "FROM secrets"):
            return
        with table_engine.room():
            self.connection.execute(
                "UPDATE secrets SET fingerprint = sha256(concat_ws(chr(10), rule, $1, nth, path)) FROM ("
                "SELECT rowid AS id, row_number() OVER (PARTITION BY path, rule ORDER BY line) AS nth FROM secrets"
                ") AS ordered WHERE secrets.rowid = ordered.id",
                [repo],
            )

    def resolve_carried(self, resolve: Resolve) -> None:
        """Make those rows of `imports` anew that the last `carry` took over: one for each file that an import means
        now, with the names taken from it. Imports of one module on one line of a file count as one."""
        if not self._before:
            return
        columns = COLUMNS["imports"]
        with table_engine.room():
            self.connection.execute("CREATE OR REPLACE TEMP TABLE resolved AS FROM imports LIMIT 0")
            insert(self.connection, "resolved", columns, self._answers(resolve), self._path("rows.json"))
            self.connection.execute(f"DELETE FROM imports {_CARRIED}")  # noqa: S608 - our own names
            self.connection.execute("INSERT INTO imports FROM resolved")
            self.connection.execute("DROP TABLE resolved")

    def counts(self) -> dict[str, int]:
        """The number of rows of each table."""
        return {table: _count(self.connection, f"FROM {table}") for table in COLUMNS}

    def write(self, folder: Path) -> dict[str, Path]:
        """Write every table into `folder` as ``<table>.parquet``; the paths, by table.

        The same rows make the same bytes, in whatever order they were added, by one release of DuckDB.
        """
        written, connection = {}, self.connection
        with table_engine.room():
            for table in COLUMNS:
                path = self._path(f"{table}.parquet")
                connection.execute(
                    f"COPY (FROM {table} ORDER BY {order(table)}) TO {literal(path)}"
                    f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
                )
                written[table] = Path(shutil.move(path, folder / path.name))
        return written

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _opened(self) -> duckdb.DuckDBPyConnection:
        """A connection with empty tables that can be configured no further."""
        if self._engines is not None and self._limits.small and not self._before:
            connection, self._folder, _ = self._open.enter_context(self._engines.lent())
        else:
            self._folder = Path(
                self._open.enter_context(TemporaryDirectory(prefix="tables-", dir=self._temp))
            )
            connection = self._open.enter_context(
                table_engine.connect(self._folder, [*self._before.values()], self._limits)
            )
            table_engine.create_tables(connection, table_engine.BEFORE)
        table_engine.create_tables(connection)
        return connection

    def _load(self, table: str, path: str) -> None:
        """One table of the parent. What it declares is compared before any of its data is read."""
        described = self.connection.execute("DESCRIBE FROM read_parquet(?)", [path]).fetchall()
        if {name: kind for name, kind, *_ in described} != COLUMNS[table]:
            raise _damaged(table, "its columns are not those of this table")
        declared = self.connection.execute(
            "SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata(?)", [path]
        ).fetchall()
        if not 0 <= sum(rows for _, rows in declared) <= MAX_ROWS:
            raise _damaged(table, "it declares too many rows")
        self.connection.execute(f"INSERT INTO before_{table} BY NAME FROM read_parquet(?)", [path])

    def _answers(self, resolve: Resolve) -> Iterator[tuple[object, ...]]:
        """The rows of the carried imports, as they are once they are resolved.

        Reads by a cursor of its own, for the caller writes by the connection meanwhile.
        """
        cursor = self.connection.cursor().execute(
            "SELECT path, blob, language, module, line, list_sort(list_distinct(flatten(list(names))))"  # noqa: S608
            f" FROM imports {_CARRIED} GROUP BY path, blob, language, module, line"
        )
        for path, blob, language, module, line, names in table_engine.streamed(cursor):
            for taken, target in resolve(path, language, Import(module, tuple(names), line)):
                yield path, blob, language, module, taken, line, target


def _count(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    row = connection.execute(f"SELECT count(*) {source}").fetchone()
    return int(row[0]) if row else 0


def _damaged(table: str, why: str) -> Damaged:
    return Damaged(
        f"the parent's scan is damaged: {table}.parquet cannot be read",
        hint="take the snapshot with a full scan, and verify the parent",
        details=(why,),
    )
