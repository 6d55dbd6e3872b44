"""The scan of a snapshot: which commit, what still holds from before, from the origin into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.later_scans import scan_of
from snapshotter.archive.layout import RunId
from snapshotter.archive.manifest import Artifact, Gap, Manifest, Scan, ScanSettings
from snapshotter.archive.segments import checked_get
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, SnapshotterError, Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.text import decode_name, printable
from snapshotter.git.refs import RefsLedger
from snapshotter.scan.columns import COLUMNS
from snapshotter.scan.resources import ScanResources
from snapshotter.scan.scanners import FAILED, scanner_versions
from snapshotter.scan.staging import private_folder
from snapshotter.store.objects import Store
from snapshotter.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from snapshotter.scan.facts import Facts

LISTED_FACTOR: Final = 2  # paths are listed up to so many times the limit of files, the rest is a gap
_TYPES: Final = {
    ".parquet": "application/vnd.apache.parquet",
    ".html": "text/html; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}

Put = Callable[[str, bytes, str], Artifact]
"""Stores one artifact of the run: its name, its bytes, its content type."""


@dataclass(frozen=True)
class ScanOptions:
    """How a scan is made: of `ref`, or of the default branch; under which limits and with what."""

    settings: ScanSettings
    resources: ScanResources = field(default_factory=ScanResources)
    ref: str | None = None
    max_age: timedelta | None = None


@dataclass(frozen=True)
class Target:
    """The commit to scan, and the ref that names it."""

    ref: str
    commit: str


def target(ledger: RefsLedger, ref: str | None) -> Target | None:
    """The commit that a scan reads: of `ref`, as a full name or a branch's or tag's short one, or else of HEAD.

    None where HEAD names nothing that was taken. Raises UsageError for a `ref` that was not.
    """
    if ref is None:
        name = ledger.head_target
        if name is None:
            return Target("HEAD", ledger.head_oid) if ledger.head_oid else None
        names = [name]
    else:
        raw = ref.encode("utf-8", "surrogateescape")
        names = [raw, b"refs/heads/" + raw, b"refs/tags/" + raw]
    by_name = {found.name: found for found in ledger}
    for name in names:
        if (found := by_name.get(name)) is not None:
            return Target(decode_name(name), found.peeled or found.oid)
    if ref is None:
        return None
    raise UsageError(
        f"no such ref to scan: {printable(ref)[:200]}",
        hint="--ref names a branch or a tag of the origin that --refs and --exclude-refs leave in",
    )


def earlier(catalog: Catalog, parent: Manifest, observer: Observer) -> Scan | None:
    """The parent's scan, or one that was made for it later; None where there is none, or none that reads."""
    try:
        return scan_of(catalog, parent)
    except (Unavailable, AccessDenied) as error:
        observer.warn(f"the parent's scan cannot be used, so this one is full: {error.message}")
        return None


def usable(previous: Scan | None, ref: str, options: ScanOptions, now: datetime) -> Scan | None:
    """The parent's scan if a new one may build on it: whole, of the same ref, by the same scanners and settings.

    One older than `max_age` may expire under those that refer to it, so it is made anew.
    """
    if previous is None or previous.ref != ref or previous.settings != options.settings:
        return None
    if previous.scanners != scanner_versions() or any(gap.kind == FAILED for gap in previous.gaps):
        return None
    if options.max_age is not None and now - RunId(previous.run_id).started_at > options.max_age:
        return None
    return previous


def limits(settings: ScanSettings) -> dict[str, int | float | str]:
    """The settings as the report shows them: name to value."""
    return {
        "bytes of one file": settings.max_file_bytes,
        "bytes in all": settings.max_total_bytes,
        "files": settings.max_files,
        "seconds of one scanner": settings.scanner_seconds,
        "left out": " ".join(settings.exclude) or "nothing",
    }


class Scanning:
    """Makes the scan of one run. Errors are Unavailable, AccessDenied and Interrupted, as the origin, the store
    and the scanners raise them."""

    def __init__(
        self, transport: Transport, store: Store, options: ScanOptions, observer: Observer, cancel: Cancel
    ) -> None:
        self._transport, self._store, self._options = transport, store, options
        self._observer, self._cancel = observer, cancel

    def take(self, target: Target, about: Facts, previous: Scan | None, put: Put) -> Scan:
        """The scan of `target`: `previous` itself where the tree is the same, else a new one, stored by `put`.

        `previous` is what `usable` let through. `about` holds the facts of the run for report and digest.
        """
        if previous is not None and previous.commit == target.commit:
            return previous
        # DuckDB and the analyzers are loaded only by runs that scan.
        from snapshotter.capture.tree import Blobs
        from snapshotter.scan.tree_scan import TreeScan

        settings, resources = self._options.settings, self._options.resources
        self._observer.stage("reading the tree to scan")
        temp = str(resources.temp) if resources.temp else None
        with Blobs(
            self._transport,
            "sha256" if len(target.commit) == 64 else "sha1",
            target.commit,
            max_file=settings.max_file_bytes,
            max_total=settings.max_total_bytes,
            max_paths=LISTED_FACTOR * settings.max_files,
            temp=temp,
            cancel=self._cancel,
        ) as blobs:
            listing = blobs.listing(with_blobs=previous is None)
            if previous is not None and previous.tree == listing.tree:
                return previous
            with (
                self._tables(previous) as before,
                TreeScan(settings, resources, self._observer, self._cancel) as scanner,
            ):
                made = scanner.scan(listing, blobs.read, about, before)
                artifacts = [
                    put(name, path.read_bytes(), _TYPES[path.suffix]) for name, path in made.files.items()
                ]
        return Scan(
            run_id=about.run_id,
            ref=target.ref,
            commit=target.commit,
            tree=listing.tree,
            tables=made.rows,
            artifacts=artifacts,
            scanners=scanner_versions(),
            settings=settings,
            licences=made.licences,
            gaps=made.gaps,
        )

    @contextmanager
    def _tables(self, previous: Scan | None) -> Iterator[Mapping[str, Path] | None]:
        """The tables of the parent's scan as files; None where there is none or it does not read."""
        if previous is None:
            yield None
            return
        with private_folder(self._options.resources.temp) as folder:
            tables = {
                name: artifact for name in COLUMNS if (artifact := previous.artifact(f"scan/{name}.parquet"))
            }
            found: dict[str, Path] = {}
            try:
                with ThreadPoolExecutor(len(COLUMNS)) as pool:
                    read = pool.map(lambda one: checked_get(self._store, one), tables.values())
                    for name, data in zip(tables, read, strict=True):
                        found[name] = folder / f"{name}.parquet"
                        found[name].write_bytes(data)
            except (Unavailable, AccessDenied) as error:  # missing ones are refused by a bucket like ours
                self._observer.warn(f"the parent's scan cannot be used, so this one is full: {error.message}")
                found = {}
            yield found


def failed(error: Exception) -> Gap:
    """The gap of a scan that could not be made. Raises what must end the run: an interruption, a mistyped ref.

    An unexpected error is named by its type alone: its text may quote the repository, a secret even.
    """
    if isinstance(error, (Interrupted, UsageError)):
        raise error
    said = error.message if isinstance(error, SnapshotterError) else f"unexpected {type(error).__name__}"
    return Gap(kind="scan", count=1, sample=[printable(said)[:300]])
