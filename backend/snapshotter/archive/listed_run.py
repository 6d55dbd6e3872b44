"""One run as a listing shows it: its folder's names and sizes tell whether it is a snapshot, and what was verified."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from snapshotter.archive import layout, receipts
from snapshotter.archive.layout import RunKey, parse_key
from snapshotter.store.backend import ListedObject


@dataclass(frozen=True)
class ListedRun:
    """One run's folder as listed: sizes in bytes by artifact name."""

    key: RunKey
    files: dict[str, int] = field(default_factory=dict)

    @property
    def is_snapshot(self) -> bool:
        """Whether its manifest exists, which is what makes it a snapshot."""
        return layout.MANIFEST in self.files

    @property
    def has_history(self) -> bool:
        """Whether manifest, refs and bundle are there, by the listing alone: a last segment's loss does not show."""
        segments = {name for name in self.files if name.startswith(layout.HISTORY)}
        counted = {layout.segment_name(index, only=False) for index in range(len(segments))}
        whole = segments in ({layout.segment_name(0, only=True)}, counted)
        return self.is_snapshot and layout.REFS in self.files and bool(segments) and whole

    @property
    def receipts(self) -> list[str]:
        """The names of its receipts, oldest first."""
        return sorted(filter(receipts.is_name, self.files))

    @property
    def verified(self) -> bool | None:
        """What its newest receipt says, by the listing alone; None without one."""
        return receipts.says_ok(self.receipts[-1]) if self.receipts else None

    @property
    def verified_at(self) -> datetime | None:
        """When its newest receipt was written, UTC, by the listing alone; None without one."""
        return receipts.said_at(self.receipts[-1]) if self.receipts else None


def grouped(objects: Iterable[ListedObject]) -> list[ListedRun]:
    """Listed objects as runs, in key order; objects that belong to no run are passed over."""
    runs: dict[RunKey, ListedRun] = {}
    for each in objects:
        if parsed := parse_key(each.key):
            key, name = parsed
            runs.setdefault(key, ListedRun(key)).files[name] = each.bytes
    return sorted(runs.values(), key=lambda run: run.key)
