"""A statement whose failure DuckDB does not explain at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb
import msgspec
import pytest

from snapshotter.query.engine_statement import Statement


class Interrupting:
    """DuckDB's connection; the calls named in `failing`, by their number from 0, raise that they were interrupted."""

    def __init__(self, execute: Iterable[int] = (), fetch: Iterable[int] = ()) -> None:
        self._connection = duckdb.connect()
        self._failing = {"execute": set(execute), "fetch": set(fetch)}
        self._calls = {"execute": 0, "fetch": 0}

    def execute(self, sql: str, parameters: list[str] | None) -> None:
        self._count("execute")
        self._connection.execute(sql, parameters)

    def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        self._count("fetch")
        return self._connection.fetchmany(count)

    def _count(self, call: str) -> None:
        number = self._calls[call]
        self._calls[call] += 1
        if number in self._failing[call]:
            raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")


def rows(connection: Any, count: int = 1000) -> list[Any]:
    statement = Statement(connection, "SELECT range FROM range(?::INT)", [str(count)])
    statement.execute()
    return [value for part in statement.rows(count) for (value,) in msgspec.msgpack.decode(part)]


@pytest.mark.parametrize(
    "connection",
    [Interrupting(), Interrupting(execute={0, 1}), Interrupting(fetch={0}), Interrupting({0, 2}, {0, 1})],
    ids=["never", "executing", "fetching", "both"],
)
def test_rows_come_once_each_though_the_statement_is_interrupted(connection: Interrupting) -> None:
    assert rows(connection) == list(range(1000))


@pytest.mark.parametrize(
    "connection",
    [Interrupting(execute=range(99)), Interrupting(fetch=range(99)), Interrupting(fetch={1})],
    ids=["executing", "fetching", "after rows were handed out"],
)
def test_an_interrupt_that_nothing_explains_is_an_error_of_the_sql(connection: Interrupting) -> None:
    with pytest.raises(duckdb.ConversionException, match="does not say why"):
        rows(connection)
