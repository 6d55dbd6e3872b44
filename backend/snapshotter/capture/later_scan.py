"""A scan for a snapshot that has none: a new run that refers to it, and leaves it as it is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from snapshotter import __version__
from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog, Run
from snapshotter.archive.later_scans import scan_of
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import SCHEMA_VERSION, Artifact, Manifest, Parent, Scan
from snapshotter.archive.replay import replay
from snapshotter.archive.scan_record import ScanRecord, open_record, seal
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, SnapshotterError, Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.capture.scan_step import Scanning, ScanOptions, Target, limits, target
from snapshotter.git.origin import Origin, parse
from snapshotter.git.refs import RefsLedger
from snapshotter.git.repository import Repository
from snapshotter.scan.facts import Facts
from snapshotter.scan.scanners import scanner_versions
from snapshotter.scan.staging import private_folder
from snapshotter.transport import Transport

Connect = Callable[[Origin, Cancel], Transport]


@dataclass(frozen=True)
class Rescanned:
    """The scan of a snapshot, and whether this call made it: one that was there is not made again."""

    snapshot: Manifest
    scan: Scan
    made: bool


def rescan(
    catalog: Catalog,
    run: Run,
    options: ScanOptions,
    connect: Connect,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    now: datetime | None = None,
) -> Rescanned:
    """Make the scan of the snapshot `run`, unless it has one.

    The tree is asked of the origin; where that is gone or no longer has the commit, it is read from the
    snapshot itself. Raises UsageError for a ref that the snapshot does not hold, Unavailable, AccessDenied.
    """
    work = _Rescan(catalog, run, options, connect, observer or Observer(), cancel or Cancel())
    return work.make(now or datetime.now(UTC))


class _Rescan:
    def __init__(
        self,
        catalog: Catalog,
        run: Run,
        options: ScanOptions,
        connect: Connect,
        observer: Observer,
        cancel: Cancel,
    ) -> None:
        self._catalog, self._run, self._options, self._connect = catalog, run, options, connect
        self._observer, self._cancel = observer, cancel

    def make(self, now: datetime) -> Rescanned:
        """The scan that is there, or a new one with its record written last."""
        clock = time.monotonic()
        sealed = self._catalog.manifest(self._run.key, listed=True)
        manifest = sealed.manifest
        if (known := scan_of(self._catalog, manifest)) is not None:
            return Rescanned(manifest, known, made=False)
        ledger = self._catalog.ledger(manifest)
        chosen = target(ledger, self._options.ref)
        if chosen is None:
            raise UsageError("the snapshot has no default branch to scan", hint="name a branch with --ref")
        key = RunKey(manifest.repo, RunId.new(now).or_after(manifest.key.run_id))
        scan = self._scan(manifest, ledger, chosen, key)
        record = ScanRecord(
            schema_version=SCHEMA_VERSION,
            tool_version=__version__,
            run_id=str(key.run_id),
            repo=key.repo,
            of=Parent(run_id=manifest.run_id, manifest_sha256=sealed.sha256),
            started_at=now,
            finished_at=now + timedelta(seconds=round(time.monotonic() - clock, 3)),
            scan=scan,
        )
        data = seal(record)
        open_record(data, key)  # what could not be read again is not written
        self._observer.stage("writing the scan's record")
        self._cancel.check()
        self._put(key, layout.SCAN, data, "application/json")
        return Rescanned(manifest, scan, made=True)

    def _scan(self, manifest: Manifest, ledger: RefsLedger, chosen: Target, key: RunKey) -> Scan:
        about = Facts(
            repo=manifest.repo,
            origin=manifest.origin,
            run_id=str(key.run_id),
            taken_at=manifest.started_at,
            ref=chosen.ref,
            commit=chosen.commit,
            kind=manifest.kind,
            reason=manifest.reason,
            refs=manifest.refs.count,
            chain=len(manifest.chain),
            history=manifest.history,
            parent=manifest.parent.run_id if manifest.parent else None,
            keyed=bool(self._options.settings.fingerprint_key),
            ref_changes=manifest.ref_changes,
            gaps=manifest.gaps,
            scanners=scanner_versions(),
            limits=limits(self._options.settings),
        )

        def take(transport: Transport) -> Scan:
            work = Scanning(transport, self._catalog.store, self._options, self._observer, self._cancel)
            return work.take(chosen, about, None, lambda name, data, what: self._put(key, name, data, what))

        try:
            transport = self._connect(parse(manifest.origin), self._cancel)
        except SnapshotterError as error:
            return self._from_store(manifest, take, error)
        try:
            return take(transport)
        except Interrupted:
            raise
        except (Unavailable, AccessDenied) as error:  # hosts ask for credentials where a repository is gone
            return self._from_store(manifest, take, error)
        finally:
            transport.close()

    def _from_store(
        self, manifest: Manifest, take: Callable[[Transport], Scan], why: SnapshotterError
    ) -> Scan:
        """The scan of the snapshot's own history, replayed into a repository that lasts as long."""
        self._observer.warn(f"the origin cannot be read, so the snapshot itself is: {why.message}")
        with private_folder(self._options.resources.temp) as folder:
            repository = Repository.create(folder / "x.git", manifest.object_format, self._cancel)
            links = [sealed.manifest for sealed in self._catalog.manifests(manifest.chain_keys)]
            self._observer.stage(
                "replaying the snapshot", sum(link.history.bytes for link in links if link.history)
            )
            for link in links:
                replay(
                    self._catalog.store,
                    link,
                    self._catalog.ledger(link),
                    repository,
                    observer=self._observer,
                    cancel=self._cancel,
                )
            repository.write_refs(self._catalog.ledger(manifest))
            transport = self._connect(parse(str(repository.path)), self._cancel)
            try:
                return take(transport)
            finally:
                transport.close()

    def _put(self, key: RunKey, name: str, data: bytes, content_type: str) -> Artifact:
        where = key.key(name)
        self._catalog.store.put_new(
            where,
            data,
            content_type=content_type,
            tags={"kind": "scan", "repo": key.repo},
            cancel=self._cancel,
        )
        digest = hashlib.sha256(data).hexdigest()
        return Artifact(name=name, key=where, bytes=len(data), sha256=digest, content_type=content_type)
