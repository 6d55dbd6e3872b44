"""How snapshots and their scans are made: what the use cases take, once settings and flags are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from snapshotter.archive.manifest import Manifest, ScanSettings
from snapshotter.capture.chain import MAX_INCREMENTS, BasePolicy
from snapshotter.git.refs import SYNTHETIC_MERGES

if TYPE_CHECKING:
    from snapshotter.scan.resources import ScanResources


LFS_SEGMENTS: Final = 4
"""Segments of LFS objects that may be in memory at a time: a large object takes two."""


def _resources() -> ScanResources:
    from snapshotter.scan.resources import ScanResources  # which runs without a scan do not load

    return ScanResources()


@dataclass(frozen=True)
class ScanOptions:
    """How a scan is made: of `ref`, or of the default branch; under which limits and with what.

    A scan older than `max_age` is not referred to, but made anew: its artifacts may expire.
    """

    settings: ScanSettings
    resources: ScanResources = field(default_factory=_resources)
    ref: str | None = None
    max_age: timedelta | None = None


class LfsOptions(Struct, frozen=True):
    """Which LFS objects are taken: those of all of history, or of the tips' trees; none of more bytes than
    `max_object_bytes`. What is searched for pointers goes to `temp` where it is large (None: the system's folder)."""

    asked: Literal["all", "tips"] = "all"
    max_object_bytes: int = 64 * 1024**3
    temp: Path | None = None


@dataclass(frozen=True)
class CaptureOptions:
    """How a snapshot is taken. Sizes are bytes. Without `scan` there is none, and without `lfs` no LFS objects.

    `wiki` tells the snapshot of the origin's wiki, as ``repo@run``, once a manifest is made; `wiki_of` is the repo
    whose wiki the origin is. With `changes_only`, nothing is written of an origin that is as its newest snapshot has
    it; with `stands_since`, nothing if that was taken since then. `room` is entered by whatever holds much memory: a
    pack on its way into the store, and a scan.
    """

    full: bool = False
    refs: Sequence[str] = ()
    exclude_refs: Sequence[str] = SYNTHETIC_MERGES
    labels: Mapping[str, str] = field(default_factory=dict)
    segment_bytes: int = 16 * 1024 * 1024
    in_flight: int = 2
    max_chain_age: timedelta | None = None
    max_increments: int = MAX_INCREMENTS
    max_refs: int = 2_000_000
    idle_seconds: float = 90.0
    scan: ScanOptions | None = None
    wiki: Callable[[], str | None] = lambda: None
    wiki_of: str | None = None
    changes_only: bool = False
    stands_since: datetime | None = None
    room: AbstractContextManager[object] = field(default_factory=nullcontext)
    lfs: LfsOptions | None = None

    def stands(self, newest: Manifest) -> bool:
        """Whether nothing is written of an origin that is as its `newest` snapshot has it."""
        return self.changes_only or self.is_recent(newest)

    def is_recent(self, newest: Manifest) -> bool:
        """Whether a snapshot was taken after `stands_since`."""
        return self.stands_since is not None and newest.started_at >= self.stands_since

    @property
    def held_bytes(self) -> int:
        """The most memory that what is on its way into the store takes at a time: segments of the pack, and once that
        is stored, of LFS objects."""
        segments = self.in_flight + 1
        return self.segment_bytes * (max(segments, LFS_SEGMENTS) if self.lfs else segments)

    @property
    def base_policy(self) -> BasePolicy:
        """When a base is due."""
        return BasePolicy(self.full, self.max_chain_age, self.max_increments)
