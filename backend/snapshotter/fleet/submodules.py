"""The submodules of a fleet's repositories that are in no inventory: offered as origins."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.manifest import Submodule
from snapshotter.base.errors import SnapshotterError, Unusable
from snapshotter.fleet.plan import FleetPlan
from snapshotter.git.origin_parsing import parse
from snapshotter.store.backend import READS_AT_ONCE


@dataclass(frozen=True)
class OfferedOrigin:
    """An origin that is no repository of the plan, and the origins that have it as a submodule."""

    origin: str
    of: Sequence[str]


def offered(catalog: Catalog, plan: FleetPlan) -> list[OfferedOrigin]:
    """What the newest scans of the plan's repositories name, sorted by URL. Raises as the store does."""
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        named = list(pool.map(lambda entry: _submodules(catalog, entry.origin.repo), plan.entries))
    known = {entry.origin.canonical for entry in plan.entries}
    urls: dict[str, str] = {}
    by: dict[str, dict[str, None]] = {}
    for entry, submodules in zip(plan.entries, named, strict=True):
        for each in submodules:
            try:
                origin = parse(each.url or "")
            except SnapshotterError:  # a stored manifest may say anything
                continue
            if origin.canonical not in known:
                urls.setdefault(origin.canonical, origin.url)
                by.setdefault(origin.canonical, {})[entry.origin.url] = None
    return sorted((OfferedOrigin(url, [*by[key]]) for key, url in urls.items()), key=lambda one: one.origin)


def _submodules(catalog: Catalog, repo: str) -> Sequence[Submodule]:
    run = catalog.latest(repo)
    if run is None:
        return ()
    try:
        scan = catalog.manifest(run.key, listed=True).manifest.scan
    except Unusable:
        return ()
    return (scan and scan.submodules) or ()
