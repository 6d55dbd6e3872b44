"""The scans of many snapshots at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.later_scans import LaterScans, later_scans
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Manifest, Scan
from snapshotter.base.cancel import Cancel
from snapshotter.query.left_out import LeftOut
from snapshotter.store.backend import READS_AT_ONCE


def scans_of(
    catalog: Catalog, manifests: Iterable[Manifest], cancel: Cancel
) -> tuple[Mapping[RunKey, Scan], list[LeftOut]]:
    """The scans of those snapshots that have one, and the records of later scans that cannot be read.

    A repo is listed again only if a snapshot of it lacks a scan: once, from that snapshot's day on.
    """
    scans: dict[RunKey, Scan] = {}
    lacking: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        if manifest.scan is not None:
            scans[manifest.key] = manifest.scan
        elif manifest.kind != "empty":
            lacking.setdefault(manifest.repo, []).append(manifest)

    def later(repo: str) -> LaterScans:
        cancel.check()
        return later_scans(catalog, repo, lacking[repo])

    left_out: list[LeftOut] = []
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        for made_later, unusable in pool.map(later, lacking):
            scans.update(made_later)
            left_out += [LeftOut(key, "scan", error.message) for key, error in unusable.items()]
    return scans, left_out
