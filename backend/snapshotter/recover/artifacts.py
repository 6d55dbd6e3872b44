"""Compares what manifests list with what lies there, by size and SHA-256: a run's objects, and those of its scan."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.later_scans import Records, records
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.manifest import Artifact, Scan
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unusable
from snapshotter.base.observer import Observer
from snapshotter.base.side_by_side import side_by_side
from snapshotter.recover.verdict import Problem

_STREAMED_AT_ONCE: Final = 4  # objects: each is read to its end, so a few fill the line


@dataclass(frozen=True)
class _ScansBySnapshot:
    """The scans that were made after the snapshot `since` (None: all), by run and manifest digest of the snapshot
    that they are of."""

    since: RunKey | None
    scans: dict[tuple[str, str], Scan]
    newest_unusable: tuple[RunKey, Unusable] | None

    @classmethod
    def of(cls, read: Records, since: RunKey | None) -> _ScansBySnapshot:
        """What the records say that were read from `since` on."""
        scans = {(record.of.run_id, record.of.manifest_sha256): record.scan for record in read.usable}
        newest = max(read.unusable, default=None)
        return cls(since, scans, (newest, read.unusable[newest]) if newest else None)


class Artifacts:
    """Checks the artifacts of one repo's runs. A scan's are read once, however many snapshots share it."""

    def __init__(
        self, catalog: Catalog, repo: str, folder: Callable[[RunKey], ListedRun], observer: Observer
    ) -> None:
        """`folder` tells what was listed of a run."""
        self._catalog, self._repo, self._folder, self._observer = catalog, repo, folder, observer
        self._shared: dict[Artifact, Problem | None] = {}
        self._last: dict[
            Artifact, Problem | None
        ] = {}  # the newest run's own: what comes after it mostly shares those
        self._later: _ScansBySnapshot | None = None
        self._told: set[RunKey] = set()  # runs whose records were warned of

    def check(self, sealed: Sealed, *, segments: bool, cancel: Cancel) -> Iterator[Problem]:
        """The problems of a run's artifacts, and of its scan's. Without `segments` those of its history are only
        looked for."""
        manifest = sealed.manifest
        history = set(manifest.history.segments) if manifest.history else set()

        def check(artifact: Artifact, part: Cancel) -> Problem | None:
            return self._check(artifact, manifest.key, part, read=segments or artifact.name not in history)

        if manifest.artifacts:  # an unchanged snapshot has none, and needs no threads
            found = side_by_side(check, manifest.artifacts, _STREAMED_AT_ONCE, cancel)
            if manifest.scan and manifest.scan.run_id == manifest.run_id:
                scanned, all_of_it = set(manifest.scan.artifacts), zip(manifest.artifacts, found, strict=True)
                self._last = {artifact: problem for artifact, problem in all_of_it if artifact in scanned}
            yield from filter(None, found)
        yield from self._check_scan(sealed, cancel)

    def _check_scan(self, sealed: Sealed, cancel: Cancel) -> Iterator[Problem]:
        """What is wrong with the artifacts of a snapshot's scan that are not among its own: those of a run before
        it, or of one that scanned it later."""
        manifest = sealed.manifest
        scan = self._scan(sealed) if manifest.kind != "empty" else None
        if scan is None:
            return
        run_id, own = RunId.parse(scan.run_id), set(manifest.artifacts)
        if run_id is None:
            yield Problem(manifest.key.key(layout.MANIFEST), "its scan is of no run")
            return
        for artifact in scan.artifacts:
            if artifact in own:
                continue
            if artifact in self._last:
                self._shared[artifact] = self._last[artifact]
            elif artifact not in self._shared:
                self._shared[artifact] = self._check(artifact, RunKey(self._repo, run_id), cancel)
            if (problem := self._shared[artifact]) is not None:
                yield problem

    def _scan(self, sealed: Sealed) -> Scan | None:
        """The scan of a snapshot: its manifest's, or one that was made later. Returns None without one, and where it
        cannot be told: a record that cannot be read may be of another snapshot, or a stranger's, and none of this
        snapshot's history rests on it. That is warned of."""
        key = sealed.manifest.key
        if sealed.manifest.scan is not None:
            return sealed.manifest.scan
        if self._later is None:
            self._later = _ScansBySnapshot.of(records(self._catalog, self._repo, key.run_id.started_at), key)
        elif self._later.since and key < self._later.since:
            # All of the repo: so it is read at most once more, in whatever order the runs are asked for.
            self._later = _ScansBySnapshot.of(records(self._catalog, self._repo, None), None)
        scan = self._later.scans.get((str(key.run_id), sealed.sha256))
        newest = self._later.newest_unusable
        # The record that cannot be read may be of this snapshot if it was made after it.
        if scan is None and newest and newest[0] > key and newest[0] not in self._told:
            self._told.add(newest[0])
            self._observer.warn(newest[1].message)
        return scan

    def _check(self, artifact: Artifact, run: RunKey, cancel: Cancel, *, read: bool = True) -> Problem | None:
        """What is wrong with an artifact of a run."""
        cancel.check()
        # A manifest may be forged, and its keys be of other runs or outside of all: those are not asked for.
        place = layout.parse_key(artifact.key)
        if place is None or place[0] != run:
            return Problem(run.key(layout.MANIFEST), f"it lists what is not its own: {artifact.key[:200]!r}")
        size = self._folder(run).files.get(place[1])
        if size is None:
            return Problem(artifact.key, "it is missing")
        if size != artifact.bytes:
            return Problem(artifact.key, f"it has {size} bytes, not {artifact.bytes}")
        if not read:
            return None
        digest = hashlib.sha256()
        try:
            for chunk in self._catalog.store.stream(artifact.key, cancel=cancel):
                cancel.check()
                digest.update(chunk)
                self._observer.advance(len(chunk))
        except Unusable as error:
            return Problem.of(error, artifact.key)
        if digest.hexdigest() != artifact.sha256:
            return Problem(artifact.key, "its bytes are not what was written (SHA-256 differs)")
        return None
