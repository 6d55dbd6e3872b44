"""Tables and facts by hand, for the tests of what is made of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import duckdb

from snapshotter.archive.manifest import Gap, History, RefChange, RefChangeList, RefChanges
from snapshotter.scan.columns import COLUMNS
from snapshotter.scan.facts import Facts

Rows = list[dict[str, Any]]

_DEFAULTS: dict[str, dict[str, Any]] = {
    "files": {"mode": "100644", "kind": "file", "bytes": 100, "language": "Python", "lines": 10, "code": 8},
    "symbols": {
        "language": "Python",
        "kind": "function",
        "line": 1,
        "end_line": 3,
        "signature": "",
        "doc": "",
    },
    "imports": {"language": "Python", "module": "m", "names": [], "line": 1},
    "dependencies": {"ecosystem": "pypi", "requirement": "", "scope": "runtime", "direct": True, "purl": ""},
    "secrets": {"rule": "kingfisher.aws.1", "line": 1, "confidence": "high"},
}


def tables(before: dict[str, Rows] | None = None, **now: Rows) -> duckdb.DuckDBPyConnection:
    """A connection with the tables of `now` and, as the scan before, those of `before`. Columns that a row leaves out
    have defaults; a blob is its path's, so that what does not change is the same file."""
    connection = duckdb.connect()
    for prefix, rows in (("", now), ("before_", before or {})):
        for table, columns in COLUMNS.items():
            written = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            connection.execute(f"CREATE TABLE {prefix}{table} ({written})")
            if values := [_row(table, one) for one in rows.get(table, [])]:
                _insert(connection, prefix + table, columns, values)
    return connection


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, columns: dict[str, str], values: list[list[Any]]
) -> None:
    """One by one, which takes any text, or as JSON, which takes any number."""
    if len(values) <= 10:
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' for _ in columns)})", values)
        return
    kinds = {name: [kind[:-2]] if kind.endswith("[]") else kind for name, kind in columns.items()}
    rows = json.dumps([dict(zip(columns, row, strict=True)) for row in values])
    connection.execute(
        f"INSERT INTO {table} SELECT row.* FROM (SELECT unnest(from_json(?, ?)) AS row)",
        [rows, json.dumps([kinds])],
    )


def _row(table: str, given: dict[str, Any]) -> list[Any]:
    row = {"blob": f"blob of {given.get('path')}", **_DEFAULTS[table], **given}
    if table == "symbols":
        row.setdefault("qualified_name", row["name"])
        row["signature"] = row["signature"] or f"def {row['name']}()"
    return [row.get(column) for column in COLUMNS[table]]


def facts(**changed: Any) -> Facts:
    """The facts of a base snapshot, but for what is `changed`."""
    given: dict[str, Any] = {
        "repo": "example.org__team__shop",
        "origin": "https://example.org/team/shop",
        "run_id": "20261124T224632Z-4c1b63a5",
        "taken_at": datetime(2026, 11, 24, 22, 46, 32, tzinfo=UTC),
        "ref": "refs/heads/main",
        "commit": "c0ffee" * 6 + "c0ff",
        "kind": "base",
        "reason": "the first snapshot",
        "refs": 3,
        "chain": 1,
        "history": History(
            prerequisites=[],
            segments=["history.bundle"],
            bundle_sha256=None,
            pack_checksum="ab" * 20,
            objects=12,
            bytes=3456,
        ),
    }
    return Facts(**given | changed)


def hostile(text: str, said: str | None = None) -> tuple[Facts, duckdb.DuckDBPyConnection]:
    """Facts and tables in which every text that a repository can choose is `text`, now and before. What only
    scanners choose (languages, kinds and ecosystems) is `said`, or `text` too."""
    path, said = text, said or text
    rows: dict[str, Rows] = {
        "files": [
            {"path": path, "language": said, "kind": "file", "complexity": 3, "code": 40, "generated": True},
            {"path": f"{text}/b", "skip_reason": text, "language": said},
            {"path": f"{text}/c", "parse_error": text, "language": "Go", "code": 5},
        ],
        "symbols": [
            {"path": path, "name": text, "signature": text, "doc": text, "kind": said, "language": said},
            {"path": f"{text}/c", "name": "main", "signature": text, "doc": text, "language": "Go"},
        ],
        "imports": [{"path": f"{text}/c", "module": text, "names": [text], "resolved_path": path}],
        "dependencies": [
            {
                "path": path,
                "ecosystem": said,
                "name": text,
                "version": text,
                "requirement": text,
                "scope": text,
            },
            {
                "path": path,
                "ecosystem": said,
                "name": text + "2",
                "requirement": text,
                "scope": text,
                "direct": False,
            },
        ],
        "secrets": [{"path": f"{text}/s", "rule": text, "confidence": text, "fingerprint": text}],
    }
    before: dict[str, Rows] = {
        "files": [{"path": path, "blob": "old"}, {"path": f"{text}/gone"}],
        "symbols": [{"path": path, "name": text, "signature": text + "-", "kind": said}],
        "dependencies": [{"path": path, "ecosystem": said, "name": text, "version": text + "1"}],
        "secrets": [{"path": f"{text}/s", "rule": text, "fingerprint": text + "-"}],
    }
    change = RefChangeList(count=1, refs=[RefChange(ref=text, old=text, new=text)])
    told = facts(
        repo=text,
        origin=text,
        run_id=text,
        ref=text,
        commit=text,
        reason=text,
        parent=text,
        compared=text,
        keyed=True,
        gaps=[Gap(kind=text, count=2, sample=[text, text])],
        licences=[(text, [text])],
        readme=(text + "r", text + "\n\n# " + text),
        ref_changes=RefChanges(
            created=change, deleted=change, moved=change, rewritten=change, unknown=change
        ),
        texts={"Dockerfile": b"CMD " + text.encode("utf-8", "backslashreplace")},
        scanners={text: text},
        limits={text: text, "files": 5},
    )
    return told, tables(before, **rows)
