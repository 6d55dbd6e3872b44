"""What SQL may be run: one SELECT over the views. Read by DuckDB's own parser, never by patterns.

This is the first of two fences: it refuses with a hint whatever is not one SELECT over the views. The second is the
engine's own lock (see locked_engine), which holds whatever gets past this one. Both are the engine's process's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import duckdb

from snapshotter.query.refusals import refusal, shortened
from snapshotter.query.terms import Select
from snapshotter.query.views import VIEWS

MAX_SQL: Final = 200_000  # characters
_TABLE_FUNCTIONS: Final = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
# Functions that tell about this machine, write to logs, or only waste time.
_FUNCTIONS: Final = frozenset(
    {"current_setting", "getenv", "getvariable", "write_log", "sleep_ms", "pg_sleep", "query", "query_table"}
)
# How the names of the engine's catalogue and of our inner tables begin. A WITH that takes such a name does not hide the
# real table everywhere in the statement, so these names never count as the WITH's own.
_INNER: Final = ("duckdb_", "pg_", "sqlite_", "pragma_", "_scans_")


def read(connection: duckdb.DuckDBPyConnection, sql: str) -> Select:
    """The SELECT in `sql`. Raises UsageError (code `sql`) for anything else, and for tables that are no views."""
    if len(sql) > MAX_SQL:
        raise refusal(f"it is longer than {MAX_SQL:,} characters")
    try:
        statements = connection.extract_statements(sql)
    except (duckdb.Error, UnicodeError) as error:
        raise refusal(shortened(str(error))) from None
    if len(statements) > 1 and not statements[0].query:  # DuckDB splits a PIVOT in two, to learn the columns
        raise refusal(
            "a PIVOT has to name its values: PIVOT files ON language IN ('Go', 'Rust') USING sum(code)"
        )
    if len(statements) != 1:
        raise refusal(f"it holds {len(statements)} statements, and one SELECT is run")
    statement = statements[0]
    if statement.type != duckdb.StatementType.SELECT:
        kind = str(statement.type).rpartition(".")[2]
        raise refusal(f"only SELECT is run, and this is {kind}")
    tree = _tree(connection, statement.query)
    return Select(_unended(statement.query), _views(tree))


def _unended(sql: str) -> str:
    """`sql` without the semicolons that end it: it is run within another SELECT."""
    written = sql.encode()
    for offset, _ in reversed(duckdb.tokenize(sql)):  # in bytes, comments left out
        if written[offset : offset + 1] != b";":
            break
        written = written[:offset]
    return written.decode()


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    try:
        tree = json.loads(row[0]) if row else {"error": True}
    except RecursionError:
        raise refusal("it is nested too deeply") from None
    if tree["error"]:
        raise refusal(str(tree.get("error_message", "it cannot be read")))
    return tree


def _views(tree: Any) -> frozenset[str]:
    nodes = list(_nodes(tree))
    named = {
        entry["key"].lower()
        for node in nodes
        if isinstance(node.get("cte_map"), dict)
        for entry in node["cte_map"].get("map", [])
        if not entry["key"].lower().startswith(_INNER)
    }
    views: set[str] = set()
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            views |= _table(node, named)
        elif kind == "TABLE_FUNCTION":
            function = str(node["function"].get("function_name", "")).lower()
            if function not in _TABLE_FUNCTIONS:
                raise refusal(f"{function}() is not for reading views")
        elif kind == "SHOW_REF" and not node.get("query"):
            raise refusal("SHOW lists what the engine holds, not the views")
        elif kind == "FUNCTION" and str(node.get("function_name", "")).lower() in _FUNCTIONS:
            raise refusal(f"{node['function_name']}() is not for reading views")
    return frozenset(views)


def _table(node: dict[str, Any], named: set[str]) -> set[str]:
    name = str(node.get("table_name", "")).lower()
    if node.get("schema_name") or node.get("catalog_name") or (name not in VIEWS and name not in named):
        parts = [node.get("catalog_name"), node.get("schema_name"), node.get("table_name")]
        raise refusal(f"there is no view {'.'.join(str(part) for part in parts if part)[:200]}")
    return {name} & VIEWS.keys()


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every node of a parsed statement, without recursion: SQL may be nested deeply."""
    waiting = [tree]
    while waiting:
        at = waiting.pop()
        if isinstance(at, dict):
            yield at
            waiting += at.values()
        elif isinstance(at, list):
            waiting += at
