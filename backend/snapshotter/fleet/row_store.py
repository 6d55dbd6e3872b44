"""Rows of a fleet by repo, in a file of this machine: a million of them, of which few are in memory.

What a run knows of earlier ones, and what it has done itself, is looked up by repo and read in order at the end. As
objects of Python a million rows would take several gigabytes.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from snapshotter.archive.fleet_table import ResultRow, decoded, encoded
from snapshotter.base.errors import Unavailable
from snapshotter.fleet.ledger import Head

_CACHE: Final = 32 * 1024  # KiB of pages in memory
_BATCH: Final = 1000  # rows that are read at once, and repos that are asked for at once
_SAMPLE: Final = 32 * 1024  # bytes that zlib looks back


class RowStore:
    """Rows by repo, the last one put counts. A context manager; safe to share between threads.

    Every method raises Unavailable (code `disk`) when the file cannot hold or give what is asked.
    """

    def __init__(self, path: Path) -> None:
        """`path` is a file in a private folder, whose owner removes it."""
        self._path, self._lock = path, threading.Lock()
        self._sample = b""  # a row that the others are like: with it a manifest takes a sixth of its size

    def __enter__(self) -> Self:
        with _disk():
            self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            # Nothing here outlives the process: what is lost in a crash is made anew from the store.
            for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE}"):
                self._connection.execute(f"PRAGMA {setting}")
            self._connection.execute(
                "CREATE TABLE rows (repo TEXT PRIMARY KEY, weight INTEGER, good_at REAL, row BLOB) WITHOUT ROWID"
            )
            self._connection.execute("BEGIN")  # and never an end: each would write the pages that changed
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def put(self, rows: Iterable[ResultRow]) -> None:
        """Put rows in the place of those that their repos have."""
        remaining = iter(rows)
        while batch := list(islice(remaining, _BATCH)):
            with self._lock, _disk():
                packed = [
                    (
                        row.repo,
                        row.chain_bytes,
                        row.good_at.timestamp() if row.good_at else 0.0,
                        self._packed(row),
                    )
                    for row in batch
                ]
                self._connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", packed)

    def get(self, repos: Sequence[str]) -> list[ResultRow | None]:
        """The rows of `repos`, in that order; None for one without."""
        found = {repo: self._unpacked(data) for repo, data in self._select("repo, row", repos)}
        return [found.get(repo) for repo in repos]

    def heads(self, repos: Sequence[str]) -> list[Head | None]:
        """What orders the work, for each of `repos`; None for one without a row."""
        found = {repo: Head(*head) for repo, *head in self._select("repo, weight, good_at", repos)}
        return [found.get(repo) for repo in repos]

    def not_good_since(self, bound: datetime) -> int:
        """How many were not found good since then, or never."""
        with self._lock, _disk():
            question = "SELECT count(*) FROM rows WHERE good_at < ?"
            return int(self._connection.execute(question, (bound.timestamp(),)).fetchone()[0])

    def __len__(self) -> int:
        with self._lock, _disk():
            return int(self._connection.execute("SELECT count(*) FROM rows").fetchone()[0])

    def __iter__(self) -> Iterator[ResultRow]:
        """The rows by repo. What is put meanwhile may or may not be among them."""
        after = ""
        while True:
            with self._lock, _disk():
                found = self._connection.execute(
                    "SELECT repo, row FROM rows WHERE repo > ? ORDER BY repo LIMIT ?", (after, _BATCH)
                ).fetchall()
            if not found:
                return
            after = found[-1][0]
            yield from (self._unpacked(data) for _, data in found)

    def _select(self, columns: str, repos: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for at in range(0, len(repos), _BATCH):
            asked = repos[at : at + _BATCH]
            places = ", ".join("?" * len(asked))
            with self._lock, _disk():
                question = f"SELECT {columns} FROM rows WHERE repo IN ({places})"  # noqa: S608 - our own names
                found = self._connection.execute(question, asked).fetchall()
            yield from found

    def _packed(self, row: ResultRow) -> bytes:
        data = encoded(row)
        if not self._sample:
            self._sample = data[-_SAMPLE:]
        packer = zlib.compressobj(1, zdict=self._sample)
        return packer.compress(data) + packer.flush()

    def _unpacked(self, data: bytes) -> ResultRow:
        return decoded(zlib.decompressobj(zdict=self._sample).decompress(data))


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Unavailable(
            f"the rows of the fleet cannot be kept on this machine: {error}",
            code="disk",
            hint="free space in the temporary folder, or name another in SNAPSHOTTER_TEMP",
        ) from error
