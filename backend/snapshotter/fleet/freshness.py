"""How fresh a group of origins is: which of them lacks a good snapshot that is young enough.

One good run of one origin does not hide another's silence, since each is looked up in the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunKey
from snapshotter.base.errors import SnapshotterError
from snapshotter.fleet.standing import Confirmed, newest_good
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
    catalog: Catalog,
    origins: Sequence[str],
    *,
    now: datetime,
    stale_after: timedelta,
    confirmed: Confirmed = lambda _: {},
) -> Freshness:
    """Look up each origin's newest good snapshot: one whose newest receipt, if it has any, is no failure.

    `confirmed` is asked about those that are too old. Whatever keeps an origin from being looked up makes it stale:
    nobody knows of a good snapshot then.
    """

    def good(origin: str) -> RunKey | None:
        try:
            return newest_good(catalog, parse(origin).repo, now)
        except SnapshotterError:
            return None

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        found = dict(zip(origins, pool.map(good, origins), strict=True))
    old = {key.repo: key for key in found.values() if key and now - key.run_id.started_at > stale_after}
    known = confirmed(old) if old else {}

    def age(key: RunKey | None) -> timedelta | None:
        if key is None:
            return None
        taken = key.run_id.started_at
        return max(now - max(taken, known.get(key.repo, taken)), timedelta(0))

    return Freshness({origin: age(key) for origin, key in found.items()}, stale_after)
