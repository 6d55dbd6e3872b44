"""What a query is asked with, and what it left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from snapshotter.archive.layout import RunKey

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


@dataclass(frozen=True)
class LeftOut:
    """A snapshot, one table of its scan, or a whole repo (then `key` is its name), whose rows are not in the answer,
    and why."""

    key: RunKey | str
    what: str
    why: str

    @property
    def repo(self) -> str:
        """The repo that it is of."""
        return self.key if isinstance(self.key, str) else self.key.repo

    @property
    def run_id(self) -> str | None:
        """The run that it is of; None for a whole repo."""
        return None if isinstance(self.key, str) else str(self.key.run_id)

    def __str__(self) -> str:
        name = f"{self.repo}@{self.run_id}" if self.run_id else self.repo
        return f"{name}: {self.what} left out: {self.why}"

    def document(self) -> dict[str, str | None]:
        """As `--json` prints it."""
        return {"repo": self.repo, "run_id": self.run_id, "what": self.what, "why": self.why}
