"""DuckDB for the tables of scans: within limits, and locked to its own folder."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import duckdb

from snapshotter.base.errors import Unavailable
from snapshotter.scan.columns import COLUMNS, create
from snapshotter.scan.staging import TMPFS, has_room, private_folder

BEFORE: Final = "before_"  # how the names of the tables begin that are those of the scan before
_LEFT: Final = f"""
    SELECT table_name FROM duckdb_tables()
    WHERE NOT (starts_with(table_name, '{BEFORE}') AND estimated_size = 0)"""  # noqa: S608 - our own names
MAX_FETCHED: Final = 20_000  # rows that are Python objects at once
_ENGINES: Final = 2  # at once: what fills them is Python, of which one thread runs at a time
# Passes of DuckDB's optimizer that cost a small tree's queries a quarter of their time, and gain them nothing. Those
# that keep memory small whatever the tables hold are not among them.
_PASSES_LEFT_OUT: Final = """
    expression_rewriter empty_result_pullup cte_filter_pusher regex_range join_order unnest_rewriter
    statistics_propagation common_subexpressions common_aggregate column_lifetime row_group_pruner
    top_n_window_elimination build_side_probe_side compressed_materialization duplicate_groups reorder_filter
    sampling_pushdown join_filter_pushdown extension materialized_cte sum_rewriter late_materialization
    cte_inlining common_subplan join_elimination window_self_join""".split()


class EngineLimits(NamedTuple):
    """What DuckDB may use: memory, and beside it disk, both in MiB; and threads. `small` tables are of few files."""

    memory: int
    spill: int
    threads: int
    small: bool = False


LIMITS: Final = EngineLimits(memory=300, spill=2048, threads=2)
LIMITS_OF_FEW: Final = LIMITS._replace(threads=1, small=True)


def connect(folder: Path, readable: Iterable[Path], limits: EngineLimits) -> duckdb.DuckDBPyConnection:
    """An empty engine in memory that can be configured no further.

    It reaches nothing but `folder`, where it spills what does not fit its memory, and the files in `readable`: they
    may be an attacker's, and so may every text that is put into its tables.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{limits.memory}MiB",
            "threads": limits.threads,
            "temp_directory": str(folder / "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
        },
    )
    # Given in the configuration above, this limit is shown but does not hold (DuckDB 1.5).
    connection.execute(f"SET max_temp_directory_size = '{limits.spill}MiB'")
    connection.execute(f"SET allowed_directories = [{literal(folder)}]")
    connection.execute(f"SET allowed_paths = [{', '.join(literal(path) for path in readable)}]")
    if limits.small:
        connection.execute(f"SET disabled_optimizers = '{','.join(_PASSES_LEFT_OUT)}'")
    # Last, for it locks the two lists above too.
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def create_tables(connection: duckdb.DuckDBPyConnection, prefix: str = "") -> None:
    """The empty tables of a scan."""
    for table in COLUMNS:
        connection.execute(create(table, prefix))


class TableEngine(NamedTuple):
    """An engine, the folder that it reaches, and what ends it. It has no tables but those of a scan before, empty."""

    connection: duckdb.DuckDBPyConnection
    folder: Path
    ending: ExitStack


class TableEngines:
    """Engines for the tables of small scans, each for one scan after another: to open one takes a tenth of such a scan.

    A context manager. Safe to share between threads. Their folders lie in `tmpfs` if that has room for what they may
    spill, else in `temp`, by default the system's temporary folder.
    """

    def __init__(
        self, limits: EngineLimits = LIMITS_OF_FEW, *, temp: Path | None = None, tmpfs: Path = TMPFS
    ) -> None:
        self._limits, self._temp, self._tmpfs = limits, temp, tmpfs
        self._idle: list[TableEngine] = []
        self._free = threading.Semaphore(_ENGINES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop().ending.close()

    @contextmanager
    def lent(self) -> Iterator[TableEngine]:
        """An engine for one scan, once one is free. Its tables are dropped at the end; after an error, nobody gets it
        again.

        Raises Unavailable (code `machine`) if there is no room for its folder.
        """
        with self._free, ExitStack() as failed:
            engine = self._taken()
            failed.callback(engine.ending.close)
            yield engine
            if self._is_emptied(engine):
                self._idle.append(engine)
                failed.pop_all()

    def _taken(self) -> TableEngine:
        try:
            return self._idle.pop()
        except IndexError:
            return self._opened()

    def _opened(self) -> TableEngine:
        parent = self._tmpfs if has_room(self._tmpfs, self._limits.spill << 20) else self._temp
        with ExitStack() as opening:
            folder = opening.enter_context(private_folder(parent))
            connection = opening.enter_context(connect(folder, (), self._limits))
            create_tables(connection, BEFORE)
            return TableEngine(connection, folder, opening.pop_all())

    def _is_emptied(self, engine: TableEngine) -> bool:
        """Drop everything; whether nothing of the scan is left."""
        with suppress(duckdb.Error, OSError):
            for table in COLUMNS:
                engine.connection.execute(f"DROP TABLE IF EXISTS {table}")
            for path in engine.folder.iterdir():
                if path.name != "spill":
                    path.unlink()
            return engine.connection.execute(_LEFT).fetchall() == []
        return False


def streamed(found: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """The rows that a statement found, of which at most MAX_FETCHED are Python objects at once."""
    while rows := found.fetchmany(MAX_FETCHED):
        yield from rows


def literal(path: Path) -> str:
    """A path as a string in SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def first_line(error: Exception) -> str:
    """DuckDB's message without what follows its first line: a copy of the SQL, or a stack."""
    return str(error).partition("\n")[0][:300]


@contextmanager
def room() -> Iterator[None]:
    """Turn errors of memory and of files into Unavailable(code="no-room")."""
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException, OSError) as error:
        raise Unavailable(
            "the scan's tables need more room than there is",
            code="no-room",
            hint="give the temporary folder more space, or lower the limits of the scan",
            details=(first_line(error),),
        ) from error
