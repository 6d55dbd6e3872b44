"""DuckDB, locked: nothing but the rows that it was given, within limits of memory and time.

The lock does not depend on reading the SQL: the engine may open the listed Parquet files (and write the one
output file, if there is one), no other file, no network, no extension, no Python variable, and no setting can be
changed back. Without a temporary folder it spills nothing to disk.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import duckdb

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.text import human_bytes, printable
from snapshotter.query.guard import refusal, shortened
from snapshotter.query.terms import QueryOptions

# What DuckDB raises for wrong SQL, and for values that do not fit. Every other error is about the data.
_ABOUT_SQL: Final = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.OutOfRangeException,
    duckdb.SyntaxException,
    duckdb.TypeMismatchException,
    duckdb.InvalidTypeException,
    duckdb.NotImplementedException,
    duckdb.PermissionException,
    duckdb.DependencyException,
)
_PARQUET: Final = re.compile(r"parquet|zstd|snappy|thrift|TProtocol|decompress", re.IGNORECASE)
_POLL: Final = 0.1  # seconds between two looks at the clock and the cancellation


def connect(memory: int) -> duckdb.DuckDBPyConnection:
    """An empty engine in memory, held to `memory` bytes; not locked yet."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": f"{memory}B",
            "threads": threads,
            "temp_directory": "",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def lock(connection: duckdb.DuckDBPyConnection, files: Iterable[Path]) -> None:
    """Close the engine to everything but `files`, for good."""
    listed = ", ".join(literal(str(path)) for path in files)
    connection.execute(f"SET allowed_paths = [{listed}]")
    # That cache would keep the holes of a file that is filled afterwards.
    connection.execute("SET enable_external_file_cache = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def literal(text: str) -> str:
    """Text as a string in SQL."""
    return "'" + text.replace("'", "''") + "'"


class Running:
    """SQL that runs within a time limit, and ends when it is cancelled."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        options: QueryOptions,
        cancel: Cancel,
        views: frozenset[str] = frozenset(),
        files: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`views` are those that the SQL names, for hints. `files` tells by its path whose table a large file is."""
        self.connection, self._views, self._files = connection, views, files
        self._memory, self._seconds, self._cancel = options.memory, options.seconds, cancel
        self._left = options.seconds  # of the time that the SQL may run
        self._late = False

    def execute(self, sql: str) -> None:
        """Begin a statement; its rows come by `fetch`."""
        with self._watched():
            self.connection.execute(sql)

    def fetch(self, count: int) -> list[tuple[Any, ...]]:
        """The next rows, none at the end."""
        with self._watched():
            return self.connection.fetchmany(count)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Only the engine's time counts: a reader of the rows may be as slow as it likes.

        The interrupt is repeated, since one that comes between two steps of the engine is lost.
        """
        self._cancel.check()
        began, done = time.monotonic(), threading.Event()

        def watch() -> None:
            while not done.wait(_POLL):
                self._late = time.monotonic() - began > self._left
                if self._late or self._cancel.cancelled:
                    self.connection.interrupt()

        watcher = threading.Thread(target=watch, daemon=True, name="query-watch")
        watcher.start()
        try:
            yield
        except duckdb.Error as error:
            self._cancel.check()
            raise self._translated(error) from error
        finally:
            done.set()
            watcher.join()
            self._left -= time.monotonic() - began

    def _translated(self, error: duckdb.Error) -> SnapshotterError:
        if isinstance(error, duckdb.InterruptException) and self._late:
            return Unavailable(
                f"the SQL ran for longer than {self._seconds:g} s",
                code="query-time",
                hint="raise --timeout, name fewer repositories with --repo, or read fewer rows",
            )
        if isinstance(error, duckdb.OutOfMemoryException):
            return too_large(self._memory)
        return _failure(error, self._views, self._files)


def _failure(error: duckdb.Error, views: frozenset[str], files: Mapping[str, str]) -> SnapshotterError:
    """The error for what DuckDB says: about the SQL (exit 2), or about the data that it read (exit 4).

    Only files whose digest was not checked can hold what no writer of ours wrote.
    """
    text = shortened(str(error))
    named = [name for path, name in files.items() if path in str(error)]
    unfit = isinstance(error, duckdb.InvalidInputException) and files and (named or _PARQUET.search(text))
    if isinstance(error, _ABOUT_SQL) and not unfit:
        return refusal(text, views)
    return unreadable(" or ".join(named or sorted(set(files.values()))[:3]) or "a table", text)


def unreadable(where: str, why: str) -> Unavailable:
    """The error for stored rows that the engine cannot read."""
    return Unavailable(
        f"{where} cannot be read: {printable(why)}",
        code="query-data",
        hint="run `snapshotter verify --quick` on it, or leave its repository out with --repo",
    )


def too_large(memory: int) -> Unavailable:
    """The error for SQL, or for the rows that it names, which do not fit into `memory` bytes."""
    return Unavailable(
        f"the SQL needs more memory than {human_bytes(memory)}",
        code="query-memory",
        hint="raise --memory, name fewer repositories with --repo, or group and sort fewer rows",
    )
