"""Whether the store holds the commits that a tree's submodules are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Submodule
from snapshotter.base.errors import SnapshotterError, Unusable
from snapshotter.git.origin_parsing import parse
from snapshotter.store.backend import READS_AT_ONCE


@dataclass(frozen=True)
class SubmoduleState:
    """A submodule, and the newest snapshot of its repository; None if there is none, or its URL is not known.

    `held` is whether that snapshot has the commit. It is None where that is not told: a snapshot names the commits that
    its refs end at, and a submodule may be at an older one.
    """

    submodule: Submodule
    snapshot: RunKey | None
    held: bool | None


def states(catalog: Catalog, submodules: Iterable[Submodule]) -> list[SubmoduleState]:
    """The state of each submodule. Raises as the store does; what cannot be read of a snapshot is not told."""
    submodules = list(submodules)
    repos = {repo for each in submodules if (repo := _repo(each))}
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        known = dict(zip(repos, pool.map(lambda repo: _newest(catalog, repo), repos), strict=True))
    return list(_states(submodules, known))


def _states(
    submodules: Iterable[Submodule], known: dict[str, tuple[RunKey, frozenset[str]] | None]
) -> Iterator[SubmoduleState]:
    for each in submodules:
        newest = known.get(_repo(each) or "")
        if newest is None:
            yield SubmoduleState(each, None, held=False)
        else:
            key, commits = newest
            yield SubmoduleState(each, key, held=True if each.commit in commits else None)


def _repo(submodule: Submodule) -> str | None:
    try:
        return parse(submodule.url).repo if submodule.url else None
    except SnapshotterError:  # a stored manifest may say anything
        return None


def _newest(catalog: Catalog, repo: str) -> tuple[RunKey, frozenset[str]] | None:
    """The newest snapshot of a repo, and the objects that its refs end at."""
    run = catalog.latest(repo)
    if run is None:
        return None
    try:
        ledger = catalog.ledger(catalog.manifest(run.key, listed=True).manifest)
    except Unusable:
        return run.key, frozenset()
    peeled = frozenset(ref.peeled for ref in ledger if ref.peeled)
    return run.key, ledger.tips | peeled
