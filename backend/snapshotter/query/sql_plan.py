"""Which parts of large tables the SQL needs, by the engine's own plan of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from snapshotter.query.partial_file import PartialFile, Span
from snapshotter.query.running import Running
from snapshotter.query.sql_text import literal

PLACE: Final = "_place_"  # begins the name of the column that holds a row's file; the table's name follows

_COMPARISON: Final = re.compile(r"(\w+)(>=|<=|=|>|<)('[^']*'|-?\d{1,18})\Z")
_Value = TypeVar("_Value", int, bytes)


@dataclass(frozen=True)
class Reading:
    """One read of a table in the plan: its columns, and the conditions that a row must meet, as DuckDB writes them."""

    table: str | None
    columns: frozenset[str]
    conditions: tuple[str, ...]


def readings(running: Running, sql: str) -> list[Reading]:
    """Every read of a Parquet table in the plan of `sql`."""
    running.execute(f"EXPLAIN (FORMAT json) {sql}")
    plan = json.loads(running.fetch(1)[0][1])
    return [_reading(node) for node in _nodes(plan) if "PARQUET" in node.get("name", "")]


def fill(running: Running, partial: PartialFile, table: str, readings: Sequence[Reading]) -> None:
    """Fetch the columns and row groups of a large table that `readings` need."""
    # Bounds that are not exact were cut: a cut greatest value lies below the real one.
    running.execute(
        "SELECT row_group_id, path_in_schema, dictionary_page_offset, data_page_offset, "  # noqa: S608 - quoted
        "total_compressed_size, bloom_filter_offset, coalesce(bloom_filter_length, 1048576), type, "
        "CASE WHEN min_is_exact AND max_is_exact THEN [stats_min_value, stats_max_value] END "
        f"FROM parquet_metadata({literal(str(partial.path))})"
    )
    # A read whose table the plan does not name may be of this one.
    ours = [reading for reading in readings if reading.table in (table, None)]
    groups: dict[int, dict[str, _Chunk]] = {}
    while rows := running.fetch(10_000):
        for chunk in (_Chunk(*row) for row in rows):
            groups.setdefault(chunk.group, {})[chunk.column] = chunk
    spans: list[Span] = []
    for group in groups.values():
        for reading in ours:
            if all(may_hold(condition, group) for condition in reading.conditions):
                spans += [span for chunk in chunks_of(reading, group) for span in chunk.spans]
    partial.fill(spans)


def chunks_of(reading: Reading, group: dict[str, _Chunk]) -> list[_Chunk]:
    """The chunks of a row group that a reading needs: all of them where the plan does not name its table.

    A column that only a condition needs is not among the plan's columns; every word of a condition may be one.
    """
    if reading.table is None:
        return list(group.values())
    words = reading.columns.union(*(re.findall(r"\w+", condition) for condition in reading.conditions))
    return [chunk for chunk in group.values() if chunk.column in words]


def may_hold(condition: str, group: dict[str, _Chunk]) -> bool:
    """Whether a row group may have a row that meets the condition, by its columns' least and greatest values.

    True for every condition that is not a plain comparison with a text or a whole number.
    """
    for part in condition.split(" AND "):
        match = _COMPARISON.match(part)
        if match is None:
            return True
        chunk = group.get(match[1])
        if chunk is not None and not chunk.may_compare(match[2], match[3]):
            return False
    return True


@dataclass(frozen=True)
class _Chunk:
    """One column of one row group, as the footer says. Offsets and sizes are bytes."""

    group: int
    path: str
    dictionary: int | None
    data: int | None
    size: int
    bloom: int | None
    bloom_size: int
    type: str
    range: list[str | None] | None

    @property
    def column(self) -> str:
        """The name of the column; that of a list is followed by those of its parts."""
        return self.path.partition(", ")[0]

    @property
    def spans(self) -> list[Span]:
        """Where its pages are, and its bloom filter."""
        start = min(at for at in (self.dictionary, self.data, 1 << 62) if at)
        pages = (start, start + self.size)
        return [pages, (self.bloom, self.bloom + self.bloom_size)] if self.bloom else [pages]

    def may_compare(self, operator: str, text: str) -> bool:
        """Whether `value operator text` can be true of any value in the range."""
        least, greatest = self.range or (None, None)
        if least is None or greatest is None:
            return True
        if text.startswith("'") and self.type == "BYTE_ARRAY":
            if not (least + greatest).isascii() or "\\" in least + greatest:
                return True  # shown escaped, perhaps
            return _compare(operator, text[1:-1].encode(), least.encode(), greatest.encode())
        if not text.startswith("'") and self.type in ("INT32", "INT64"):
            return _compare(operator, int(text), int(least), int(greatest))
        return True


def _compare(operator: str, wanted: _Value, least: _Value, greatest: _Value) -> bool:
    answers: dict[str, bool] = {
        "=": least <= wanted <= greatest,
        ">": greatest > wanted,
        ">=": greatest >= wanted,
        "<": least < wanted,
        "<=": least <= wanted,
    }
    return answers[operator]


def _reading(node: dict[str, Any]) -> Reading:
    facts = node.get("extra_info", {})
    columns = _listed(facts.get("Projections"))
    tables = [name.removeprefix(PLACE) for name in columns if name.startswith(PLACE)]
    return Reading(tables[0] if tables else None, frozenset(columns), tuple(_listed(facts.get("Filters"))))


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def _nodes(plan: Any) -> Iterator[dict[str, Any]]:
    waiting = list(plan) if isinstance(plan, list) else [plan]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.get("children", [])
