"""What the alarms of infra/fleet.yaml hear of a fleet's run: that its results are stored, and how many are stale."""

from __future__ import annotations

from collections.abc import Callable

from snapshotter.base.observer import Observer
from snapshotter.cli.fleet_line import FleetLine
from snapshotter.cli.jsonlog import JsonLog


class MeasuredFleet(FleetLine):
    """Tells an observer, and measures, in CloudWatch's embedded metric format on stderr, as the job does."""

    def __init__(self, observer: Observer, service: str) -> None:
        super().__init__(observer)
        self._log = JsonLog(quiet=True)
        self._log.service = service

    def stored(self, stale: Callable[[], int]) -> None:
        """See Watch. The heartbeat comes first: it says that the results are there, whatever the count says."""
        self._log.measure({"FleetRunsStored": 1})
        self._log.measure({"ReposStale": stale()})
