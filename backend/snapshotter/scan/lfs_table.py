"""The table of a snapshot's LFS objects, `lfs.parquet`: written and read within limits: it may be an attacker's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb

from snapshotter.base.errors import Damaged
from snapshotter.scan import table_engine
from snapshotter.scan.lfs_rows import COLUMNS, LfsRow
from snapshotter.scan.loading import insert
from snapshotter.scan.table_engine import literal

MAX_ROWS: Final = 2_000_000
_OID: Final = re.compile(r"[0-9a-f]{64}")
_LIMITS: Final = table_engine.EngineLimits(memory=128, spill=1024, threads=1)


def write(rows: Iterable[LfsRow], temp: Path | None = None) -> bytes:
    """The table of these rows, sorted by id. Raises Unavailable (code `no-room`) without room in `temp`."""
    with table_engine.room(), TemporaryDirectory(prefix="lfs-", dir=temp) as name:
        folder = Path(name).resolve()
        connection = table_engine.connect(folder, [], _LIMITS)
        with connection:
            columns = ", ".join(f"{column} {kind}" for column, kind in COLUMNS.items())
            connection.execute(f"CREATE TABLE lfs ({columns})")
            insert(connection, "lfs", COLUMNS, rows, folder / "rows.json")
            path = folder / "lfs.parquet"
            connection.execute(
                f"COPY (FROM lfs ORDER BY oid, bytes) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd)"
            )
        return path.read_bytes()


def read(data: bytes, key: str, temp: Path | None = None) -> list[LfsRow]:
    """The rows of a table whose digest was checked. Raises Damaged, with its `key`, if it is no such table.

    Every `oid` is a SHA-256 in hex, no object is listed twice, and of each id one row at most is held.
    """
    with table_engine.room(), TemporaryDirectory(prefix="lfs-", dir=temp) as name:
        folder = Path(name).resolve()
        path = folder / "lfs.parquet"
        path.write_bytes(data)
        connection = table_engine.connect(folder, [], _LIMITS)
        with connection:
            try:
                described = connection.execute("DESCRIBE FROM read_parquet(?)", [str(path)]).fetchall()
                if {column: kind for column, kind, *_ in described} != COLUMNS:
                    raise _damaged(key, "its columns are not those of a table of LFS objects")
                rows = connection.execute(
                    f"SELECT {', '.join(COLUMNS)} FROM read_parquet(?) LIMIT {MAX_ROWS + 1}",  # noqa: S608 - our own names
                    [str(path)],
                ).fetchall()
            except duckdb.Error as error:
                raise _damaged(key, table_engine.first_line(error)) from error
    if len(rows) > MAX_ROWS:
        raise _damaged(key, f"it has more than {MAX_ROWS:,} rows")
    if any(None in row[:4] or None in row[3] for row in rows):
        raise _damaged(key, "it has nulls where there are none")
    objects = [LfsRow(*row) for row in rows]
    if wrong := _wrong(objects):
        raise _damaged(key, wrong)
    return objects


def _wrong(rows: Sequence[LfsRow]) -> str | None:
    """What is in these rows that no run writes; None if nothing is. Ids become the names of files."""
    if not all(_OID.fullmatch(row.oid) and row.bytes >= 0 for row in rows):
        return "it has an id that is no SHA-256, or a size below 0"
    held = [row.oid for row in rows if row.held]
    if len({(row.oid, row.bytes) for row in rows}) != len(rows) or len({*held}) != len(held):
        return "it lists an object twice"
    return None


def _damaged(key: str, why: str) -> Damaged:
    return Damaged(
        f"{key}: it cannot be read: {why}", hint="run `snapshotter verify` on its snapshot", key=key
    )
