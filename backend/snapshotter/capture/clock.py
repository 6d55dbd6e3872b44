"""The time of a run: when it started, and how long each of its stages took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Clock:
    """When a run started (UTC), and how many seconds after that each of its stages ended."""

    started: datetime
    laps: Mapping[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, now: datetime | None = None) -> Clock:
        """A clock that starts now, whatever time of day the caller says it is."""
        return cls(now or datetime.now(UTC))

    def lap(self, stage: str) -> Clock:
        """This clock with a stage more, which ends now."""
        return replace(self, laps={**self.laps, stage: self._seconds})

    @property
    def now(self) -> datetime:
        """The start and the time since, to the millisecond: steady even if the machine's clock is set meanwhile."""
        return self.started + timedelta(seconds=self._seconds)

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 3)
