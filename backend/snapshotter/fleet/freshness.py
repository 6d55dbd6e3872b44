"""How fresh a group of origins is: which of them lacks a good snapshot that is young enough.

One good run of one origin does not hide another's silence, since each is looked up in the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from snapshotter.archive.catalog import Catalog
from snapshotter.base.errors import SnapshotterError
from snapshotter.fleet.standing import newest_good
from snapshotter.git.origin_parsing import parse
from snapshotter.store.backend import READS_AT_ONCE


@dataclass(frozen=True)
class Freshness:
    """The age of each origin's newest good snapshot, by the origin's text; None where none is known."""

    ages: Mapping[str, timedelta | None]
    stale_after: timedelta

    @property
    def stale(self) -> list[str]:
        """The origins without a good snapshot that is young enough, in the order given."""
        return [origin for origin, age in self.ages.items() if age is None or age > self.stale_after]

    @property
    def oldest(self) -> timedelta | None:
        """The age of the stalest origin's newest good snapshot. Returns None if no origin has one."""
        return max((age for age in self.ages.values() if age is not None), default=None)


def freshness(
    catalog: Catalog, origins: Sequence[str], *, now: datetime, stale_after: timedelta
) -> Freshness:
    """Look up each origin's newest good snapshot: one whose newest receipt, if it has any, is no failure.

    Whatever keeps an origin from being looked up makes it stale: nobody knows of a good snapshot then.
    """

    def age(origin: str) -> timedelta | None:
        try:
            good = newest_good(catalog, parse(origin).repo, now)
        except SnapshotterError:
            return None
        return max(now - good.run_id.started_at, timedelta(0)) if good else None

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        return Freshness(dict(zip(origins, pool.map(age, origins), strict=True)), stale_after)
