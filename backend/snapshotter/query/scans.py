"""The scan of each snapshot: its manifest's, or one that was made later and names that manifest.

The one place that says where a snapshot's scan is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from snapshotter import layout
from snapshotter.cancel import Cancel
from snapshotter.catalog import Catalog
from snapshotter.errors import Unavailable
from snapshotter.layout import RunKey
from snapshotter.manifest import MAX_MANIFEST, Manifest, Scan, seal
from snapshotter.query.model import LeftOut
from snapshotter.scanrecord import open_record

_PARALLEL: Final = 16
_UNUSABLE: Final = (
    "scan-record",
    "too-large",
    "missing",
)  # codes of one bad record, not of a store in trouble


def scans_of(
    catalog: Catalog, manifests: Iterable[Manifest], cancel: Cancel
) -> tuple[Mapping[RunKey, Scan], list[LeftOut]]:
    """The scans of those snapshots that have one, and the records of later scans that do not read.

    A repo is listed again only if a snapshot of it lacks a scan: once, from that snapshot's day on.
    """
    found: dict[RunKey, Scan] = {}
    lacking: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        if manifest.scan is not None:
            found[manifest.key] = manifest.scan
        elif manifest.kind != "empty":
            lacking.setdefault(manifest.repo, []).append(manifest)

    def later(repo: str) -> tuple[Mapping[RunKey, Scan], list[LeftOut]]:
        cancel.check()
        return _later(catalog, repo, lacking[repo])

    left_out: list[LeftOut] = []
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for scans, unusable in pool.map(later, lacking):
            found.update(scans)
            left_out += unusable
    return found, left_out


def _later(
    catalog: Catalog, repo: str, manifests: Sequence[Manifest]
) -> tuple[Mapping[RunKey, Scan], list[LeftOut]]:
    """The newest of the later scans of each manifest, which a record names by run and digest."""
    since = min(manifest.key.run_id.started_at for manifest in manifests)
    runs = [run for run in catalog.runs(repo, since=since) if layout.SCAN in run.files]
    wanted = (
        {(manifest.run_id, seal(manifest).sha256): manifest.key for manifest in manifests} if runs else {}
    )
    found: dict[RunKey, Scan] = {}
    left_out: list[LeftOut] = []
    for run in runs:
        try:
            data = catalog.store.get(run.key.key(layout.SCAN), limit=MAX_MANIFEST)
            record = open_record(data, run.key)
        except Unavailable as error:
            if error.code not in _UNUSABLE:
                raise
            left_out.append(LeftOut(run.key, "scan", error.message))
            continue
        key = wanted.get((record.of.run_id, record.of.manifest_sha256))
        if key is not None:
            found[key] = record.scan
    return found, left_out
