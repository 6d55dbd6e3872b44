"""LFS objects back where git-lfs looks for them: the folder `lfs/objects` of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.lfs_objects import stored_pieces
from snapshotter.archive.manifest import Manifest
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Unavailable, Unusable
from snapshotter.base.observer import Observer
from snapshotter.base.text import printable
from snapshotter.recover.lfs_evidence import LfsEvidence
from snapshotter.recover.verdict import Problem
from snapshotter.scan.lfs_rows import LfsRow

_AT_ONCE: Final = 4
_SHOWN: Final = 5  # damaged objects that are warned of one by one


class RestoredLfs(NamedTuple):
    """LFS objects that the snapshot's pointers name, those that were put in place with their bytes, and those that the
    store should hold and does not."""

    objects: int = 0
    placed: int = 0
    bytes: int = 0
    damaged: int = 0


def place_objects(
    catalog: Catalog, manifest: Manifest, git_dir: Path, observer: Observer, cancel: Cancel
) -> RestoredLfs:
    """Put the LFS objects of a snapshot into the repository at `git_dir`, each checked as it is written.

    What of them is damaged is warned of and left out: the history is whole without. Raises OSError if the repository
    cannot be written, and the caller's Interrupted.
    """
    record = manifest.lfs
    if not record or not record.objects:
        return RestoredLfs()
    evidence = LfsEvidence(catalog, manifest.repo, observer, git_dir)
    try:
        rows = [row for row in evidence.rows(record) if row.held]
        observer.stage(f"placing {len(rows):,} LFS objects", record.held_bytes)

        def place(row: LfsRow) -> Problem | None:
            return evidence.listed_wrong(row) or _written(catalog, row, git_dir, observer, cancel)

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lfs") as pool:
            outcomes = list(pool.map(place, rows))
    except (Unavailable, AccessDenied) as error:
        cancel.check()
        observer.warn(f"LFS objects are not restored: {error.message}; {error.hint}")
        return RestoredLfs(record.objects, damaged=record.held)
    problems = [problem for problem in outcomes if problem is not None]
    _warn(problems, observer)
    placed = [row for row, problem in zip(rows, outcomes, strict=True) if problem is None]
    return RestoredLfs(record.objects, len(placed), sum(row.bytes for row in placed), len(problems))


def _written(
    catalog: Catalog, row: LfsRow, git_dir: Path, observer: Observer, cancel: Cancel
) -> Problem | None:
    """Write one object. Returns what is wrong with it; then nothing of it is left."""
    folder = git_dir / "lfs" / "objects" / row.oid[:2] / row.oid[2:4]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / row.oid
    try:
        with path.open("xb") as file:
            for piece in stored_pieces(catalog.store, row.oid, row.bytes, row.keys, cancel):
                file.write(piece)
                observer.advance(len(piece))
    except Unusable as error:
        path.unlink()
        return Problem.of(error, row.keys[0])
    return None


def _warn(problems: Sequence[Problem], observer: Observer) -> None:
    for problem in problems[:_SHOWN]:
        observer.warn(f"an LFS object is damaged, and left out: {printable(str(problem))[:400]}")
    if (more := len(problems) - _SHOWN) > 0:
        observer.warn(f"{more:,} more LFS objects are damaged, and left out")
