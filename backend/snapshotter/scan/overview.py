"""What both the report and the digest are made of, read from the tables once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from duckdb import DuckDBPyConnection

from snapshotter.scan import figures
from snapshotter.scan.compare import Changes, compare
from snapshotter.scan.facts import Facts
from snapshotter.scan.folders import Folder, grow
from snapshotter.scan.ranking import Ranking, rank

_SYMBOLS: Final = 120  # ranked ones that fit a digest
_CHANGES: Final = 60  # rows of each sort
_PACKAGES: Final = 1_500
_REASONS: Final = 100
_TREE: Final = """
    SELECT path, language, coalesce(code, 0) FROM files
    WHERE kind <> 'submodule' AND skip_reason IS NULL ORDER BY coalesce(code, 0) DESC, path"""


@dataclass(frozen=True, slots=True)
class Overview:
    """`tree` is (path, language, lines of code) of the files that were read, longest first, and `root` the same
    by folder. `direct` and `indirect` are (count, the first of them). `changes` is None where there is no scan
    before. `leaking` are the paths with secret findings, of which no text is quoted."""

    totals: figures.Totals
    languages: list[figures.Language]
    tree: list[tuple[str, str | None, int]]
    root: Folder
    ranking: Ranking
    direct: tuple[int, list[figures.Package]]
    indirect: tuple[int, list[figures.Package]]
    changes: Changes | None
    skipped: list[figures.Unread]
    partly_read: list[figures.Unread]
    leaking: frozenset[str]


def overview(facts: Facts, tables: DuckDBPyConnection) -> Overview:
    """Everything that the report and the digest share, of the tables of `snapshotter.scan.tables.COLUMNS` and, under
    `before_` names, those of the scan before (empty where there is none)."""
    tree = tables.execute(_TREE).fetchall()
    return Overview(
        totals=figures.totals(tables),
        languages=figures.languages(tables),
        tree=tree,
        root=grow(tree),
        ranking=rank(tables, _SYMBOLS),
        direct=figures.packages(tables, _PACKAGES, direct=True),
        indirect=figures.packages(tables, _PACKAGES, direct=False),
        changes=compare(tables, _CHANGES, keyed=facts.keyed) if facts.compared else None,
        skipped=figures.skipped(tables, _REASONS),
        partly_read=figures.partly_read(tables, _REASONS),
        leaking=frozenset(path for (path,) in tables.execute("SELECT DISTINCT path FROM secrets").fetchall()),
    )
