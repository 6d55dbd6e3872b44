"""Tell of a fleet's run: that it starts, and, once its results are stored, how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.fleet import notices
from snapshotter.fleet.notifier import Notifier
from snapshotter.fleet.outcome import FleetSummary
from snapshotter.fleet.recording import RunRows, StoreRecorder
from snapshotter.store.objects import Store


@dataclass(frozen=True)
class RunTelling:
    """What is told of one run, and where. Trouble with it is told to the observer, and changes nothing of the run."""

    notifier: Notifier
    store: Store
    stale_after: timedelta

    def ended(
        self,
        recorder: StoreRecorder,
        rows: RunRows,
        summary: FleetSummary,
        error: SnapshotterError | None,
        cancel: Cancel,
    ) -> None:
        """Tell of a run whose results are stored; `error` is what it ends with."""
        if not self.notifier.has_places:
            return
        try:
            due = self._digest_is_due(summary)
            told = notices.notice(summary, rows.done, self.stale_after, error=error, digest=due)
            if self.notifier.ended(told, cancel) and due:
                recorder.mark_digest(summary.finished_at)
        except SnapshotterError as trouble:  # the store's, or this machine's disk's
            self.notifier.observer.warn(f"not everybody was told of the run: {trouble.message}")

    def _digest_is_due(self, summary: FleetSummary) -> bool:
        if not (self.notifier.webhook or self.notifier.notify):
            return False
        every = self.notifier.digest_every
        return notices.digest_is_due(self.store, summary.inventory, every, summary.finished_at)
