"""LFS objects back where git-lfs looks for them: the folder `lfs/objects` of a repository."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.lfs_objects import stored_pieces
from snapshotter.archive.manifest import Manifest
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Finding, SnapshotterError, Unavailable, Unusable
from snapshotter.base.observer import Observer
from snapshotter.base.side_by_side import side_by_side
from snapshotter.base.text import plural, printable
from snapshotter.recover.lfs_evidence import LfsEvidence
from snapshotter.recover.verdict import Problem
from snapshotter.scan.lfs_rows import LfsRow
from snapshotter.store.objects import Store

_AT_ONCE: Final = 4
_SHOWN: Final = 5  # damaged objects that are warned of one by one


class RestoredLfs(NamedTuple):
    """LFS objects that the snapshot's pointers name, those that were put in place with their bytes, and of those that
    the store should hold the ones that are damaged there, and the ones that could not be read, for `trouble`."""

    objects: int = 0
    placed: int = 0
    bytes: int = 0
    damaged: int = 0
    unread: int = 0
    trouble: SnapshotterError | None = None

    @property
    def missing(self) -> int:
        """How many the snapshot has not: the store never held them."""
        return self.objects - self.placed - self.damaged - self.unread

    @property
    def counts(self) -> dict[str, int]:
        """The numbers, by their names."""
        return {name: value for name, value in self._asdict().items() if name != "trouble"}

    def ending(self, without: str, again: str) -> SnapshotterError | None:
        """The error for objects that the store should hold: what goes `without` them, and what to do `again` once they
        can be read. None if all are in place."""
        unread = plural(self.unread, "LFS object")
        if self.damaged:
            return Finding(
                f"{without} {plural(self.damaged, 'LFS object')} that the store should hold",
                code="lfs-damaged",
                details=(f"and {unread} could not be read: {self.trouble.message}",) if self.trouble else (),
                hint="run `snapshotter verify` on the snapshot: the next one then fetches them anew",
            )
        if self.trouble is None:
            return None
        kind = AccessDenied if isinstance(self.trouble, AccessDenied) else Unavailable
        return kind(
            f"{without} {unread} that could not be read: {self.trouble.message}",
            code=self.trouble.code,
            details=self.trouble.details,
            hint=f"{self.trouble.hint}; then {again}",
        )


def place_objects(
    catalog: Catalog, manifest: Manifest, git_dir: Path, observer: Observer, cancel: Cancel
) -> RestoredLfs:
    """Put the LFS objects of a snapshot into the repository at `git_dir`, each checked as it is written.

    What of them is damaged or cannot be read is warned of and left out: the history is whole without. Once one cannot
    be read, no other is begun, and those that are under way are left out too. Raises OSError if the repository cannot
    be written, and the caller's Interrupted. Waits for no store that hangs, and however it ends, nothing is written
    there any more.
    """
    record = manifest.lfs
    if not record or not record.objects:
        return RestoredLfs()
    evidence = LfsEvidence(catalog, manifest.repo, observer, git_dir)
    try:
        rows = [row for row in evidence.rows(record) if row.held]
    except (Unavailable, AccessDenied) as error:
        cancel.check()
        observer.warn(f"LFS objects are not restored: {error.message}; {error.hint}")
        if isinstance(error, Unusable):
            return RestoredLfs(record.objects, damaged=record.held)
        return RestoredLfs(record.objects, unread=record.held, trouble=error)
    observer.stage(f"placing {len(rows):,} LFS objects", record.held_bytes)
    placing, trouble = _Placing(catalog.store, evidence, git_dir, observer), None
    try:
        side_by_side(placing.place, rows, _AT_ONCE, cancel)
    except (Unavailable, AccessDenied) as error:
        cancel.check()
        trouble = error
    finally:
        placing.close()
    problems = [placing.problems[row.oid] for row in rows if row.oid in placing.problems]
    _warn(problems, observer)
    placed = [row.bytes for row in rows if row.oid in placing.placed]
    unread = len(rows) - len(placed) - len(problems)
    if trouble:
        why = f"{trouble.message}; {trouble.hint}"
        observer.warn(f"{plural(unread, 'LFS object')} could not be read, and left out: {why}")
    return RestoredLfs(record.objects, len(placed), sum(placed), len(problems), unread, trouble)


class _Placing:
    """Objects on their way into a repository, several at once. Those that are `placed` are whole; of no other is
    anything left once it is closed, though a store that hangs may still keep threads. What is wrong with an object is
    among the `problems`, by its id."""

    def __init__(self, store: Store, evidence: LfsEvidence, git_dir: Path, observer: Observer) -> None:
        self._store, self._evidence, self._objects = store, evidence, git_dir / "lfs" / "objects"
        self._observer = observer
        self._changing = threading.Lock()  # held to look at the cancel and then change what others see
        self._begun: dict[str, Path] = {}
        self.placed: set[str] = set()
        self.problems: dict[str, Problem] = {}

    def place(self, row: LfsRow, cancel: Cancel) -> None:
        """Put one object in place, or note what is wrong with it. Raises what the store and the repository raise, and
        once cancelled, changes nothing any more."""
        problem = self._evidence.listed_wrong(row) or self._written(row, cancel)
        with self._changing:
            cancel.check()
            path = self._begun.pop(row.oid, None)
            if problem is None:
                self.placed.add(row.oid)
                return
            if path is not None:
                path.unlink(missing_ok=True)
            self.problems[row.oid] = problem

    def close(self) -> None:
        """Remove what is not whole. Whatever is still under way is cancelled by now."""
        with self._changing:
            while self._begun:
                self._begun.popitem()[1].unlink(missing_ok=True)

    def _written(self, row: LfsRow, cancel: Cancel) -> Problem | None:
        path = self._objects / row.oid[:2] / row.oid[2:4] / row.oid
        with self._changing:
            cancel.check()
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
            self._begun[row.oid] = path
        with file:
            try:
                for piece in stored_pieces(self._store, row.oid, row.bytes, row.keys, cancel):
                    file.write(piece)
                    self._observer.advance(len(piece))
            except Unusable as error:
                return Problem.of(error, row.keys[0])
        return None


def _warn(problems: Sequence[Problem], observer: Observer) -> None:
    for problem in problems[:_SHOWN]:
        observer.warn(f"an LFS object is damaged, and left out: {printable(str(problem))[:400]}")
    if (more := len(problems) - _SHOWN) > 0:
        observer.warn(f"{more:,} more LFS objects are damaged, and left out")
