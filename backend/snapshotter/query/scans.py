"""The scans of many snapshots at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from snapshotter.archive.later_scans import LaterScans, later_scans
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Manifest, Scan
from snapshotter.query.left_out import LeftOut
from snapshotter.query.sources import Sources
from snapshotter.store.backend import READS_AT_ONCE


def scans_of(sources: Sources, manifests: Iterable[Manifest]) -> tuple[Mapping[RunKey, Scan], list[LeftOut]]:
    """The scans of those snapshots that have one, and the records that cannot be read and may be of those without.

    The observer is warned of records that cannot be of any. A repo is listed again only if a snapshot of it lacks a
    scan: once, from that snapshot's day on.
    """
    scans: dict[RunKey, Scan] = {}
    lacking: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        if manifest.scan is not None:
            scans[manifest.key] = manifest.scan
        elif manifest.kind != "empty":
            lacking.setdefault(manifest.repo, []).append(manifest)

    def later(repo: str) -> LaterScans:
        sources.cancel.check()
        return later_scans(sources.catalog, repo, lacking[repo])

    left_out: list[LeftOut] = []
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        for repo, (made_later, unusable) in zip(lacking, pool.map(later, lacking), strict=True):
            scans.update(made_later)
            without = [one.run_id for one in lacking[repo] if one.key not in scans]
            for key, error in unusable.items():
                # A later scan's run starts after its snapshot's.
                if any(run_id < str(key.run_id) for run_id in without):
                    left_out.append(LeftOut(key, "scan", error.message))
                else:
                    sources.observer.warn(error.message)
    return scans, left_out
