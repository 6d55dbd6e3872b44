"""Stores that several tests of queries ask."""

from __future__ import annotations

from snapshotter.archive.sealed import Sealed
from tests.support.lake import DAY, NOV, Lake, file_row


def three_days(lake: Lake) -> list[Sealed]:
    taken = [lake.made.add("h__a", NOV + day * DAY, {"files": [file_row("x", day + 1)]}) for day in range(3)]
    taken.append(lake.made.add("h__b", NOV, {"files": [file_row("y", 9)]}))
    return taken
