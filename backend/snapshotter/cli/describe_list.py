"""Lists in words: snapshots, and where origins stand, of which people are shown those that lack something."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from snapshotter.base.text import human_bytes, noun, plural
from snapshotter.cli import describe

if TYPE_CHECKING:
    from snapshotter.archive.expiry import Expiry
    from snapshotter.archive.manifest import Manifest
    from snapshotter.archive.snapshot_list import ListedSnapshot, SnapshotList
    from snapshotter.fleet.standing import Standing, Standings

_LIST_HEAD: Final = ("SNAPSHOT", "TAKEN (UTC)", "KIND", "REFS", "STORED", "VERIFIED", "CHANGES")
_VERIFIED: Final = {True: "yes", False: "FAILED", None: "-"}
_ORIGINS_HEAD: Final = ("ORIGIN", "NEWEST GOOD (UTC)", "VERIFIED (UTC)", "LACKS")
_LACKS: Final = {
    "never-taken": "never taken",
    "none-good": "no good snapshot",
    "stale": "no young snapshot",
    "unverified": "no recent verification",
}


def listing(snapshots: SnapshotList, where: str, now: datetime, expiry: Expiry | None = None) -> list[str]:
    """A table of snapshots, and of repos that could not be listed; or one line that `where` holds none.

    It has a column more where snapshots have LFS objects, and one where objects are said to expire: until when each
    snapshot can be restored.
    """
    if not snapshots.snapshots and not snapshots.unread:
        return [f"no snapshots in {where}"]
    rows = [_LIST_HEAD, *(_row(listed, now) for listed in snapshots.snapshots)]
    rows += [(each.repo, "-", "unreadable", "-", "-", "-", each.error.message) for each in snapshots.unread]
    held = [listed.manifest.lfs if listed.manifest else None for listed in snapshots.snapshots]
    if any(told := [lfs.told if lfs else "" for lfs in held]):
        objects = ["LFS", *(each or "-" for each in told), *("-" for _ in snapshots.unread)]
        rows = [(*row[:-1], each, row[-1]) for row, each in zip(rows, objects, strict=True)]
    if expiry:
        ends = [*(_until(listed.manifest, expiry, now) for listed in snapshots.snapshots)]
        ends = ["RESTORABLE", *ends, *("-" for _ in snapshots.unread)]
        rows = [(*row[:-1], end, row[-1]) for row, end in zip(rows, ends, strict=True)]
    return table(rows)


def _until(manifest: Manifest | None, expiry: Expiry, now: datetime) -> str:
    """Until when a snapshot can be restored, marked where that is over, or ends before it should."""
    if manifest is None:
        return "-"
    until = expiry.restorable_until(manifest)
    if expiry.over(manifest, now):
        return f"NO LONGER ({until:%Y-%m-%d})"
    mark = (
        (" TOO SHORT" if expiry.retention else " (chain goes first)") if expiry.falls_short(manifest) else ""
    )
    return f"until {until:%Y-%m-%d}{mark}"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _row(listed: ListedSnapshot, now: datetime) -> tuple[str, ...]:
    key, manifest = listed.run.key, listed.manifest
    taken = key.run_id.started_at
    return (
        describe.name_of(key),
        f"{taken:%Y-%m-%d %H:%M} ({describe.age(taken, now)})",
        manifest.kind if manifest else "unreadable",
        f"{manifest.refs.count if manifest else 0:,}",
        human_bytes(listed.stored_bytes),
        _VERIFIED[listed.run.verified if manifest else None],
        describe.change_counts(manifest.ref_changes)
        if manifest
        else listed.error.message
        if listed.error
        else "",
    )


def restorable(manifest: Manifest, expiry: Expiry, now: datetime) -> str:
    """The line of `show` on until when a snapshot can be restored."""
    return f"  restorable {_until(manifest, expiry, now)}, when the chain's oldest run expires"


def standings(found: Standings, now: datetime) -> list[str]:
    """A table of the origins that lack something, and of what could not be looked up; then how many are well."""
    rows = [_standing(standing, now) for standing in found.lacking]
    rows += [(each.repo, "-", "-", f"not known: {each.error.message}") for each in found.unread]
    well = len(found.origins) - len(found.lacking)
    every = plural(len(found.origins) + len(found.unread), "origin")
    total = f"{well:,} of {every} {noun(well, 'lacks', 'lack')} nothing"
    return [*table([_ORIGINS_HEAD, *rows]), "", total] if rows else [total]


def _standing(standing: Standing, now: datetime) -> tuple[str, ...]:
    good = standing.good.run_id.started_at if standing.good else None
    return (
        standing.origin,
        _when(good, now),
        _when(standing.proven_at, now),
        ", ".join(_LACKS[lack] for lack in standing.lacks),
    )


def _when(moment: datetime | None, now: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} ({describe.age(moment, now)})" if moment else "-"
