"""Rows into a DuckDB table, fast and exactly.

DuckDB takes parameters row by row, a thousand times slower than it reads a file. So rows go through a file of
JSON lines, each one an object of columns: lists of values for up to _CHUNK rows. JSON spells every string
of Unicode, NUL and line ends too, and null is not the empty string; CSV does neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import duckdb
import msgspec

from snapshotter.scan.table_engine import literal

_CHUNK: Final = 1024  # rows of one line
# Bytes. DuckDB sets aside 32 MiB a thread, or twice this if that is more.
MAX_LINE: Final = 4 * 1024 * 1024
MAX_FILE: Final = 32 * 1024 * 1024  # bytes that wait in the file

Row = Sequence[object]


def insert(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    rows: Iterable[Row],
    path: Path,
) -> None:
    """Insert rows, with values in the order of `columns` (name to DuckDB's type), into `table`.

    `path` is a file in a folder that the connection may read; it is gone afterwards. Raises duckdb.Error and
    OSError; rows before the failure may be in the table. Not for use inside a transaction.
    """
    types = ", ".join(f"'{name}': '{kind}[]'" for name, kind in columns.items())
    values = ", ".join(f'unnest("{name}")' for name in columns)
    read = (
        f"INSERT INTO {table} SELECT {values} FROM read_json({literal(path)}, columns = {{{types}}},"  # noqa: S608 - our own names
        f" format = 'newline_delimited', compression = 'uncompressed', maximum_object_size = {MAX_LINE})"
    )
    one = f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own names
    try:
        with path.open("wb") as file:
            for line, chunk in _lines(list(columns), iter(rows)):
                if len(line) >= MAX_LINE:  # a single row: the slow way has no limit
                    connection.execute(one, chunk[0])
                    continue
                file.write(line + b"\n")
                if file.tell() > MAX_FILE:  # the file may lie in memory
                    file.flush()
                    connection.execute(read)
                    file.seek(0)
                    file.truncate()
            file.flush()
            if file.tell():
                connection.execute(read)
    finally:
        path.unlink(missing_ok=True)


def _lines(names: list[str], rows: Iterator[Row]) -> Iterator[tuple[bytes, list[Row]]]:
    """Chunks of rows with their JSON; where that is as long as MAX_LINE, the chunk is a single row."""
    while chunk := list(islice(rows, _CHUNK)):
        yield from _encoded(names, chunk)


def _encoded(names: list[str], chunk: list[Row]) -> Iterator[tuple[bytes, list[Row]]]:
    columns = zip(*chunk, strict=True)
    line = msgspec.json.encode(dict(zip(names, columns, strict=True)))
    if len(line) < MAX_LINE or len(chunk) == 1:
        yield line, chunk
        return
    half = len(chunk) // 2
    yield from _encoded(names, chunk[:half])
    yield from _encoded(names, chunk[half:])
