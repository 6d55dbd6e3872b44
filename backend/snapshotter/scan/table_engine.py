"""DuckDB for the tables of one scan: within limits, and locked to its own folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import duckdb

from snapshotter.base.errors import Unavailable


class EngineLimits(NamedTuple):
    """What DuckDB may use: memory, and beside it disk, both in MiB; and threads."""

    memory: int
    spill: int
    threads: int


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
    # Last, for it locks the two lists above too.
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


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
