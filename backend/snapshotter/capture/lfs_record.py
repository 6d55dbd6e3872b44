"""What a manifest says of LFS objects: the rows of their table, the record, the gaps. Nothing here reads or writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import structs

from snapshotter.archive.manifest import MAX_COUNT, Artifact, Gap, Lfs
from snapshotter.base.text import printable
from snapshotter.capture.lfs_fetching import Outcome
from snapshotter.scan.lfs_rows import LfsRow
from snapshotter.transport.lfs.source import LfsPointer, LfsUnavailable

_SAMPLE: Final = 5  # objects that a gap names, of all that it counts
_HISTORY: Final = "the origin does not filter, so only the trees of its tips were searched for LFS pointers"

Asked = Literal["all", "tips", "none"]


def rows_of(
    named: Sequence[LfsPointer],
    known: Mapping[LfsPointer, LfsRow],
    outcomes: Mapping[LfsPointer, Outcome],
    paths: Mapping[LfsPointer, str],
) -> list[LfsRow]:
    """One row for each pointer, from what the parent's table says and what came of asking.

    A pointer that is not held is left out where another of the same object is: two of one object that differ in its
    size cannot both be right.
    """
    rows = [_row(pointer, known.get(pointer), outcomes.get(pointer), paths.get(pointer)) for pointer in named]
    held = {row.oid for row in rows if row.held}
    return [row for row in rows if row.held or row.oid not in held]


def _row(pointer: LfsPointer, known: LfsRow | None, outcome: Outcome | None, path: str | None) -> LfsRow:
    path = path or (known.path if known else None)
    if isinstance(outcome, list):
        return LfsRow(pointer.oid, pointer.bytes, True, outcome, path)
    if known is not None and known.held:
        return known
    reason = outcome.reason if isinstance(outcome, LfsUnavailable) else (known and known.reason)
    return LfsRow(pointer.oid, pointer.bytes, False, [], path, reason or "unreachable")


def record_of(rows: Sequence[LfsRow], asked: Asked, searched: Asked, table: Artifact | None) -> Lfs:
    """The record of these rows, which `table` holds."""
    held = [row for row in rows if row.held]
    return Lfs(
        asked=asked,
        searched=searched,
        objects=len(rows),
        held=len(held),
        bytes=min(sum(row.bytes for row in rows), MAX_COUNT),  # whoever wrote the pointers may say anything
        held_bytes=sum(row.bytes for row in held),
        table=table,
    )


def still(before: Lfs, asked: Asked, searched: Asked) -> Lfs:
    """The parent's record where its objects are this snapshot's, too."""
    return structs.replace(before, asked=asked, searched=searched)


def gaps_of(record: Lfs, rows: Sequence[LfsRow]) -> list[Gap]:
    """A gap for each reason for which objects are missing, and one for a history that was not searched."""
    missing = [row for row in rows if not row.held]
    counts = Counter(row.reason for row in missing)
    gaps = [
        Gap(
            kind=f"lfs-{reason}",
            count=count,
            sample=[_shown(row) for row in missing if row.reason == reason][:_SAMPLE],
        )
        for reason, count in sorted(counts.items(), key=str)
    ]
    if record.asked == "all" and record.searched == "tips":
        gaps.append(Gap(kind="lfs-history", count=1, sample=[_HISTORY]))
    return gaps


def unsearched(why: str) -> Gap:
    """The gap of a run that does not know which LFS objects its history names."""
    return Gap(kind="lfs-unsearched", count=1, sample=[printable(why)[:300]])


def _shown(row: LfsRow) -> str:
    return f"{row.oid} {row.bytes}" + (f" {printable(row.path)[:200]}" if row.path else "")
