"""The submodules of a fleet's repositories that are in no inventory: offered as origins."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.later_scans import scan_of
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


@dataclass(frozen=True)
class Offers:
    """Origins that are offered, sorted by URL; and the plan's repositories of whose submodules nothing is known: they
    have no snapshot, or the newest no scan."""

    origins: Sequence[OfferedOrigin]
    unknown: Sequence[str]


def offered(catalog: Catalog, plan: FleetPlan) -> Offers:
    """What the scans of the newest snapshots of the plan's repositories name. Raises as the store does."""
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        named = list(pool.map(lambda entry: _submodules(catalog, entry.origin.repo), plan.entries))
    known = {entry.origin.canonical for entry in plan.entries}
    urls: dict[str, str] = {}
    by: dict[str, dict[str, None]] = {}
    unknown = [entry.origin.url for entry, found in zip(plan.entries, named, strict=True) if found is None]
    for entry, submodules in zip(plan.entries, named, strict=True):
        for each in submodules or ():
            try:
                origin = parse(each.url or "")
            except SnapshotterError:  # a stored manifest may say anything
                continue
            if origin.canonical not in known:
                urls.setdefault(origin.canonical, origin.url)
                by.setdefault(origin.canonical, {})[entry.origin.url] = None
    origins = (OfferedOrigin(url, [*by[key]]) for key, url in urls.items())
    return Offers(sorted(origins, key=lambda one: one.origin), unknown)


def _submodules(catalog: Catalog, repo: str) -> Sequence[Submodule] | None:
    """The submodules of a repo's newest snapshot. Returns None where they are not known."""
    run = catalog.latest(repo)
    try:
        scan = scan_of(catalog, catalog.manifest(run.key, listed=True).manifest) if run else None
    except Unusable:
        return None
    return (scan.submodules or ()) if scan else None
