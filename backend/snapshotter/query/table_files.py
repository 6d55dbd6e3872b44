"""The scan's Parquet tables as local files that the engine may read, checked.

A folder store's tables are read where they lie; from any other store they are fetched. A table of at most
`QueryOptions.whole` bytes is read whole, and its SHA-256 is compared with the manifest's before the engine sees it.
A larger one is read by parts (see partial_file), so that nobody downloads a gigabyte for one column. Of such a table
only its size, its footer and the types of its columns are checked here; its digest is checked by `verify`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from snapshotter.archive.every_repo import raise_if_all_denied
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import Artifact
from snapshotter.archive.transfer import checked_get, damaged, missing
from snapshotter.base.errors import AccessDenied, SnapshotterError, Unusable
from snapshotter.query.cache import has_glob
from snapshotter.query.left_out import LeftOut
from snapshotter.query.partial_file import PartialFile
from snapshotter.query.snapshot_choice import Snapshot
from snapshotter.query.sources import Sources
from snapshotter.store.backend import READS_AT_ONCE

_BATCH: Final = 64  # tables of a folder that one thread reads in a row


@dataclass(frozen=True)
class TableFile:
    """One snapshot's table: the file that holds it, and its digest, or None where that was not checked.

    `partial` is set where the file has holes yet to be filled.
    """

    snapshot: Snapshot
    path: Path
    sha256: str | None
    partial: PartialFile | None = None


@dataclass(frozen=True)
class _Wanted:
    """An object to bring, and the snapshots whose table it is."""

    artifact: Artifact
    run: RunKey
    snapshots: list[Snapshot]


class TableFiles:
    """Brings tables of one store."""

    def __init__(self, sources: Sources, whole: int) -> None:
        """Tables of at most `whole` bytes are read whole."""
        self._catalog, self._cache, self._whole = sources.catalog, sources.cache, whole
        self._observer, self._cancel = sources.observer, sources.cancel
        self.left_out: list[LeftOut] = []

    def bring(self, table: str, snapshots: Sequence[Snapshot]) -> list[TableFile]:
        """The files of `table` for every snapshot whose scan has rows of it. What is missing or damaged is left out."""
        wanted = self._wanted(table, snapshots)
        self._observer.stage(f"reading {table}", sum(each.artifact.bytes for each in wanted))
        # A thread for each file of a folder would cost more than reading it.
        size = 1 if self._catalog.store.place.folder is None else _BATCH
        batches = [wanted[at : at + size] for at in range(0, len(wanted), size)]
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            brought = [place for batch in pool.map(self._bring_all, batches) for place in batch]
        raise_if_all_denied(brought)
        files: list[TableFile] = []
        for each, place in zip(wanted, brought, strict=True):
            for snapshot in each.snapshots:
                if isinstance(place, SnapshotterError):
                    self.left_out.append(LeftOut(snapshot.run.key, table, place.message))
                else:
                    checked = each.artifact.sha256 if each.artifact.bytes <= self._whole else None
                    files.append(TableFile(snapshot, place[0], checked, place[1]))
        return files

    def _wanted(self, table: str, snapshots: Sequence[Snapshot]) -> list[_Wanted]:
        """Each object once: an unchanged snapshot refers to an earlier one's scan."""
        name = f"scan/{table}.parquet"
        wanted: dict[str, _Wanted] = {}
        for snapshot in snapshots:
            scan = snapshot.scan
            if scan is None or not scan.tables.get(table):
                continue
            artifact, run_id = scan.artifact(name), RunId.parse(scan.run_id)
            # A manifest may say anything; a table is only ever the one of a run of the same repo.
            run = RunKey(snapshot.manifest.repo, run_id) if run_id else None
            if artifact is None or run is None or artifact.key != run.key(name):
                why = "its manifest does not say where it is"
                self.left_out.append(LeftOut(snapshot.run.key, table, why))
                continue
            # Two manifests that disagree about one object are two things to check.
            identity = f"{artifact.key} {artifact.sha256} {artifact.bytes}"
            wanted.setdefault(identity, _Wanted(artifact, run, [])).snapshots.append(snapshot)
        return list(wanted.values())

    def _bring_all(
        self, batch: Sequence[_Wanted]
    ) -> list[tuple[Path, PartialFile | None] | SnapshotterError]:
        return [self._bring(wanted) for wanted in batch]

    def _bring(self, wanted: _Wanted) -> tuple[Path, PartialFile | None] | SnapshotterError:
        self._cancel.check()
        artifact, folder = wanted.artifact, self._catalog.store.place.folder
        try:
            if folder is not None and not has_glob(folder / artifact.key):
                return self._in_place(artifact, folder / artifact.key), None
            if artifact.bytes > self._whole:
                self._listed(wanted)
                return self._partial(artifact)
            return self._cache.find(artifact.sha256) or self._fetched(wanted), None
        except (Unusable, AccessDenied) as error:
            return error
        finally:
            self._observer.advance(artifact.bytes)

    def _in_place(self, artifact: Artifact, path: Path) -> Path:
        store = self._catalog.store
        store.file(artifact.key)
        size = path.stat().st_size
        small = size == artifact.bytes <= self._whole
        _check(artifact, size, store.get(artifact.key, limit=size) if small else None)
        return path

    def _fetched(self, wanted: _Wanted) -> Path:
        self._listed(wanted)
        return self._cache.keep(wanted.artifact.sha256, checked_get(self._catalog.store, wanted.artifact))

    def _partial(self, artifact: Artifact) -> tuple[Path, PartialFile]:
        partial = PartialFile(self._catalog.store, artifact, self._cache)
        partial.footer()
        return partial.path, partial

    def _listed(self, wanted: _Wanted) -> None:
        """Hold an object against a listing: no key is asked for that was not listed."""
        for snapshot in wanted.snapshots:
            if snapshot.run.key == wanted.run:
                size = snapshot.run.files.get(wanted.artifact.name)
                break
        else:
            size = self._catalog.folder(wanted.run).files.get(wanted.artifact.name)
        if size is None:
            raise missing(wanted.artifact.key)
        _check(wanted.artifact, size, None)


def _check(artifact: Artifact, size: int, data: bytes | None) -> None:
    if size != artifact.bytes:
        raise damaged(artifact.key, f"it has {size:,} bytes, and the manifest says {artifact.bytes:,}")
    if data is not None and hashlib.sha256(data).hexdigest() != artifact.sha256:
        raise damaged(artifact.key, "its SHA-256 is not the one that the manifest records")
