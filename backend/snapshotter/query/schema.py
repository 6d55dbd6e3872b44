"""What columns a stored Parquet file really has, and the view over files that differ.

Files of older releases lack columns, those of newer ones have more. A missing column is null, one that no view
knows is passed over. A file that has a view's column under another type is not what it says, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from snapshotter.archive import fleet_table
from snapshotter.query.cache import Cache
from snapshotter.query.engine import Engine, EngineFailed
from snapshotter.query.refusals import shortened
from snapshotter.query.sql_plan import PLACE
from snapshotter.query.sql_text import literal
from snapshotter.query.views import FLEET_RUNS, KEYS
from snapshotter.scan.columns import COLUMNS

# By its name, what columns a table that is read has, and their types.
_TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    **COLUMNS,
    FLEET_RUNS: {column.name: column.type for column in fleet_table.COLUMNS},
}
_KNOWN: Final = 20_000  # schemas that are remembered
Schema = tuple[tuple[str, str], ...]  # name and DuckDB type of each column, in the file's order


@dataclass(frozen=True)
class NotParquet:
    """A file that the engine cannot read, and why."""

    why: str


def schemas(engine: Engine, files: Sequence[Path]) -> dict[Path, Schema | NotParquet]:
    """The columns of each file, by one read of its footer, or that it is no Parquet."""
    if not files:
        return {}
    try:
        return _schemas(engine, files)
    except EngineFailed as error:
        if len(files) == 1:
            return {files[0]: NotParquet(shortened(str(error)))}
    half = len(files) // 2  # one of many: find it without reading each alone
    return schemas(engine, files[:half]) | schemas(engine, files[half:])


class KnownSchemas:
    """The schemas of objects that were read before, by digest. Bytes that have the digest have the schema."""

    def __init__(self, cache: Cache) -> None:
        self._cache, self._path = cache, cache.index("schemas")

    @cached_property
    def _schemas(self) -> dict[str, Schema]:
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=dict[str, Schema])
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}

    def read(self, engine: Engine, files: Mapping[Path, str | None]) -> dict[Path, Schema | NotParquet]:
        """The columns of each file, or that it is no Parquet. A file's digest is None where it was not checked."""
        known: dict[Path, Schema | NotParquet] = {
            path: self._schemas[digest] for path, digest in files.items() if digest in self._schemas
        }
        read = schemas(engine, [path for path in files if path not in known])
        fresh = {files[path]: schema for path, schema in read.items() if not isinstance(schema, NotParquet)}
        fresh.pop(None, None)
        if fresh:
            newest = dict([*fresh.items(), *self._schemas.items()][:_KNOWN])
            self._cache.write(self._path, msgspec.msgpack.encode(newest))
        return known | read


def misfit(table: str, schema: Schema) -> str | None:
    """What is wrong with a file's columns for this table, or None."""
    expected = _TABLES[table]
    names = [name for name, _ in schema]
    if len(set(names)) != len(names) or not expected.keys() & set(names):
        return "its columns are not those of this table"
    wrong = [f"{name} is {kind}" for name, kind in schema if expected.get(name, kind) != kind]
    return f"its columns are of other types: {', '.join(wrong)[:200]}" if wrong else None


def view(table: str, files: Mapping[Path, Schema], scans: str) -> str:
    """The SQL that makes the view `table` of files whose schemas fit.

    `scans` is the table that says for each file (column `file`) whose snapshots' it is.
    """
    columns = [f"s.{column.name}" for column in KEYS] + [f'p."{name}"' for name in COLUMNS[table]]
    return (
        f"CREATE VIEW {table} AS SELECT {', '.join(columns)} "  # noqa: S608 - all names are ours
        f"FROM {rows(table, files)} AS p JOIN {scans} AS s ON p.{place_of(table)} = s.file"
    )


def place_of(table: str) -> str:
    """The name of the column of `rows` that holds a row's file."""
    return f"{PLACE}{table}"


def rows(table: str, files: Mapping[Path, Schema]) -> str:
    """The rows of files whose schemas fit, as SQL that stands for a table: the table's columns, and each row's file."""
    place = place_of(table)
    alike: dict[Schema, list[Path]] = {}
    for path, schema in files.items():
        alike.setdefault(schema, []).append(path)
    parts = [_part(table, schema, paths, place) for schema, paths in alike.items()] or [_empty(table, place)]
    return f"({' UNION ALL '.join(parts)})"


def _part(table: str, schema: Schema, paths: Iterable[Path], place: str) -> str:
    there = {name for name, _ in schema}
    columns = [
        f'"{name}"' if name in there else f'NULL::{kind} AS "{name}"' for name, kind in _TABLES[table].items()
    ]
    listed = ", ".join(literal(str(path)) for path in paths)
    source = (
        f"read_parquet([{listed}], filename = '{place}', hive_partitioning = false, union_by_name = false)"
    )
    return f"SELECT {', '.join(columns)}, {place} FROM {source}"  # noqa: S608 - names are ours, paths quoted


def _empty(table: str, place: str) -> str:
    columns = [f'NULL::{kind} AS "{name}"' for name, kind in _TABLES[table].items()]
    return f"SELECT {', '.join(columns)}, NULL::VARCHAR AS {place} WHERE false"


def _schemas(engine: Engine, files: Sequence[Path]) -> dict[Path, Schema | NotParquet]:
    listed = ", ".join(literal(str(path)) for path in files)
    nodes: dict[str, list[tuple[Any, ...]]] = {}
    for name, *node in engine.rows(
        f"SELECT file_name, name, num_children, repetition_type, duckdb_type FROM parquet_schema([{listed}])"  # noqa: S608
    ):
        nodes.setdefault(name, []).append(tuple(node))
    return {path: _columns(nodes[str(path)]) for path in files}


def _columns(nodes: list[tuple[Any, ...]]) -> Schema:
    """The columns of a flat list of schema nodes, of which the first is the root and children follow their parents."""
    columns: list[tuple[str, str]] = []
    at = 1
    while at < len(nodes):
        name, children, _, kind = nodes[at]
        size = _size(nodes, at)
        if not children:
            columns.append((name, kind or "?"))
        elif size == 3 and nodes[at + 1][2] == "REPEATED" and not nodes[at + 2][1]:
            columns.append((name, f"{nodes[at + 2][3]}[]"))  # Parquet has three nodes for a list
        else:
            columns.append((name, "nested"))
        at += size
    return tuple(columns)


def _size(nodes: list[tuple[Any, ...]], at: int) -> int:
    """How many nodes the one at `at` and all below it are."""
    waiting, size = 1, 0
    while waiting and at + size < len(nodes):
        waiting += (nodes[at + size][1] or 0) - 1
        size += 1
    return max(size, 1)
