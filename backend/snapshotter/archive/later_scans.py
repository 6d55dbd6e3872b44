"""The scan of a snapshot: its manifest's, or one that was made later and names that manifest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import MAX_MANIFEST, Manifest, Scan, seal
from snapshotter.archive.scan_record import open_record
from snapshotter.base.errors import Unusable


class Later(NamedTuple):
    """What a repo's later scans are: the newest of each snapshot, and the records that do not read, by their run."""

    scans: dict[RunKey, Scan]
    unusable: dict[RunKey, Unusable]


def later_scans(catalog: Catalog, repo: str, manifests: Sequence[Manifest]) -> Later:
    """The later scans of snapshots of one repo, which records name by run and manifest digest.

    One listing, from the oldest of them on. Raises Unavailable and AccessDenied if the store is in trouble.
    """
    since = min(manifest.key.run_id.started_at for manifest in manifests)
    runs = [run for run in catalog.runs(repo, since=since) if layout.SCAN in run.files]
    wanted = {(one.run_id, seal(one).sha256): one.key for one in manifests} if runs else {}
    found = Later({}, {})
    for run in runs:
        try:
            record = open_record(catalog.store.get(run.key.key(layout.SCAN), limit=MAX_MANIFEST), run.key)
        except Unusable as error:
            found.unusable[run.key] = error
            continue
        if (key := wanted.get((record.of.run_id, record.of.manifest_sha256))) is not None:
            found.scans[key] = record.scan
    return found


def scan_of(catalog: Catalog, manifest: Manifest) -> Scan | None:
    """The scan of a snapshot, or None. Raises Unusable for a record of a later scan that does not read, if
    no other holds."""
    if manifest.scan is not None:
        return manifest.scan
    found = later_scans(catalog, manifest.repo, [manifest])
    for error in found.unusable.values():
        if not found.scans:
            raise error
    return found.scans.get(manifest.key)
