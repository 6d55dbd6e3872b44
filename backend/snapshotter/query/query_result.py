"""The answer to one query: rows in the form that is asked for, taken from the locked engine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from snapshotter.query import sql_plan
from snapshotter.query.engine import ROWS
from snapshotter.query.left_out import LeftOut
from snapshotter.query.partial_file import PartialFile
from snapshotter.query.running import Running
from snapshotter.query.sql_text import identifier, literal

# Looked for in the text first: a value without such a word is JSON as it is, and need not be parsed.
_NOT_JSON: Final = re.compile(r"\b(?:NaN|Infinity)\b")


@dataclass
class QueryResult:
    """The rows of a query, to be taken once, and what is not among them."""

    columns: list[tuple[str, str]]  # name and DuckDB type; names are unique
    snapshots: int
    left_out: list[LeftOut]
    _running: Running
    _sql: str
    _partials: dict[str, list[PartialFile]] = field(default_factory=dict)

    def texts(self) -> Iterator[tuple[str | None, ...]]:
        """The rows with every value as DuckDB writes it, null as None."""
        return self._rows("CAST({} AS VARCHAR)")

    def json(self) -> Iterator[str]:
        """The rows as JSON objects. NaN and the infinities, which JSON has no number for, are null."""
        names = [json.dumps(name, ensure_ascii=False) for name, _ in self.columns]
        for row in self._rows("CAST(to_json({}) AS VARCHAR)"):
            values = [_plain(value) for value in row]
            yield "{" + ", ".join(f"{n}: {v}" for n, v in zip(names, values, strict=True)) + "}"

    def parquet(self, path: Path) -> int:
        """Write the rows to `QueryOptions.output`. Returns how many there are."""
        sql = self._wrapped("{}")
        self._fill(sql)
        self._running.execute(f"COPY ({sql}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")
        return int(self._running.fetch(1)[0][0])

    def _rows(self, form: str) -> Iterator[tuple[Any, ...]]:
        sql = self._wrapped(form)
        self._fill(sql)
        self._running.execute(sql)
        while rows := self._running.fetch(ROWS):
            yield from rows

    def _wrapped(self, form: str) -> str:
        """The user's SELECT with each column in another form. Columns go by number: names may be anything."""
        numbered = [f"c{number}" for number in range(len(self.columns))]
        shown = [
            f"{form.format(column)} AS {identifier(name)}"
            for column, (name, _) in zip(numbered, self.columns, strict=True)
        ]
        return f"SELECT {', '.join(shown)} FROM (\n{self._sql}\n) AS t({', '.join(numbered)})"  # noqa: S608 - guarded

    def _fill(self, sql: str) -> None:
        if self._partials:
            readings = sql_plan.readings(self._running, sql)
            for table, partials in self._partials.items():
                for partial in partials:
                    sql_plan.fill(self._running, partial, table, readings)


def _plain(value: str | None) -> str:
    if value is None:
        return "null"
    if not _NOT_JSON.search(value):
        return value
    return json.dumps(_scrubbed(json.loads(value)), ensure_ascii=False)


def _scrubbed(value: Any) -> Any:
    """The value with NaN and infinities as None. Nesting is as deep as a DuckDB type, which is bounded."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {key: _scrubbed(each) for key, each in value.items()}
    return [_scrubbed(each) for each in value] if isinstance(value, list) else value
