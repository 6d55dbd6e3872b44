"""A store whose objects expire: until when a snapshot can be restored, and what is promised of all of them.

Objects expire one by one, each by its own age. A snapshot rests on the base of its chain, which is older than the
snapshot and goes first; from then on the snapshot is listed as before, and cannot be restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from snapshotter.archive.layout import RunId
from snapshotter.archive.manifest import Manifest
from snapshotter.base.settings import parse_span

AFTER: Final = "SNAPSHOTTER_EXPIRY"
RETENTION: Final = "SNAPSHOTTER_RETENTION"
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Expiry(Struct, frozen=True):
    """Objects expire `after` they were written; each snapshot is to be restorable for `retention` (None: as long as
    its own objects are there)."""

    after: timedelta
    retention: timedelta | None = None

    @classmethod
    def stated(cls, settings: Mapping[str, str]) -> Expiry | None:
        """The expiry that the settings state, or None: nothing is said to expire. Raises UsageError for no span."""
        after, retention = settings[AFTER], settings[RETENTION]
        return cls(parse_span(after), parse_span(retention) if retention else None) if after else None

    def restorable_until(self, manifest: Manifest) -> datetime:
        """When the oldest run that a restore needs may be gone, UTC. S3 expires by whole days, so it may take a day
        longer (User Guide, 'Expiring objects')."""
        oldest = min((RunId(run) for run in manifest.chain), default=RunId(manifest.run_id))
        return _later(oldest.started_at, self.after)

    def over(self, manifest: Manifest, now: datetime) -> bool:
        """Whether the snapshot cannot be counted on any more."""
        return self.restorable_until(manifest) <= now

    def falls_short(self, manifest: Manifest) -> bool:
        """Whether the snapshot cannot be restored for as long as it is to be: its chain does not outlive it."""
        taken = RunId(manifest.run_id).started_at
        return self.restorable_until(manifest) < _later(taken, self.retention or self.after)

    def kept_for(self, max_chain_age: timedelta) -> timedelta:
        """For how long every snapshot can be restored, if no base is older than `max_chain_age` when it is built on.
        Not positive if the chain may be older than the objects can be."""
        return self.after - max_chain_age

    def keeps(self, max_chain_age: timedelta) -> bool:
        """Whether that is as long as is stated; without a retention, whether it is any time at all."""
        kept = self.kept_for(max_chain_age)
        return kept >= self.retention if self.retention else kept > timedelta(0)


def _later(moment: datetime, span: timedelta) -> datetime:
    return _NEVER if span > _NEVER - moment else moment + span
