"""A row of the table of LFS objects, `lfs.parquet`, for whoever reads or writes it without DuckDB."""

from __future__ import annotations

from typing import Final, NamedTuple

COLUMNS: Final[dict[str, str]] = {
    "oid": "VARCHAR",
    "bytes": "BIGINT",
    "held": "BOOLEAN",
    "keys": "VARCHAR[]",
    "path": "VARCHAR",
    "reason": "VARCHAR",
}


class LfsRow(NamedTuple):
    """One LFS object: its id (SHA-256) and size in bytes, and whether the store holds it.

    `keys` are where, in order, relative to the store's root; none unless it is held. `path` is one of the paths at
    which a tip's tree names it, None where none does or it is not known. `reason` says why it is not held.
    """

    oid: str
    bytes: int
    held: bool
    keys: list[str]
    path: str | None = None
    reason: str | None = None
