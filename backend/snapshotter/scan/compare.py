"""What changed in the tables since the scan before.

Each list is cut to `most` rows in a fixed order; the counts beside it are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

from duckdb import DuckDBPyConnection

from snapshotter.scan.version_order import Direction, direction

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Changed(Generic[Row]):
    """The exact count of one sort of change, and the first of them."""

    count: int
    rows: list[Row]


class ChangedFile(NamedTuple):
    """A path; `before` is the path it had, where its blob moved; `lines` is the change of its line count."""

    path: str
    before: str | None = None
    lines: int | None = None


class ChangedSymbol(NamedTuple):
    """A declaration that came, went, or changed its signature (`before` to `signature`)."""

    path: str
    line: int
    kind: str
    name: str
    signature: str
    before: str


class ChangedDependency(NamedTuple):
    """A package in a manifest; `old` and `new` are its versions, or requirements where it has none."""

    path: str
    ecosystem: str
    name: str
    old: str | None
    new: str | None

    @property
    def direction(self) -> Direction | str:
        """`added`, `removed`, `up`, `down`, or `changed` where versions have no order."""
        if self.old is None or self.new is None:
            return "added" if self.old is None else "removed"
        return direction(self.old, self.new)


class ChangedSecret(NamedTuple):
    """A finding that came or went; never its value."""

    path: str
    line: int
    rule: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ScanChanges:
    """Everything that changed between two scans."""

    files: dict[str, Changed[ChangedFile]]  # added, removed, moved, changed
    dependencies: dict[str, Changed[ChangedDependency]]  # up, down, changed, added, removed
    symbols: dict[str, Changed[ChangedSymbol]]  # added, removed, changed
    secrets: dict[str, Changed[ChangedSecret]]  # new, gone

    @property
    def empty(self) -> bool:
        """Whether nothing changed."""
        parts = (self.files, self.dependencies, self.symbols, self.secrets)
        return not any(one.count for part in parts for one in part.values())


# A blob that left one path and came to one other has moved. With several of either, nobody can say which went where.
_FILES: Final = """
    WITH old AS (SELECT path, blob, lines FROM before_files), new AS (SELECT path, blob, lines FROM files),
    gone AS (FROM old ANTI JOIN new USING (path)), came AS (FROM new ANTI JOIN old USING (path)),
    moved AS (
        SELECT any_value(came.path) AS path, any_value(gone.path) AS before FROM came JOIN gone USING (blob)
        GROUP BY blob HAVING count(*) = 1),
    every AS (
        SELECT 'moved' AS sort, path, before, NULL AS lines FROM moved
        UNION ALL SELECT 'added', path, NULL, lines FROM came ANTI JOIN moved USING (path)
        UNION ALL SELECT 'removed', path, NULL, -lines FROM gone ANTI JOIN moved ON gone.path = moved.before
        UNION ALL SELECT 'changed', path, NULL, new.lines - old.lines
        FROM new JOIN old USING (path) WHERE new.blob IS DISTINCT FROM old.blob)
    SELECT sort, count(*) OVER (PARTITION BY sort), path, before, lines FROM every
    QUALIFY row_number() OVER (PARTITION BY sort ORDER BY abs(coalesce(lines, 0)) DESC, path) <= $1
    ORDER BY sort, abs(coalesce(lines, 0)) DESC, path"""

# Only files that changed are compared: equal blobs have equal symbols, also where they moved to another path.
_SYMBOLS: Final = """
    WITH old_paths AS (
        SELECT path FROM before_files ANTI JOIN files USING (path, blob)
        WHERE blob IS NULL OR blob NOT IN (
            SELECT blob FROM files ANTI JOIN before_files USING (path) WHERE blob IS NOT NULL)),
    new_paths AS (
        SELECT path FROM files ANTI JOIN before_files USING (path, blob)
        WHERE blob IS NULL OR blob NOT IN (
            SELECT blob FROM before_files ANTI JOIN files USING (path) WHERE blob IS NOT NULL)),
    old AS (
        SELECT path, kind, qualified_name, min(line) AS line, string_agg(signature, ' · ' ORDER BY signature) AS text
        FROM before_symbols SEMI JOIN old_paths USING (path) GROUP BY ALL),
    new AS (
        SELECT path, kind, qualified_name, min(line) AS line, string_agg(signature, ' · ' ORDER BY signature) AS text
        FROM symbols SEMI JOIN new_paths USING (path) GROUP BY ALL),
    every AS (
        SELECT CASE WHEN old.path IS NULL THEN 'added' WHEN new.path IS NULL THEN 'removed' ELSE 'changed' END AS sort,
            coalesce(new.path, old.path) AS path, coalesce(new.line, old.line) AS line,
            coalesce(new.kind, old.kind) AS kind, coalesce(new.qualified_name, old.qualified_name) AS name,
            coalesce(new.text, '') AS signature, coalesce(old.text, '') AS before
        FROM new FULL JOIN old USING (path, kind, qualified_name)
        WHERE old.path IS NULL OR new.path IS NULL OR new.text IS DISTINCT FROM old.text)
    SELECT sort, count(*) OVER (PARTITION BY sort), path, line, kind, name, signature, before FROM every
    QUALIFY row_number() OVER (PARTITION BY sort ORDER BY kind IN ('variable', 'field'), path, line, name, kind) <= $1
    ORDER BY sort, kind IN ('variable', 'field'), path, line, name, kind"""

_DEPENDENCIES: Final = """
    WITH old AS (
        SELECT path, ecosystem, name,
            string_agg(DISTINCT coalesce(version, requirement), ', ' ORDER BY coalesce(version, requirement)) AS held
        FROM before_dependencies GROUP BY ALL),
    new AS (
        SELECT path, ecosystem, name,
            string_agg(DISTINCT coalesce(version, requirement), ', ' ORDER BY coalesce(version, requirement)) AS held
        FROM dependencies GROUP BY ALL)
    SELECT path, ecosystem, name, CASE WHEN old.path IS NOT NULL THEN coalesce(old.held, '') END,
        CASE WHEN new.path IS NOT NULL THEN coalesce(new.held, '') END
    FROM new FULL JOIN old USING (path, ecosystem, name)
    WHERE old.path IS NULL OR new.path IS NULL OR old.held IS DISTINCT FROM new.held
    ORDER BY name, ecosystem, path"""

_SECRETS: Final = """
    WITH every AS (
        SELECT 'gone' AS sort, path, line, rule, fingerprint FROM before_secrets
        WHERE fingerprint NOT IN (SELECT fingerprint FROM secrets)
        UNION ALL SELECT 'new', path, line, rule, fingerprint FROM secrets
        WHERE fingerprint NOT IN (SELECT fingerprint FROM before_secrets))
    SELECT sort, count(*) OVER (PARTITION BY sort), path, line, rule, fingerprint FROM every
    QUALIFY row_number() OVER (PARTITION BY sort ORDER BY path, line, rule, fingerprint) <= $1
    ORDER BY sort, path, line, rule, fingerprint"""

DEPENDENCY_SORTS: Final = ("down", "up", "changed", "added", "removed")


def compare(tables: DuckDBPyConnection, most: int) -> ScanChanges:
    """What changed from the `before_` tables to the others, at most `most` rows of each sort."""
    files = _sorted(tables.execute(_FILES, [most]).fetchall(), ("added", "removed", "moved", "changed"))
    symbols = _sorted(tables.execute(_SYMBOLS, [most]).fetchall(), ("added", "removed", "changed"))
    secrets = _sorted(tables.execute(_SECRETS, [most]).fetchall(), ("new", "gone"))
    return ScanChanges(
        {sort: Changed(n, [ChangedFile(*row) for row in rows]) for sort, (n, rows) in files.items()},
        _dependencies(tables, most),
        {sort: Changed(n, [ChangedSymbol(*row) for row in rows]) for sort, (n, rows) in symbols.items()},
        {sort: Changed(n, [ChangedSecret(*row) for row in rows]) for sort, (n, rows) in secrets.items()},
    )


def _sorted(
    rows: list[tuple[Any, ...]], sorts: tuple[str, ...]
) -> dict[str, tuple[int, list[tuple[Any, ...]]]]:
    by_sort: dict[str, tuple[int, list[tuple[Any, ...]]]] = {}
    for sort in sorts:
        of_sort = [row for row in rows if row[0] == sort]
        by_sort[sort] = (of_sort[0][1] if of_sort else 0, [row[2:] for row in of_sort])
    return by_sort


def _dependencies(tables: DuckDBPyConnection, most: int) -> dict[str, Changed[ChangedDependency]]:
    changes = [ChangedDependency(*row) for row in tables.execute(_DEPENDENCIES).fetchall()]
    by_sort: dict[str, list[ChangedDependency]] = {sort: [] for sort in DEPENDENCY_SORTS}
    for change in changes:
        by_sort[change.direction].append(change)
    return {sort: Changed(len(rows), rows[:most]) for sort, rows in by_sort.items()}
