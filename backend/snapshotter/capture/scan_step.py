"""The making of a scan: what it builds on, the tree from the origin, the files into the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, structs

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.manifest import Artifact, Gap, Manifest, Scan, ScanSettings
from snapshotter.archive.transfer import RunFolder, checked_get
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, SnapshotterError, Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.side_by_side import side_by_side
from snapshotter.base.text import printable
from snapshotter.capture.attempts import ScanAttempt
from snapshotter.capture.options import ScanOptions
from snapshotter.capture.scan_choice import ScanTarget, earlier, usable
from snapshotter.scan.columns import COLUMNS
from snapshotter.scan.facts import Facts
from snapshotter.scan.scanners import scanner_versions
from snapshotter.scan.staging import private_folder
from snapshotter.transport import Transport

if TYPE_CHECKING:
    from snapshotter.scan.tree_scan import ScanResult

NO_HEAD: Final = "HEAD names no branch that was taken"
_LISTED_FACTOR: Final = 2  # times the limit of files: so many paths are listed, and the rest is a gap
_PUTS_AT_ONCE: Final = 8  # tables, report and digest are small: each is a round trip
_TYPES: Final = {
    ".parquet": "application/vnd.apache.parquet",
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}


def _limits(settings: ScanSettings) -> dict[str, int | float | str]:
    """The settings as the report shows them: name to value."""
    return {
        "bytes of one file": settings.max_file_bytes,
        "bytes in all": settings.max_total_bytes,
        "files": settings.max_files,
        "seconds of one scanner": settings.scanner_seconds,
        "left out": " ".join(settings.exclude) or "nothing",
    }


@dataclass(frozen=True)
class ScanStep:
    """Makes the scan of a snapshot, from the tree that `transport` gives, into the `folder` of a run."""

    transport: Transport
    folder: RunFolder
    options: ScanOptions
    observer: Observer

    def attempt(self, manifest: Manifest, parent: Manifest | None, target: ScanTarget | None) -> ScanAttempt:
        """The scan of a snapshot that is being taken; a failure never costs the snapshot, but is a gap of it.

        `parent` is the snapshot before, whose scan this one builds on where it can. Raises Interrupted and
        UsageError.
        """
        if target is None:
            return ScanAttempt(None, [_gap(NO_HEAD)])
        # Blobs have other ids in the other object format: nothing of that scan could be taken over.
        like = parent if parent and parent.object_format == manifest.object_format else None
        scan = earlier(Catalog(self.folder.store), like, self.observer) if like else None
        previous = usable(scan, target.ref, self.options, manifest.started_at)
        try:
            return ScanAttempt(self.scan(manifest, target, previous))
        except (Interrupted, UsageError):  # the caller's wish, and the caller's mistake
            raise
        except Exception as error:  # noqa: BLE001 - whatever a hostile tree does to a scanner, the history stands
            gap = _gap(_told(error))
            self.observer.warn(f"no scan: {gap.sample[0]}")
            return ScanAttempt(None, [gap])

    def scan(self, manifest: Manifest, target: ScanTarget, previous: Scan | None = None) -> Scan:
        """The scan of `target`: `previous` itself where the tree is the same, else a new one.

        `manifest` is that of the snapshot, with or without a scan, and `previous` is what `usable` let through.
        Raises Unavailable, AccessDenied and Interrupted, as the origin, the store and the scanners do.
        """
        if previous is not None and previous.commit == target.commit:
            return previous
        from snapshotter.capture.commit_tree import Blobs, TreeLimits

        settings, cancel = self.options.settings, self.folder.cancel
        self.observer.stage("reading the tree to scan")
        listed = _LISTED_FACTOR * settings.max_files
        limits = TreeLimits(settings.max_file_bytes, settings.max_total_bytes, listed)
        with (
            ThreadPoolExecutor(1, thread_name_prefix="loading") as pool,
            self.options.resources.of_one_scan() as resources,
            Blobs(self.transport, target.commit, limits, temp=resources.temp, cancel=cancel) as blobs,
        ):
            # Most of the tree will be read: what reads it is made ready while the tree comes.
            if previous is None:
                resources.get_ready(settings.scanner_seconds)
                pool.submit(_load)
            # With a scan to build on few blobs are new, and only they are fetched, once the listing tells which.
            listing = blobs.listing(with_blobs=previous is None)
            if previous is not None and previous.tree == listing.tree:
                committed_at = blobs.committed_at or UNSET
                return structs.replace(previous, commit=target.commit, committed_at=committed_at)
            from snapshotter.scan.tree_scan import TreeScan

            with (
                self._tables(previous) as before,
                TreeScan(settings, resources, self.observer, cancel) as tree_scan,
            ):
                facts = self._facts(manifest, target, blobs.committed_at, previous)
                scan = self._stored(tree_scan.scan(listing, blobs.read, facts, before), target, listing.tree)
                return structs.replace(scan, committed_at=blobs.committed_at or UNSET)

    def _stored(self, result: ScanResult, target: ScanTarget, tree: str) -> Scan:
        """The record of a scan, once its files are stored: they last no longer than the scanners' folder."""

        def put(name: str, part: Cancel) -> Artifact:
            path = result.files[name]
            return replace(self.folder, cancel=part).put(name, path.read_bytes(), _TYPES[path.suffix])

        # The manifest comes last: so nothing may still be on its way when the snapshot goes on without a scan.
        artifacts = side_by_side(put, [*result.files], _PUTS_AT_ONCE, self.folder.cancel, self.folder.stay)
        return Scan(
            run_id=str(self.folder.key.run_id),
            ref=target.ref,
            commit=target.commit,
            tree=tree,
            tables=result.rows,
            artifacts=artifacts,
            scanners=scanner_versions(),
            settings=self.options.settings,
            licences=result.licences,
            gaps=result.gaps,
            submodules=result.submodules or UNSET,
        )

    def _facts(
        self, manifest: Manifest, target: ScanTarget, committed_at: datetime | None, previous: Scan | None
    ) -> Facts:
        """The facts of the snapshot for the report and the digest; the run is the scan's, which may come later."""
        settings = self.options.settings
        return Facts(
            repo=manifest.repo,
            origin=manifest.origin,
            run_id=str(self.folder.key.run_id),
            taken_at=manifest.started_at,
            ref=target.ref,
            commit=target.commit,
            committed_at=committed_at,
            kind=manifest.kind,
            reason=manifest.reason,
            refs=manifest.refs.count,
            chain=len(manifest.chain),
            history=manifest.history,
            lfs=manifest.lfs or None,
            parent=manifest.parent.run_id if manifest.parent else None,
            compared=previous.run_id if previous else None,
            keyed=bool(settings.fingerprint_key),
            ref_changes=manifest.ref_changes,
            gaps=manifest.gaps,
            scanners=scanner_versions(),
            limits=_limits(settings),
        )

    @contextmanager
    def _tables(self, previous: Scan | None) -> Iterator[Mapping[str, Path] | None]:
        """The tables of the previous scan as files: None without one, and none of them if one cannot be read."""
        if previous is None:
            yield None
            return
        with private_folder(self.options.resources.temp) as folder:
            artifacts = {
                name: artifact for name in COLUMNS if (artifact := previous.artifact(f"scan/{name}.parquet"))
            }
            files: dict[str, Path] = {}
            try:
                get = partial(checked_get, self.folder.store)
                tables = side_by_side(get, [*artifacts.values()], len(COLUMNS), self.folder.cancel)
                for name, data in zip(artifacts, tables, strict=True):
                    files[name] = folder / f"{name}.parquet"
                    files[name].write_bytes(data)
            except (Unavailable, AccessDenied) as error:  # missing ones are refused by a bucket like ours
                self.observer.warn(f"the parent's scan cannot be used, so this one is full: {error.message}")
                files = {}
            yield files


def _load() -> None:
    """DuckDB and the analyzers, which only runs that scan load: they take longer than many a tree."""
    import snapshotter.scan.tree_scan  # noqa: F401 - to load it is all


def _gap(why: str) -> Gap:
    return Gap(kind="scan", count=1, sample=[why])


def _told(error: Exception) -> str:
    """An error as a gap tells it. An unexpected one by its type alone: its text may quote the tree, a secret even."""
    message = error.message if isinstance(error, SnapshotterError) else f"unexpected {type(error).__name__}"
    return printable(message)[:300]
