"""Figures from the tables that both the report and the digest show."""

from __future__ import annotations

from typing import Final, NamedTuple

from duckdb import DuckDBPyConnection

from snapshotter.scan import classify
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


class Package(NamedTuple):
    """One package, over all the manifests that name it.

    `path` is the one nearest to the root, and `paths` counts them all. `versions` are the exact ones in that
    manifest's folder. `requirements` and `scopes` are what that manifest asks for, and when it is needed.
    """

    ecosystem: str
    name: str
    versions: str | None
    requirements: str | None
    scopes: str | None
    path: str
    paths: int


PROSE: Final = f"|{'|'.join(classify.PROSE)}|"
"""The names of the languages of prose between bars, as SQL looks one up in them."""

_OF_FILES: Final = """
    SELECT count(*) FILTER (kind <> 'submodule'),
        coalesce(sum(code) FILTER (NOT coalesce(contains($1, '|' || language || '|'), false)), 0)::BIGINT,
        count(skip_reason)
    FROM files"""
# Of a small repository, the other counts in one query with these would take four times as long.
_COUNTS: Final = (
    "SELECT count(*) FROM symbols",
    "SELECT count(*) FROM dependencies",
    "SELECT count(*) FROM (SELECT DISTINCT ecosystem, name FROM dependencies)",
    "SELECT count(*) FROM secrets",
)
_LANGUAGES: Final = """
    SELECT language, count(*), coalesce(sum(code), 0)::BIGINT AS code, coalesce(sum(comment), 0)::BIGINT,
        coalesce(sum(complexity), 0)::BIGINT, min((-coalesce(code, 0), path))[2],
        contains($1, '|' || language || '|') AS prose
    FROM files WHERE language IS NOT NULL GROUP BY language ORDER BY prose, code DESC, language"""
_SKIPPED: Final = """
    SELECT skip_reason, count(*) AS n, coalesce(sum(bytes), 0)::BIGINT, min(path) FROM files
    WHERE skip_reason IS NOT NULL GROUP BY skip_reason ORDER BY n DESC, skip_reason LIMIT $1"""
_PARTLY: Final = """
    SELECT parse_error, count(*) AS n, coalesce(sum(bytes), 0)::BIGINT, min(path) FROM files
    WHERE parse_error IS NOT NULL GROUP BY parse_error ORDER BY n DESC, parse_error LIMIT $1"""
_SURENESS: Final = {"high": 0, "medium": 1}
_FINDINGS: Final = """
    SELECT path, line, rule, confidence, fingerprint FROM secrets
    ORDER BY CASE lower(confidence) WHEN 'high' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END,
        path, line, rule, fingerprint LIMIT $1"""

# Versions are taken from a folder, not from a file: the manifest asks, and the lock file beside it has the version.
# Of that folder `named_in` is the manifest, for min() puts files without versions first.
_PACKAGES: Final = """
    WITH rows AS (
        FROM dependencies SELECT *, regexp_replace(path, '[^/]*$', '') AS folder,
            length(path) - length(replace(path, '/', '')) AS depth),
    near AS (
        SELECT ecosystem, name, min((depth, folder))[2] AS folder, count(DISTINCT path) AS paths,
            coalesce(bool_or(direct), false) AS asked_for
        FROM rows GROUP BY ecosystem, name),
    nearest AS (
        FROM rows JOIN near USING (ecosystem, name, folder)
        SELECT *, min((version IS NOT NULL, path)) OVER (PARTITION BY ecosystem, name)[2] AS named_in),
    packages AS (
        SELECT ecosystem, name, asked_for, depth, paths, named_in AS path,
            string_agg(DISTINCT version, ', ' ORDER BY version) AS versions,
            string_agg(DISTINCT requirement, ', ' ORDER BY requirement)
                FILTER (requirement <> '' AND path = named_in) AS requirements,
            string_agg(DISTINCT scope, ', ' ORDER BY scope) FILTER (path = named_in) AS scopes
        FROM nearest GROUP BY ecosystem, name, asked_for, depth, paths, named_in)
    SELECT count(*) OVER (), ecosystem, name, versions, requirements, scopes, path, paths FROM packages
    WHERE asked_for = $1
    ORDER BY depth, path, ecosystem, contains(scopes, 'runtime') DESC, scopes, name LIMIT $2"""


