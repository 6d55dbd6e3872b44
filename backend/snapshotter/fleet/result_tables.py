"""Rows of a fleet's results as Parquet, and back: parts of a bounded size, read as what anybody may have written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from snapshotter.archive.fleet_table import STORED, ResultRow, row_of, select, values
from snapshotter.base.errors import Damaged, Unavailable

if TYPE_CHECKING:
    import duckdb

MAX_PART: Final = 64 * 1024 * 1024  # bytes of one object that a reader takes
MAX_ROWS: Final = 200_000  # rows of one object that a reader takes
_PART_ROWS: Final = 50_000  # rows of one that is written
_PART_TEXT: Final = 24 * 1024 * 1024  # characters of its long texts, which compress to a fifth or so
_PART_BYTES: Final = 32 * 1024 * 1024
_ROW_GROUP: Final = 20_480  # a multiple of DuckDB's vectors of 2,048
_FETCH: Final = 2_000  # rows that are Python objects at once
_MEMORY: Final = 128  # MiB that DuckDB may hold
_SPILL: Final = 1024  # MiB that it may put into its folder
_TYPES: Final = {column.name: column.type for column in STORED}


class Part(NamedTuple):
    """Rows as Parquet."""

    data: bytes
    rows: int


class ResultTables:
    """DuckDB for the rows of a fleet. A context manager; not for several threads at once.

    `folder` is a private one, for files on their way. Methods that write raise Unavailable (code `no-room`) when it, or
    the memory, cannot hold them.
    """

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        """No part is larger than `segment_bytes`, unless a single row is."""
        self._folder, self._limit = folder, min(segment_bytes, _PART_BYTES)
        self._opened: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()

    @staticmethod
    def digest(data: bytes) -> str:
        """The digest that a summary has of a part."""
        return hashlib.sha256(data).hexdigest()

    def parts(self, rows: Iterable[ResultRow]) -> Iterator[Part]:
        """The rows as Parquet, at most a part of them in memory at once; none of no rows."""
        from snapshotter.scan.loading import insert
        from snapshotter.scan.table_engine import room

        remaining = iter(rows)
        while True:
            with room():
                self._empty()
                chunk = _Chunk(remaining)
                insert(self._connection, "rows", _TYPES, chunk, self._folder / "rows.json")
                if not chunk.rows:
                    return
                ready = list(self._written(0, chunk.rows))
            yield from ready

    def read(self, data: bytes, key: str) -> Iterator[ResultRow | None]:
        """The rows of an object that lies under `key`; None for each that no run of ours writes.

        Raises Damaged for what is no such table, or larger than any of ours: whatever anybody put there, at any row.
        """
        import duckdb

        path = self._folder / "read.parquet"
        try:
            path.write_bytes(data)
            self._check(path, key)
            cursor = self._connection.execute(f"SELECT {select()} FROM read_parquet(?)", [str(path)])  # noqa: S608
            while rows := cursor.fetchmany(_FETCH):
                yield from map(row_of, rows)
        except (duckdb.Error, UnicodeError, MemoryError) as error:
            raise _damaged(key, "it cannot be read as Parquet") from error
        except OSError as error:
            raise Unavailable(
                f"the results of a fleet cannot be kept on this machine: {error.strerror}", code="no-room"
            ) from error
        finally:
            path.unlink(missing_ok=True)

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._opened is None:
            from snapshotter.scan import table_engine

            limits = table_engine.EngineLimits(_MEMORY, _SPILL, 1)
            self._opened = table_engine.connect(self._folder, [], limits)
        return self._opened

    def _empty(self) -> None:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in _TYPES.items())
        self._connection.execute(f"CREATE OR REPLACE TABLE rows ({columns})")

    def _written(self, start: int, count: int) -> Iterator[Part]:
        """A range of the table, in as many parts as its bytes need."""
        from snapshotter.scan.table_engine import literal

        path = self._folder / "part.parquet"
        self._connection.execute(
            f"COPY (FROM rows ORDER BY rowid LIMIT {count} OFFSET {start}) TO {literal(path)}"
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
        )
        data = path.read_bytes()
        path.unlink()
        if len(data) <= self._limit or count == 1:
            yield Part(data, count)
            return
        half = count // 2
        yield from self._written(start, half)
        yield from self._written(start + half, count - half)

    def _check(self, path: Path, key: str) -> None:
        """What a file declares, before any of its data is read."""
        described = self._connection.execute("DESCRIBE FROM read_parquet(?)", [str(path)]).fetchall()
        kinds = {name: kind for name, kind, *_ in described}
        if len(kinds) != len(described) or any(kinds.get(name) != kind for name, kind in _TYPES.items()):
            raise _damaged(key, "its columns are not those of a fleet's results")
        declared = self._connection.execute(
            "SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata(?)", [str(path)]
        ).fetchall()
        if not 0 <= sum(rows for _, rows in declared) <= MAX_ROWS or any(rows < 0 for _, rows in declared):
            raise _damaged(key, "it declares too many rows")


class _Chunk(Iterator[tuple[Any, ...]]):
    """As many of the rows as one part takes, as DuckDB's values. `rows` is how many that were."""

    def __init__(self, rows: Iterator[ResultRow]) -> None:
        self._remaining, self._text = rows, 0
        self.rows = 0

    def __next__(self) -> tuple[Any, ...]:
        if self.rows >= _PART_ROWS or self._text > _PART_TEXT:
            raise StopIteration
        row = next(self._remaining)
        self.rows += 1
        self._text += len(row.origin) + len(row.error or "") + len(row.manifest or "")
        return values(row)


def _damaged(key: str, why: str) -> Damaged:
    return Damaged(
        f"{key}: {why}", code="fleet-results", key=key, hint="the next run of the fleet writes a whole result"
    )
