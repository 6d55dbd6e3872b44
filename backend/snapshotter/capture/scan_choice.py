"""Which commit a scan reads, and which scan from before it may build on."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.later_scans import scan_of
from snapshotter.archive.layout import RunId
from snapshotter.archive.manifest import Manifest, Scan
from snapshotter.base.errors import AccessDenied, Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.text import decode_name, printable
from snapshotter.capture.options import ScanOptions
from snapshotter.git.refs import RefsLedger


class ScanTarget(Struct, frozen=True):
    """The commit to scan, and the ref that names it."""

    ref: str
    commit: str


def target(ledger: RefsLedger, ref: str | None) -> ScanTarget | None:
    """The commit that a scan reads: of `ref`, as a full name or a branch's or tag's short one, or else of HEAD.

    Returns None if HEAD names nothing that was taken. Raises UsageError for a `ref` that was not taken.
    """
    if ref is None:
        name = ledger.head_target
        if name is None:
            return ScanTarget("HEAD", ledger.head_oid) if ledger.head_oid else None
        names = [name]
    else:
        raw = ref.encode("utf-8", "surrogateescape")
        names = [raw, b"refs/heads/" + raw, b"refs/tags/" + raw]
    by_name = {listed.name: listed for listed in ledger}
    for name in names:
        if (listed := by_name.get(name)) is not None:
            return ScanTarget(decode_name(name), listed.peeled or listed.oid)
    if ref is None:
        return None
    raise UsageError(
        f"no such ref to scan: {printable(ref)[:200]}",
        hint="--ref names a branch or a tag of the origin that --refs and --exclude-refs leave in",
    )


def earlier(catalog: Catalog, parent: Manifest, observer: Observer) -> Scan | None:
    """The parent's scan, or one that was made for it later. Returns None if it has none that can be read."""
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
    from snapshotter.scan.scanners import FAILED, scanner_versions  # which runs without a scan do not load

    if previous.scanners != scanner_versions() or any(gap.kind == FAILED for gap in previous.gaps):
        return None
    if options.max_age is not None and now - RunId(previous.run_id).started_at > options.max_age:
        return None
    return previous


def holds(
    previous: Scan | None, target: ScanTarget | None, options: ScanOptions | None, now: datetime
) -> bool:
    """Whether the parent's own scan is what a new one would be, so that none has to be made."""
    if options is None or target is None:
        return True
    scan = usable(previous, target.ref, options, now)
    return scan is not None and scan.commit == target.commit
