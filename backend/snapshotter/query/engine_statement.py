"""One statement in DuckDB: executed, then read in parts that fit into an answer."""

from __future__ import annotations

from typing import Any, Final

import duckdb
import msgspec

_TRIES: Final = 5  # of a statement whose failure DuckDB does not explain
_FIRST: Final = 50  # rows, which tell how long the next ones may be
_ANSWER: Final = 4 * 1024 * 1024  # bytes of an answer's rows, if they are alike


class Statement:
    """A statement that runs on DuckDB's connection.

    Nobody interrupts it, since a query that ends kills the process. Yet when one of DuckDB's threads fails, it
    interrupts the others, and at times theirs is the error that DuckDB raises: seen in 2 of 288 runs on a busy
    machine. So what failed by an interrupt runs again, which tells the reason, as long as no row was handed out.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[str]) -> None:
        self._connection, self._sql, self._parameters = connection, sql, parameters
        self._fetched = 0  # rows

    def execute(self) -> None:
        """Begin it. Raises what DuckDB raises."""
        for _ in range(_TRIES):
            try:
                self._connection.execute(self._sql, self._parameters or None)
            except duckdb.InterruptException:
                continue
            return
        raise _unexplained()

    def rows(self, count: int) -> list[bytes]:
        """At most `count` more rows in parts, and fewer if they are long: they are in memory in several forms."""
        parts: list[bytes] = []
        step, size = min(_FIRST, count), 0
        while step:
            rows = self._fetch(step)
            if not rows:
                break
            parts.append(msgspec.msgpack.encode(rows))
            count, size = count - len(rows), size + len(parts[-1])
            step = min(count, max(0, _ANSWER - size) * len(rows) // len(parts[-1]))
        return parts

    def _fetch(self, count: int) -> list[tuple[Any, ...]]:
        for _ in range(_TRIES):
            try:
                rows = self._connection.fetchmany(count)
            except duckdb.InterruptException:
                if self._fetched:  # these would come twice
                    break
                self.execute()
            else:
                self._fetched += len(rows)
                return rows
        raise _unexplained()


def _unexplained() -> duckdb.Error:
    return duckdb.ConversionException("a part of it failed, and DuckDB does not say why")
