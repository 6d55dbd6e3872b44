"""The scan of a snapshot: its manifest's, or one that was made later, for a snapshot taken without.

A later scan lies in a run of its own: its artifacts, and a record of it, written last. That run has no manifest,
so it is no snapshot, and the snapshot that it is of stays the newest if it was. The record names that snapshot
by its run and the digest of its manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from snapshotter.archive import layout
from snapshotter.archive.canonical import canonical, with_own_digest
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import MAX_MANIFEST, READABLE, Manifest, Parent, Scan
from snapshotter.archive.sealed import seal
from snapshotter.base.errors import Damaged, Unusable


class ScanRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One later scan: `of` names the snapshot and the digest of its manifest. Times are UTC."""

    schema_version: int
    tool_version: str
    run_id: str
    repo: str
    of: Parent
    started_at: datetime
    finished_at: datetime
    scan: Scan
    self_sha256: str = ""


_RECORDS: Final = msgspec.json.Decoder(ScanRecord)  # made by one thread, as a manifest's is


class LaterScans(NamedTuple):
    """A repo's later scans: the newest of each snapshot, and by their own run the records that cannot be read."""

    scans: dict[RunKey, Scan]
    unusable: dict[RunKey, Unusable]


class Records(NamedTuple):
    """A repo's records of later scans, oldest first, and by their own run those that cannot be read."""

    usable: list[ScanRecord]
    unusable: dict[RunKey, Unusable]


def records(catalog: Catalog, repo: str, since: datetime | None) -> Records:
    """The records of a repo's later scans that were made at `since` or after; with None, of all.

    Costs one listing, and one read for each record. Raises Unavailable and AccessDenied if the store is in trouble.
    """
    read = Records([], {})
    for run in catalog.runs(repo, since=since):
        if layout.SCAN not in run.files:
            continue
        try:
            data = catalog.store.get(run.key.key(layout.SCAN), limit=MAX_MANIFEST)
            read.usable.append(open_record(data, run.key))
        except Unusable as error:
            read.unusable[run.key] = error
    return read


def later_scans(catalog: Catalog, repo: str, manifests: Sequence[Manifest]) -> LaterScans:
    """The later scans of these snapshots, all of `repo`. Costs and raises what `records` does."""
    # A later scan's run starts after its snapshot's, so older runs need not be listed.
    read = records(catalog, repo, min(manifest.key.run_id.started_at for manifest in manifests))
    # Sealing hashes a manifest, which may be large: only where there is a record to compare it with.
    snapshots = {(one.run_id, seal(one).sha256): one.key for one in manifests} if read.usable else {}
    scans: dict[RunKey, Scan] = {}
    for record in read.usable:  # oldest first, so the newest of each snapshot stays
        key = snapshots.get((record.of.run_id, record.of.manifest_sha256))
        if key is not None:
            scans[key] = record.scan
    return LaterScans(scans, read.unusable)


def scan_of(catalog: Catalog, manifest: Manifest) -> Scan | None:
    """The scan of a snapshot, or None.

    Raises Unusable if a record of a later scan cannot be read, and no other holds one of this snapshot.
    """
    if manifest.scan is not None:
        return manifest.scan
    later = later_scans(catalog, manifest.repo, [manifest])
    if later.unusable and not later.scans:  # any of them may be this snapshot's
        raise next(iter(later.unusable.values()))
    return later.scans.get(manifest.key)


def seal_record(record: ScanRecord) -> bytes:
    """The record's stored form: canonical JSON, with the digest of itself."""
    return canonical(with_own_digest(record))


def open_record(data: bytes, where: RunKey) -> ScanRecord:
    """Read the stored record of the run `where`. Raises Damaged (code `scan-record`) if `data` is not that."""
    try:
        record = _RECORDS.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(where, f"it does not read as one ({error})") from None
    if record.schema_version not in READABLE:
        raise _bad(where, f"it has schema version {record.schema_version}")
    if seal_record(record) != data:
        raise _bad(where, "its bytes are not what they were when it was written (self_sha256)")
    if (record.repo, record.run_id) != (where.repo, str(where.run_id)):
        raise _bad(where, "it is the record of another run")
    return record


def _bad(where: RunKey, what: str) -> Damaged:
    return Damaged(
        f"the scan record of {where.folder} cannot be used: {what}",
        code="scan-record",
        hint="make the scan again with `snapshotter scan`",
    )
