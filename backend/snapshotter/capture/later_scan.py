"""A scan for a snapshot that was taken without: a new run that refers to the snapshot, and leaves it as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from snapshotter import __version__
from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.later_scans import ScanRecord, open_record, scan_of, seal_record
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.manifest import SCHEMA_VERSION, Manifest, Parent, Scan
from snapshotter.archive.replay import replay_chain
from snapshotter.archive.sealed import Sealed
from snapshotter.archive.transfer import JSON, RunFolder
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Unavailable, Unusable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.text import printable
from snapshotter.capture.clock import Clock
from snapshotter.capture.options import ScanOptions
from snapshotter.capture.scan_choice import ScanTarget, target
from snapshotter.capture.scan_step import ScanStep
from snapshotter.git.origin import Origin
from snapshotter.git.origin_parsing import parse
from snapshotter.git.repository import Repository
from snapshotter.scan.staging import private_folder
from snapshotter.transport import Transport

Connect = Callable[[Origin, Cancel], Transport]


@dataclass(frozen=True)
class SnapshotScan:
    """A snapshot's scan, and whether it is new: made by this call."""

    snapshot: Manifest
    scan: Scan
    is_new: bool


def scan_snapshot(
    catalog: Catalog,
    run: ListedRun,
    options: ScanOptions,
    connect: Connect,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    now: datetime | None = None,
) -> SnapshotScan:
    """The scan of the snapshot `run`: the one that it has, or else a new one, also where that one is damaged.

    The tree is asked of the origin; where that is gone or no longer has the commit, it is read from the
    snapshot itself. Raises UsageError for a ref that the snapshot does not hold, and for another ref
    than its scan is of; Unavailable, AccessDenied.
    """
    clock, observer, cancel = Clock.start(now), observer or Observer(), cancel or Cancel()
    snapshot = catalog.manifest(run.key, listed=True)
    manifest = snapshot.manifest
    existing, damaged = _existing(catalog, manifest, observer)
    if existing is not None:
        _check_ref(manifest, existing, options.ref)
        return SnapshotScan(manifest, existing, is_new=False)
    commit = target(catalog.ledger(manifest), options.ref)
    if commit is None:
        raise UsageError("the snapshot has no default branch to scan", hint="name a branch with --ref")
    # After the snapshot's, whatever the clock says: readers look for later scans among the runs that follow it. And
    # after the damaged scan's: the newest counts.
    key = RunKey(manifest.repo, RunId.new(clock.started).or_after(damaged or manifest.key.run_id))
    folder = RunFolder(catalog.store, key, "scan", cancel)
    scan = _Work(catalog, folder, options, connect, observer).scan(manifest, commit)
    _commit(folder, snapshot, scan, clock, observer)
    return SnapshotScan(manifest, scan, is_new=True)


def _existing(catalog: Catalog, manifest: Manifest, observer: Observer) -> tuple[Scan | None, RunId | None]:
    """The scan that the snapshot has; or the run of a later one that cannot be used, and that another may replace."""
    scan: Scan | None = None
    try:
        scan = scan_of(catalog, manifest)
        if manifest.scan is None and scan is not None:
            for artifact in scan.artifacts:
                catalog.artifact(artifact)
    except Unusable as error:
        observer.warn(f"the snapshot's scan cannot be used, so another is made: {error.message}")
        return None, RunId.parse(scan.run_id) if scan else None
    return scan, None


def _check_ref(manifest: Manifest, scan: Scan, ref: str | None) -> None:
    """Refuse a ref that is not the one of the snapshot's scan."""
    if ref and scan.ref not in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}"):
        raise UsageError(
            f"{manifest.repo}@{manifest.run_id} has a scan already, and it is of {printable(scan.ref)}",
            hint="a snapshot has one scan; `snapshotter snapshot ORIGIN --ref REF` takes one whose scan is of another",
        )


def _commit(folder: RunFolder, snapshot: Sealed, scan: Scan, clock: Clock, observer: Observer) -> None:
    """Write the record of the scan, which makes it the snapshot's."""
    record = ScanRecord(
        schema_version=SCHEMA_VERSION,
        tool_version=__version__,
        run_id=str(folder.key.run_id),
        repo=folder.key.repo,
        of=Parent(run_id=snapshot.manifest.run_id, manifest_sha256=snapshot.sha256),
        started_at=clock.started,
        finished_at=clock.now,
        scan=scan,
    )
    data = seal_record(record)
    open_record(data, folder.key)  # what could not be read again is not written
    observer.stage("writing the scan's record")
    folder.cancel.check()
    folder.put(layout.SCAN, data, JSON)


@dataclass(frozen=True)
class _Work:
    """The scan of a snapshot, from wherever its tree can be had."""

    catalog: Catalog
    folder: RunFolder
    options: ScanOptions
    connect: Connect
    observer: Observer

    def scan(self, manifest: Manifest, commit: ScanTarget) -> Scan:
        """From the origin, or else from the store."""
        try:
            return self._scan(manifest.origin, manifest, commit)
        except (Unavailable, AccessDenied, UsageError) as error:
            # Hosts ask for credentials where a repository is gone, and an origin may be none for this machine.
            self.observer.warn(f"the origin cannot be read, so the snapshot itself is: {error.message}")
        with self._replayed(manifest) as repository:
            return self._scan(str(repository.path), manifest, commit)

    def _scan(self, origin: str, manifest: Manifest, commit: ScanTarget) -> Scan:
        with closing(self.connect(parse(origin), self.folder.cancel)) as transport:
            return ScanStep(transport, self.folder, self.options, self.observer).scan(manifest, commit)

    @contextmanager
    def _replayed(self, manifest: Manifest) -> Iterator[Repository]:
        """The snapshot's own history, in a repository that goes at the end."""
        with private_folder(self.options.resources.temp) as folder:
            cancel = self.folder.cancel
            repository = Repository.create(folder / "x.git", manifest.object_format, cancel)
            replay_chain(self.catalog, manifest, repository, observer=self.observer, cancel=cancel)
            repository.write_refs(self.catalog.ledger(manifest))
            yield repository
