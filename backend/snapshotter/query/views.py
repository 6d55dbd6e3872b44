"""The views that SQL sees: their columns, types and meanings. docs/query.md is held against this table."""

from __future__ import annotations

from typing import Final, NamedTuple

from snapshotter.archive import fleet_table
from snapshotter.scan.columns import COLUMNS


class ViewColumn(NamedTuple):
    """A view's column: its DuckDB type, and what it holds."""

    name: str
    type: str
    meaning: str


# Which snapshot a row belongs to; the first columns of every view.
KEYS: Final = (
    ViewColumn("repo", "VARCHAR", "the repository's name in the store, like github.com__psf__requests"),
    ViewColumn("run_id", "VARCHAR", "the run that took the snapshot"),
    ViewColumn("taken_at", "TIMESTAMP", "when the run started, UTC"),
)

_SNAPSHOTS: Final = (
    ViewColumn("origin", "VARCHAR", "where the repository lives, without credentials"),
    ViewColumn("kind", "VARCHAR", "base, increment, unchanged or empty"),
    ViewColumn("reason", "VARCHAR", "why it is of that kind"),
    ViewColumn("finished_at", "TIMESTAMP", "when the run ended, UTC"),
    ViewColumn("parent_run_id", "VARCHAR", "the snapshot before it, or null"),
    ViewColumn("head", "VARCHAR", "what HEAD points at, or the commit when detached"),
    ViewColumn("object_format", "VARCHAR", "sha1 or sha256"),
    ViewColumn("refs", "BIGINT", "number of refs"),
    ViewColumn("objects", "BIGINT", "objects in this run's bundle, or null without one"),
    ViewColumn("history_bytes", "BIGINT", "bytes of this run's bundle, or null without one"),
    ViewColumn("stored_bytes", "BIGINT", "bytes of all artifacts that this run wrote"),
    ViewColumn("chain_length", "BIGINT", "bundles that restore the snapshot"),
    ViewColumn("labels", "MAP(VARCHAR, VARCHAR)", "the run's labels: labels['team']"),
    ViewColumn(
        "gaps", "STRUCT(kind VARCHAR, count BIGINT)[]", "what the snapshot and its scan knowingly lack"
    ),
    ViewColumn(
        "lfs_objects", "BIGINT", "LFS objects that its pointers name, or null where that is not known"
    ),
    ViewColumn("lfs_held", "BIGINT", "how many of them the store has"),
    ViewColumn("lfs_bytes", "BIGINT", "bytes of those that the store has"),
    ViewColumn("tool_version", "VARCHAR", "the release that took it"),
    ViewColumn("scan_run_id", "VARCHAR", "the run that wrote the scan's tables, or null without a scan"),
    ViewColumn("scan_ref", "VARCHAR", "the ref that was scanned"),
    ViewColumn("scan_commit", "VARCHAR", "the commit that was scanned"),
    ViewColumn("committed_at", "TIMESTAMP", "when that commit was made, UTC; null where it is not known"),
    ViewColumn("licences", "VARCHAR[]", "SPDX ids of the top-level licence files"),
)
_REFS: Final = (
    ViewColumn("ref", "VARCHAR", "the full name, like refs/heads/main, or HEAD"),
    ViewColumn("ref_bytes", "VARCHAR", "the name in base64 where it is not UTF-8"),
    ViewColumn("oid", "VARCHAR", "what it points at; null for a HEAD that dangles"),
    ViewColumn("peeled", "VARCHAR", "what an annotated tag points at in the end"),
    ViewColumn("symref", "VARCHAR", "the target of a symbolic ref"),
    ViewColumn("committed_at", "TIMESTAMP", "when its commit was made, UTC; null where no run has read it"),
)
_REF_CHANGES: Final = (
    ViewColumn("change", "VARCHAR", "created, deleted, moved, rewritten (also listed as moved) or unknown"),
    ViewColumn("ref", "VARCHAR", "the full name"),
    ViewColumn("ref_bytes", "VARCHAR", "the name in base64 where it is not UTF-8"),
    ViewColumn("old", "VARCHAR", "what it pointed at in the snapshot before; for HEAD its target"),
    ViewColumn("new", "VARCHAR", "what it points at now"),
)

# A row a repository of each run of a fleet. There, run_id may be null: nothing was ever taken.
_FLEET_RUNS: Final = (
    ViewColumn("inventory", "VARCHAR", "the name of the fleet's inventory"),
    ViewColumn("fleet_run_id", "VARCHAR", "the fleet's run, which --history shows all of"),
    ViewColumn("fleet_started_at", "TIMESTAMP", "when that started, UTC"),
    *(ViewColumn(*column) for column in fleet_table.COLUMNS if column.name not in ("repo", "run_id")),
)