# A lock file repeats what the manifests of its workspace ask for: its rows count where no manifest says the same.
_ASKED_FOR: Final = r"""
    WITH rows AS (
        FROM dependencies SELECT *, regexp_replace(path, '[^/]*$', '') AS folder,
            regexp_matches(path, '(lock(ed|file)?|shrinkwrap|resolved)(\.(json|ya?ml))?$') AS locked),
    named AS (
        FROM rows SELECT *, min((locked, path)) OVER same[2] AS named_in WHERE direct
        WINDOW same AS (PARTITION BY folder, ecosystem, name)
        QUALIFY NOT bool_and(locked) OVER same OR bool_and(locked) OVER (PARTITION BY ecosystem, name)),
    packages AS (
        SELECT ecosystem, name, folder, named_in AS path,
            string_agg(DISTINCT requirement, ', ' ORDER BY requirement)
                FILTER (requirement <> '' AND path = named_in) AS requirements,
            string_agg(DISTINCT scope, ', ' ORDER BY scope) FILTER (path = named_in) AS scopes
        FROM named GROUP BY ecosystem, name, folder, named_in),
    versions AS (
        SELECT ecosystem, name, folder AS above, string_agg(DISTINCT version, ', ' ORDER BY version) AS versions
        FROM rows WHERE version IS NOT NULL GROUP BY ecosystem, name, folder)
    SELECT count(*) OVER (), p.ecosystem, p.name, arg_max(v.versions, length(v.above)), requirements, scopes, path, 1
    FROM packages AS p LEFT JOIN versions AS v
        ON v.ecosystem = p.ecosystem AND v.name = p.name AND starts_with(p.folder, v.above)
    GROUP BY p.ecosystem, p.name, folder, path, requirements, scopes
    ORDER BY length(path) - length(replace(path, '/', '')), path, p.ecosystem, contains(scopes, 'runtime') DESC,
        scopes, p.name LIMIT $1"""


def totals(tables: DuckDBPyConnection) -> Totals:
    """The counts of everything in the tables."""
    ((files, code, unread),) = tables.execute(_OF_FILES, [PROSE]).fetchall()
    symbols, rows, names, leaked = (tables.execute(query).fetchall()[0][0] for query in _COUNTS)
    return Totals(files, code, symbols, rows, names, leaked, unread)


def languages(tables: DuckDBPyConnection) -> list[Language]:
    """All languages, by lines of code; those of prose last."""
    return [Language(*row) for row in tables.execute(_LANGUAGES, [PROSE]).fetchall()]


def skipped(tables: DuckDBPyConnection, most: int) -> list[UnreadFiles]:
    """The reasons for which files were skipped, the commonest first."""
    return [UnreadFiles(*row) for row in tables.execute(_SKIPPED, [most]).fetchall()]


def partly_read(tables: DuckDBPyConnection, most: int) -> list[UnreadFiles]:
    """Why analyzers could not read all of some files, the commonest reason first."""
    return [UnreadFiles(*row) for row in tables.execute(_PARTLY, [most]).fetchall()]


def findings(tables: DuckDBPyConnection, most: int) -> list[SecretRow]:
    """The first `most` secret findings: the surest first, and of those the ones in tests and examples last."""
    rows = [SecretRow(*row) for row in tables.execute(_FINDINGS, [most]).fetchall()]
    return sorted(rows, key=lambda one: (_SURENESS.get((one.confidence or "").lower(), 2), is_test(one.path)))


def packages(tables: DuckDBPyConnection, most: int, *, direct: bool) -> tuple[int, list[Package]]:
    """How many packages are direct, or with `direct=False` all others, and the first `most` of them."""
    rows = tables.execute(_PACKAGES, [direct, most]).fetchall()
    return (rows[0][0] if rows else 0), [Package(*row[1:]) for row in rows]


def asked_for(tables: DuckDBPyConnection, most: int) -> tuple[int, list[Package]]:
    """How many direct packages the folders with manifests have, each counted for itself, and the first `most`.

    Their `versions` are those that this folder knows, or else the nearest above it, where a workspace is locked.
    """
    rows = tables.execute(_ASKED_FOR, [most]).fetchall()
    return (rows[0][0] if rows else 0), [Package(*row[1:]) for row in rows]
