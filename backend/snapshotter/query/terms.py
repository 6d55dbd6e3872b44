"""What a query is asked with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

WHOLE = 4 * 1024 * 1024  # bytes; a table up to this size is read whole and checked, a larger one by parts


@dataclass(frozen=True)
class QueryOptions:
    """Which snapshots, and the limits. Sizes are bytes, `seconds` is how long the SQL may run.

    `memory` is what SQL may use; the process that runs it may take half as much again, and what it needs itself.

    `repos` are globs over repo names, of which one must match; `at` is the latest start of a snapshot.
    `cache` is None for a folder of this query only. `output` is the file that `QueryResult.parquet` may write.
    """

    at: datetime | None = None
    repos: tuple[str, ...] = ()
    history: bool = False
    memory: int = 1024**3
    seconds: float = 60.0
    cache: Path | None = None
    cache_bytes: int = 2 * 1024**3
    whole: int = WHOLE
    output: Path | None = None


@dataclass(frozen=True)
class Select:
    """One SELECT that may be run, and the views that it reads."""

    sql: str
    views: frozenset[str]
