"""What both the report and the digest show, read from the tables once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from duckdb import DuckDBPyConnection

from snapshotter.scan import figures
from snapshotter.scan.compare import Changed, ScanChanges, compare
from snapshotter.scan.facts import Facts
from snapshotter.scan.folder_tree import Folder, grow
from snapshotter.scan.packages import Packages, read_packages
from snapshotter.scan.ranking import Ranking, rank

_SYMBOLS: Final = 120  # ranked ones that fit a digest
_CHANGES: Final = 60  # rows of each sort; counts are exact whatever is cut
_PACKAGES: Final = 1_500
_REASONS: Final = 100
_FINDINGS: Final = 200
_TREE: Final = f"""
    SELECT path, language, CASE WHEN {figures.IS_PROSE} THEN 0 ELSE coalesce(code, 0) END AS weight
    FROM files WHERE kind <> 'submodule' AND skip_reason IS NULL ORDER BY weight DESC, path"""  # noqa: S608 - our own names

_LEAKING: Final = "SELECT path FROM secrets UNION SELECT path FROM before_secrets"


@dataclass(frozen=True, slots=True)
class Overview:
    """`tree` is (path, language, lines of code) of the files that were read, longest first (prose has none), and
    `root` the same by folder. `changes` is None if there is no scan before. `leaking` are the paths with secret
    findings, now or before: their symbols have only names here, for a signature may hold what no rule knows."""

    totals: figures.Totals
    languages: list[figures.Language]
    tree: list[tuple[str, str | None, int]]
    root: Folder
    ranking: Ranking
    packages: Packages
    changes: ScanChanges | None
    skipped: list[figures.UnreadFiles]
    partly_read: list[figures.UnreadFiles]
    leaking: frozenset[str]
    findings: list[figures.SecretRow]


def read_overview(facts: Facts, tables: DuckDBPyConnection) -> Overview:
    """The overview of one scan. `tables` holds the tables of `columns.COLUMNS` and, as `before_<table>`, those of
    the scan before (empty if there is none)."""
    tree = tables.execute(_TREE).fetchall()
    leaking = frozenset(path for (path,) in tables.execute(_LEAKING).fetchall())
    changes = compare(tables, _CHANGES) if facts.compared else None
    packages = read_packages(tables, _PACKAGES)
    return Overview(
        totals=figures.totals(tables, packages),
        languages=figures.languages(tables),
        tree=tree,
        root=grow(tree),
        ranking=_without_values(rank(tables, _SYMBOLS), leaking),
        packages=packages,
        changes=_changes_without_values(changes, leaking) if changes else None,
        skipped=figures.skipped(tables, _REASONS),
        partly_read=figures.partly_read(tables, _REASONS),
        leaking=leaking,
        findings=figures.findings(tables, _FINDINGS),
    )


def _without_values(ranking: Ranking, leaking: frozenset[str]) -> Ranking:
    symbols = [
        one._replace(signature=one.name, doc="") if one.path in leaking else one for one in ranking.symbols
    ]
    return Ranking(symbols, ranking.files)


def _changes_without_values(changes: ScanChanges, leaking: frozenset[str]) -> ScanChanges:
    symbols = {
        sort: Changed(
            changed.count,
            [
                one._replace(signature=one.name, before="") if one.path in leaking else one
                for one in changed.rows
            ],
        )
        for sort, changed in changes.symbols.items()
    }
    return replace(changes, symbols=symbols)
