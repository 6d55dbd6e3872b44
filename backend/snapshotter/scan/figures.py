"""Figures from the tables that both the report and the digest show."""

from __future__ import annotations

from typing import Final, NamedTuple

from duckdb import DuckDBPyConnection

from snapshotter.scan import classify
from snapshotter.scan.packages import Packages
from snapshotter.scan.ranking import is_test


class Totals(NamedTuple):
    """Counts over the whole tree. `files` has no submodules, `code` no lines of prose; `dependencies` are the rows of
    that table, one for each manifest that names a package, and `packages` counts each name of an ecosystem once."""

    files: int
    code: int
    symbols: int
    dependencies: int
    packages: int
    secrets: int
    skipped: int


class Language(NamedTuple):
    """One language: its files, its lines, and the path with most of them. Of prose, `code` is its lines of text."""

    name: str
    files: int
    code: int
    comment: int
    complexity: int
    largest: str
    prose: bool


class UnreadFiles(NamedTuple):
    """Files that were not read, or read in part, for one reason; `first` is the first path of them."""

    reason: str
    files: int
    bytes: int
    first: str


class SecretRow(NamedTuple):
    """One secret finding. `line` is 0 where the scanner gave none."""

    path: str
    line: int | None
    rule: str
    confidence: str | None
    fingerprint: str


IS_PROSE: Final = f"(language IN ({', '.join(repr(name) for name in classify.PROSE)}))"
"""Whether `language` is one of prose, in SQL: a constant, for to bind a parameter takes as long as a small query."""

_OF_FILES: Final = f"""
    SELECT count(*) FILTER (kind <> 'submodule'),
        coalesce(sum(code) FILTER (NOT coalesce({IS_PROSE}, false)), 0)::BIGINT, count(skip_reason)
    FROM files"""  # noqa: S608 - our own names
# Of a small repository, the other counts in one query with these would take four times as long.
_COUNTS: Final = ("SELECT count(*) FROM symbols", "SELECT count(*) FROM secrets")
_LANGUAGES: Final = f"""
    SELECT language, count(*), coalesce(sum(code), 0)::BIGINT AS code, coalesce(sum(comment), 0)::BIGINT,
        coalesce(sum(complexity), 0)::BIGINT, min((-coalesce(code, 0), path))[2],
        {IS_PROSE} AS prose
    FROM files WHERE language IS NOT NULL GROUP BY language ORDER BY prose, code DESC, language"""  # noqa: S608 - our own names
_SKIPPED: Final = """
    SELECT skip_reason, count(*) AS n, coalesce(sum(bytes), 0)::BIGINT, min(path) FROM files
    WHERE skip_reason IS NOT NULL GROUP BY skip_reason ORDER BY n DESC, skip_reason"""
_PARTLY: Final = """
    SELECT parse_error, count(*) AS n, coalesce(sum(bytes), 0)::BIGINT, min(path) FROM files
    WHERE parse_error IS NOT NULL GROUP BY parse_error ORDER BY n DESC, parse_error"""
_SURENESS: Final = {"high": 0, "medium": 1}
_FINDINGS: Final = """
    SELECT path, line, rule, confidence, fingerprint FROM secrets
    ORDER BY CASE lower(confidence) WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END,
        path, line, rule, fingerprint"""


def totals(tables: DuckDBPyConnection, packages: Packages) -> Totals:
    """The counts of everything in the tables, whose `packages` were counted before."""
    ((files, code, unread),) = tables.execute(_OF_FILES).fetchall()
    symbols, leaked = (tables.execute(query).fetchall()[0][0] for query in _COUNTS)
    return Totals(files, code, symbols, packages.rows, packages.names, leaked, unread)


def languages(tables: DuckDBPyConnection) -> list[Language]:
    """All languages, by lines of code; those of prose last."""
    return [Language(*row) for row in tables.execute(_LANGUAGES).fetchall()]


def skipped(tables: DuckDBPyConnection, most: int) -> list[UnreadFiles]:
    """The reasons for which files were skipped, the commonest first."""
    return [UnreadFiles(*row) for row in tables.execute(f"{_SKIPPED} LIMIT {most:d}").fetchall()]


def partly_read(tables: DuckDBPyConnection, most: int) -> list[UnreadFiles]:
    """Why analyzers could not read all of some files, the commonest reason first."""
    return [UnreadFiles(*row) for row in tables.execute(f"{_PARTLY} LIMIT {most:d}").fetchall()]


def findings(tables: DuckDBPyConnection, most: int) -> list[SecretRow]:
    """The first `most` secret findings: the surest first, and of those the ones in tests and examples last."""
    rows = [SecretRow(*row) for row in tables.execute(f"{_FINDINGS} LIMIT {most:d}").fetchall()]
    return sorted(rows, key=lambda one: (_SURENESS.get((one.confidence or "").lower(), 2), is_test(one.path)))
