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
