"""Runs of fleets in the store: the names of what they leave, and how they are found.

A run is a folder below `_fleet/`, as a snapshot's is below its repo. The listing alone tells whose it is, by the record
that it begins with, and whether it ended, by its summary, which is written last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from snapshotter.archive import layout
from snapshotter.archive.layout import FLEET, RunId, RunKey, parse_key
from snapshotter.store.backend import ListedObject
from snapshotter.store.objects import Store

SUMMARY: Final = "summary.json"
CHECKPOINTS: Final = "checkpoints/"
RECENT: Final = timedelta(days=8)  # what the first listing covers: a week, and the day that it began on
AHEAD: Final = timedelta(minutes=15)  # by how much another machine's clock may be ahead

# As inventories are named (see fleet/inventory.py): a store is anybody's who may write to it.
_STARTED: Final = re.compile(r"started\.([a-z0-9][a-z0-9._-]{0,63})\.json\Z")
_CHECKPOINT: Final = re.compile(r"checkpoints/([0-9]{6,9})\.parquet\Z")
_PART: Final = re.compile(r"results(?:\.[0-9]{4,6})?\.parquet\Z")


def run_key(run_id: RunId) -> RunKey:
    """A fleet run's place."""
    return RunKey(FLEET, run_id)


def started_name(inventory: str) -> str:
    """The name of the record that a run of this inventory begins with."""
    return f"started.{inventory}.json"


def checkpoint_name(number: int) -> str:
    """The name of a run's checkpoint, counted from 1."""
    return f"{CHECKPOINTS}{number:06d}.parquet"


def part_name(index: int, *, only: bool) -> str:
    """``results.parquet``, or ``results.0000.parquet`` and on when there are several."""
    return "results.parquet" if only else f"results.{index:04d}.parquet"


def is_part(name: str) -> bool:
    """Whether an object of a run's folder has the name of a part of its results."""
    return bool(_PART.match(name))


@dataclass(frozen=True)
class ListedFleetRun:
    """One fleet run's folder as listed: sizes in bytes by name."""

    key: RunKey
    files: dict[str, int] = field(default_factory=dict)

    @property
    def inventory(self) -> str | None:
        """Whose run it is; None if nothing tells, or two things tell differently."""
        names = {match[1] for name in self.files if (match := _STARTED.match(name))}
        return names.pop() if len(names) == 1 else None

    @property
    def has_ended(self) -> bool:
        """Whether its summary exists, which is written last."""
        return SUMMARY in self.files

    @property
    def checkpoints(self) -> dict[int, str]:
        """The names of its checkpoints by their numbers, in order."""
        found = {int(match[1]): name for name in self.files if (match := _CHECKPOINT.match(name))}
        return dict(sorted(found.items()))


def folder(store: Store, run_id: RunId) -> ListedFleetRun:
    """One run's folder, listed now; without files if there is none. Raises as the store does."""
    key = run_key(run_id)
    return next((run for run in _grouped(store.list(key.folder)) if run.key == key), ListedFleetRun(key))


def every_run(store: Store, *, since: datetime | None = None) -> list[ListedFleetRun]:
    """The runs of all fleets, oldest first; from the day of `since` on. Raises as the store does."""
    after = layout.day_prefix(FLEET, since) if since else ""
    return _grouped(store.list(FLEET, after=after, ours=layout.is_place))


def newest_first(store: Store, now: datetime) -> Iterator[ListedFleetRun]:
    """The runs of all fleets, newest first: the last week by one list, then day by day.

    A run from the future is passed over: it would be the newest until its time has come. Raises as the store does.
    """
    bound = now + AHEAD
    recent = now - RECENT
    for run in reversed(every_run(store, since=recent)):
        if run.key.run_id.started_at <= bound:
            yield run
    for day in _days_before(store, layout.day_prefix(FLEET, recent)):
        yield from reversed(_grouped(store.list(day)))


def _days_before(store: Store, limit: str) -> Iterator[str]:
    """Folders of days before `limit`, newest first."""
    for year in _places(store, FLEET, limit):
        for month in _places(store, year, limit):
            yield from (day for day in _places(store, month, limit) if day < limit)


def _places(store: Store, parent: str, limit: str) -> Iterator[str]:
    for name in reversed(store.folders(parent)):
        place = f"{parent}/{name}"
        if place <= limit and layout.is_place(place):
            yield place


def _grouped(objects: Iterable[ListedObject]) -> list[ListedFleetRun]:
    runs: dict[RunKey, ListedFleetRun] = {}
    for each in objects:
        if (parsed := parse_key(each.key)) and parsed[0].repo == FLEET:
            runs.setdefault(parsed[0], ListedFleetRun(parsed[0])).files[parsed[1]] = each.bytes
    return sorted(runs.values(), key=lambda run: run.key)
