"""The scan's tables: their names and columns, the contract between writers and readers."""

from __future__ import annotations

from typing import Final

# DuckDB's types. `path_bytes` is base64, set only where the path is not UTF-8 and so was decoded with
# backslashreplace. `parse_error` says what of the file an analyzer could not read, though it was not skipped.
COLUMNS: Final[dict[str, dict[str, str]]] = {
    "files": {
        "path": "VARCHAR",
        "path_bytes": "VARCHAR",
        "mode": "VARCHAR",
        "blob": "VARCHAR",
        "kind": "VARCHAR",
        "bytes": "BIGINT",
        "language": "VARCHAR",
        "lines": "BIGINT",
        "code": "BIGINT",
        "comment": "BIGINT",
        "blank": "BIGINT",
        "complexity": "BIGINT",
        "binary": "BOOLEAN",
        "generated": "BOOLEAN",
        "minified": "BOOLEAN",
        "vendored": "BOOLEAN",
        "documentation": "BOOLEAN",
        "lfs_oid": "VARCHAR",
        "lfs_bytes": "BIGINT",
        "skip_reason": "VARCHAR",
        "parse_error": "VARCHAR",
    },
    "symbols": {
        "path": "VARCHAR",
        "blob": "VARCHAR",
        "language": "VARCHAR",
        "kind": "VARCHAR",
        "name": "VARCHAR",
        "qualified_name": "VARCHAR",
        "line": "INTEGER",
        "end_line": "INTEGER",
        "signature": "VARCHAR",
        "doc": "VARCHAR",
    },
    "imports": {
        "path": "VARCHAR",
        "blob": "VARCHAR",
        "language": "VARCHAR",
        "module": "VARCHAR",
        "names": "VARCHAR[]",
        "line": "INTEGER",
        "resolved_path": "VARCHAR",
    },
    "dependencies": {
        "path": "VARCHAR",
        "blob": "VARCHAR",
        "ecosystem": "VARCHAR",
        "name": "VARCHAR",
        "version": "VARCHAR",
        "requirement": "VARCHAR",
        "scope": "VARCHAR",
        "direct": "BOOLEAN",
        "purl": "VARCHAR",
    },
    "secrets": {
        "path": "VARCHAR",
        "blob": "VARCHAR",
        "rule": "VARCHAR",
        "line": "INTEGER",
        "confidence": "VARCHAR",
        "fingerprint": "VARCHAR",
    },
}

# What is never null. A path has one row in `files`; in every other table it may have any number.
REQUIRED: Final[dict[str, frozenset[str]]] = {
    "files": frozenset({"path", "mode", "kind"}),
    "symbols": frozenset({"path", "language", "kind", "name", "qualified_name", "line", "end_line"}),
    "imports": frozenset({"path", "language", "module", "names", "line"}),
    "dependencies": frozenset({"path", "ecosystem", "name"}),
    "secrets": frozenset({"path", "rule", "fingerprint"}),
}

# Tables whose rows follow from one blob, and so hold at any path that has it.
OF_A_BLOB: Final = ("symbols", "imports", "dependencies", "secrets")


def create(table: str, prefix: str = "") -> str:
    """The SQL statement that makes an empty table of this schema, named `prefix` and `table`."""
    columns = [
        f'"{name}" {kind}{" NOT NULL" if name in REQUIRED[table] else ""}'
        for name, kind in COLUMNS[table].items()
    ]
    if table == "files":
        columns.append("PRIMARY KEY (path)")
    return f"CREATE TABLE {prefix}{table} ({', '.join(columns)})"


def order(table: str) -> str:
    """The columns that a table is ordered by: path, then line if it has one, then all others.

    All columns, so that equal rows in any order of insertion make equal files.
    """
    first = [name for name in ("path", "line") if name in COLUMNS[table]]
    others = [name for name in COLUMNS[table] if name not in first]
    return ", ".join(f'"{name}"' for name in (*first, *others))
