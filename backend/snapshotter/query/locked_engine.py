"""DuckDB, locked: nothing but the rows that it was given. Loaded in the engine's process alone.

The lock does not depend on reading the SQL: the engine may open the listed Parquet files (and write the one
output file, if there is one), no other file, no network, no extension, no Python variable, and no setting can be
changed back. Without a temporary folder it spills nothing to disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import duckdb

from snapshotter.query.sql_text import literal


def threads() -> int:
    """How many threads an engine has: one for each processor that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def connect(memory: int, threads: int) -> duckdb.DuckDBPyConnection:
    """An empty engine in memory, which counts at most `memory` bytes as its own; not locked yet."""
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


def lock(connection: duckdb.DuckDBPyConnection, files: Iterable[str]) -> None:
    """Close the engine to everything but `files`, for good."""
    listed = ", ".join(literal(path) for path in files)
    connection.execute(f"SET allowed_paths = [{listed}]")
    # That cache would keep the holes of a file that is filled afterwards.
    connection.execute("SET enable_external_file_cache = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
