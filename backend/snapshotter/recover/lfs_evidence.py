"""What the store shows of LFS objects: tables, and that each object that one calls held is there and is itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.lfs_objects import stored_pieces, stray_keys
from snapshotter.archive.manifest import Lfs
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable, Unusable
from snapshotter.base.observer import Observer
from snapshotter.base.side_by_side import side_by_side
from snapshotter.recover.verdict import MAX_PROBLEMS, Problem
from snapshotter.scan.lfs_rows import LfsRow

_AT_ONCE: Final = 4  # objects that are read

_Key = tuple[str, int, tuple[str, ...]]  # an object as a table has it: its id, its size, its keys


class LfsEvidence:
    """The LFS objects of one repo. Each is read once, however many snapshots need it, and the store is listed once.

    `temp` is where tables are unpacked. Whatever reads raises Unavailable or AccessDenied if the store is in trouble.
    """

    def __init__(self, catalog: Catalog, repo: str, observer: Observer, temp: Path | None = None) -> None:
        self._catalog, self._repo, self._observer, self._temp = catalog, repo, observer, temp
        self._listing = threading.Lock()  # several threads ask for the one listing
        self._sizes: dict[str, int] | SnapshotterError | None = None
        self._checked: dict[_Key, Problem | None] = {}
        self._whole: dict[tuple[Lfs, bool], tuple[Problem, ...]] = {}

    def rows(self, record: Lfs) -> list[LfsRow]:
        """The objects of a snapshot. Raises Unusable if its table cannot be used, or is not what the record says."""
        if record.table is None:
            return []
        from snapshotter.scan import lfs_table  # with DuckDB, which most verifications do not need

        rows = lfs_table.read(self._catalog.artifact(record.table), record.table.key, self._temp)
        held = [row for row in rows if row.held]
        said = (record.objects, record.held, record.held_bytes)
        if (len(rows), len(held), sum(row.bytes for row in held)) != said:
            raise Unusable(
                f"{record.table.key}: it does not list the objects that the manifest counts",
                hint="run `snapshotter verify`",
                key=record.table.key,
            )
        return rows

    def listed_wrong(self, row: LfsRow) -> Problem | None:
        """What a listing of the store shows against a held object: that it is missing, or of another size."""
        if stray_keys(self._repo, row.oid, row.keys):
            return Problem(f"{layout.LFS}/{self._repo}", f"a table gives {row.oid} keys that are not its own")
        sizes = self._listed()
        lacking = [key for key in row.keys if key not in sizes]
        if lacking:
            return Problem(lacking[0], "it is missing")
        size = sum(sizes[key] for key in row.keys)
        return Problem(row.keys[0], f"it has {size} bytes, not {row.bytes}") if size != row.bytes else None

    def check(self, record: Lfs, *, quick: bool, cancel: Cancel) -> tuple[Problem, ...]:
        """The problems of a snapshot's LFS objects; with `quick`, those that a listing shows."""
        if (record, quick) not in self._whole:
            self._whole[record, quick] = tuple(self._problems(record, quick=quick, cancel=cancel))
        return self._whole[record, quick]

    def _problems(self, record: Lfs, *, quick: bool, cancel: Cancel) -> Iterator[Problem]:
        try:
            held = [row for row in self.rows(record) if row.held]
        except Unusable as error:
            yield Problem.of(error, record.table.key if record.table else layout.LFS)
            return
        unread = [row for row in held if _key(row) not in self._checked]
        if unread and not quick:
            total = sum(row.bytes for row in unread)
            self._observer.stage(f"reading {len(unread):,} LFS objects", total)

        def problem(row: LfsRow, part: Cancel) -> Problem | None:
            return self._problem(row, quick=quick, cancel=part)

        yield from islice(filter(None, side_by_side(problem, held, _AT_ONCE, cancel)), MAX_PROBLEMS)

    def _problem(self, row: LfsRow, *, quick: bool, cancel: Cancel) -> Problem | None:
        cancel.check()
        if _key(row) in self._checked:
            return self._checked[_key(row)]
        problem = self.listed_wrong(row)
        if problem is not None or quick:
            return problem
        try:
            for piece in stored_pieces(self._catalog.store, row.oid, row.bytes, row.keys, cancel):
                self._observer.advance(len(piece))
        except Unusable as error:
            problem = Problem.of(error, row.keys[0])
        self._checked[_key(row)] = problem
        return problem

    def _listed(self) -> dict[str, int]:
        """The size of each stored object. Raises Unavailable or AccessDenied; then so does every later call."""
        with self._listing:
            if self._sizes is None:
                try:
                    entries = self._catalog.store.list(f"{layout.LFS}/{self._repo}")
                    self._sizes = {entry.key: entry.bytes for entry in entries}
                except (Unavailable, AccessDenied) as error:
                    self._sizes = error
        if isinstance(self._sizes, SnapshotterError):
            raise self._sizes
        return self._sizes


def _key(row: LfsRow) -> _Key:
    return row.oid, row.bytes, tuple(row.keys)
