"""What the last results of fleets add to the listings of snapshots: that an origin was found to have nothing newer.

A run that keeps only a ledger writes no manifest for what did not change, so the newest snapshot is then older than
what is known of its origin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime

from snapshotter.archive.layout import RunKey
from snapshotter.base.errors import AccessDenied, Unavailable
from snapshotter.fleet.last_result import ResultReader
from snapshotter.fleet.standing import Confirmed

Opened = Callable[[], AbstractContextManager[ResultReader]]
"""Makes a reader of results, which takes room on this machine: only when it is needed."""


def confirmed_since(opened: Opened, since: datetime, now: datetime) -> Confirmed:
    """What fleets' runs since then found, of every inventory the newest run that ended.

    What cannot be read confirms nothing, and is warned of.
    """

    def confirmed(wanted: Mapping[str, RunKey]) -> Mapping[str, datetime]:
        found: dict[str, datetime] = {}
        with opened() as reader:
            try:
                for row in reader.newest_of_each(since, now):
                    key = wanted.get(row.repo)
                    if key is None or row.good_at is None or row.good_run_id != key.run_id.text:
                        continue
                    found[row.repo] = max(row.good_at, found.get(row.repo, row.good_at))
            except (Unavailable, AccessDenied) as error:
                reader.observer.warn(f"the results of fleets are not used: {error.message}")
        return found

    return confirmed