_MEANINGS: Final[dict[str, dict[str, str]]] = {
    "files": {
        "path": "the path in the repository",
        "path_bytes": "the path in base64 where it is not UTF-8",
        "mode": "git's mode, like 100644",
        "blob": "the id of the content",
        "kind": "file, symlink, submodule or lfs",
        "bytes": "size; null for a submodule",
        "language": "as scc names it, by its name and text or as .gitattributes say; or null",
        "lines": "all lines",
        "code": "lines of code",
        "comment": "lines of comment",
        "blank": "blank lines",
        "complexity": "scc's count of branches",
        "binary": "whether it is no text",
        "generated": "whether it or .gitattributes say that a program wrote it",
        "minified": "whether it is minified",
        "vendored": "whether it is other people's code: by its folder, or as .gitattributes say",
        "documentation": "whether it is documentation: by its name or folder, or as .gitattributes say",
        "lfs_oid": "the object that a Git LFS pointer names",
        "lfs_bytes": "its size",
        "skip_reason": "why it was not read, or null",
        "parse_error": "what an analyzer could not read of it, or null",
    },
    "symbols": {
        "path": "where it is defined",
        "blob": "the id of the file's content",
        "language": "of the file",
        "kind": "class, function, method, type, constant…",
        "name": "its own name",
        "qualified_name": "with the names that it lies in",
        "line": "first line, from 1",
        "end_line": "last line",
        "signature": "as written, in one line; never a string literal or a default value",
        "doc": "first sentence of its documentation",
    },
    "imports": {
        "path": "the file that imports",
        "blob": "the id of its content",
        "language": "of the file",
        "module": "as written",
        "names": "the names that are taken from it, in order",
        "line": "from 1",
        "resolved_path": "the file inside the repository that it means (the folder where a package is one), or null",
    },
    "dependencies": {
        "path": "the manifest or lock file",
        "blob": "the id of its content",
        "ecosystem": "the purl type: pypi, npm, golang, cargo, maven, gem, composer, nuget, pub, swift, github, docker",
        "name": "as the ecosystem writes it; group:artifact for Maven",
        "version": "exact, or null where only a requirement is known; of actions and images the tag that is written",
        "requirement": "as written, or null",
        "scope": "when it is needed, in the manifest's word; null where a lock file does not tell",
        "direct": "whether the project asks for it itself; null where a lock file does not tell",
        "purl": "the package URL; null for what comes from no registry: a folder, a git repository, an address",
    },
    "secrets": {
        "path": "the file",
        "blob": "the id of its content",
        "rule": "what was found, by the scanner's rule",
        "line": "from 1",
        "confidence": "the scanner's",
        "fingerprint": "the same for the same secret under one key; never the value",
    },
}

FLEET_RUNS: Final = "fleet_runs"  # the view whose rows are the results of fleets' runs
# The views whose rows are the scan's Parquet tables; the others are made of manifests and refs ledgers.
SCANNED: Final = tuple(COLUMNS)
VIEWS: Final[dict[str, tuple[ViewColumn, ...]]] = {
    "snapshots": KEYS + _SNAPSHOTS,
    "refs": KEYS + _REFS,
    **{
        table: KEYS
        + tuple(ViewColumn(name, kind, _MEANINGS[table].get(name, "")) for name, kind in columns.items())
        for table, columns in COLUMNS.items()
    },
    "ref_changes": KEYS + _REF_CHANGES,
    FLEET_RUNS: KEYS + _FLEET_RUNS,
}

# `version_key('2.9') < version_key('2.17')`. Seventeen numbers: the epoch (`1!2.0`, Debian's `1:2`), eight of the
# release, and eight of what follows it, so that 2.17 = 2.17.0 and 2.17-rc1 = 2.17.0-rc.1. Words for what comes before
# a release count below zero, for what comes after it between zero and one, as does a letter right behind the
# release (OpenSSL's 1.1.1w, tzdata's 2024b, z before za). Build metadata (+…) does not count. Null for what does not
# begin like a version.
_WORDS: Final = {
    "~": -7,
    "dev": -6,
    "a": -5,
    "alpha": -5,
    "b": -4,
    "beta": -4,
    "m": -3,
    "milestone": -3,
    "rc": -2,
    "c": -2,
    "cr": -2,
    "pre": -2,
    "preview": -2,
    "snapshot": -1,
    "post": 0.5,
    "sp": 0.5,
    "p": 0.5,
}
_RANKS: Final = "MAP {" + ", ".join(f"'{word}': {rank}" for word, rank in _WORDS.items()) + "}"
_RELEASE: Final = r"^\s*[vV=]?\s*(?:(\d+)[!:])?(\d+(?:\.\d+)*)"
MACROS: Final = (
    rf"""CREATE MACRO version_key(version) AS
    CASE WHEN regexp_matches(version, '{_RELEASE}') AND NOT regexp_matches(version, '^[0-9a-f]{{40}}') THEN list_concat(
      list_resize(list_transform(string_split(
        concat_ws('.', regexp_extract(version, '{_RELEASE}', 1), regexp_extract(version, '{_RELEASE}', 2)), '.'),
        lambda part: coalesce(try_cast(part AS DOUBLE), 0)), 9, 0::DOUBLE),
      list_resize(list_transform(regexp_extract_all(regexp_replace(
        lower(regexp_replace(regexp_replace(version, '{_RELEASE}', ''), '[+\s].*$', '')),
        '^(z?[a-z])(?:-|$)', '@\1 '), '@[a-z]+|\d+|[a-z]+|~'),
        lambda part: coalesce(
          CASE WHEN part[1] = '@' THEN (ascii(part[2]) - 96) / 100 + greatest(ascii(part[3]) - 96, 0) / 10000 END,
          try_cast(part AS DOUBLE), {_RANKS}[part]::DOUBLE, 0)), 8, 0::DOUBLE))
    END""",
)


def text() -> list[str]:
    """The views and their columns, as `snapshotter query --schema` prints them."""
    lines: list[str] = []
    for view, columns in VIEWS.items():
        lines += ["", view] if lines else [view]
        lines += [f"  {column.name:<15} {column.type:<11} {column.meaning}" for column in columns]
    return [*lines, "", *MACRO_HELP]


MACRO_HELP: Final = (
    "version_key(version)",
    "  compares versions as people mean them: version_key('2.9') < version_key('2.17'); 2.17 equals 2.17.0,",
    "  2.17-rc1 comes before it, 1.1.1w after 1.1.1, 1!1.0 after both; null for what is no version",
)
