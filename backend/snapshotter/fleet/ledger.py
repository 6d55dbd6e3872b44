"""The seams between a fleet's run and what is kept of runs: the last result, and the record of this one.

Both are asked for many repositories at once, by their names in keys, so that neither is held as objects: a fleet may
have a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from snapshotter.fleet.outcome import FleetSummary, LedgerRow, RepoOutcome, Verdict


class Head(NamedTuple):
    """What orders the work: what a repository weighs in bytes, and when it was last found good (seconds since 1970,
    0.0 for never)."""

    weight: int
    good_at: float


class Ledger(Protocol):
    """The last results of an inventory: of each repository the row of the newest run that has one."""

    def heads(self, repos: Sequence[str]) -> Sequence[Head | None]:
        """What orders the work, for each of `repos`; None for one that no run has a row of."""
        ...

    def rows(self, repos: Sequence[str]) -> Sequence[LedgerRow | None]:
        """The rows, for each of `repos`. Called for a batch at a time, in the order of the work."""
        ...


class Recorder(Protocol):
    """The record of this run: what it is told survives a kill, at the latest at the next checkpoint."""

    @property
    def run_id(self) -> str:
        """The id of the fleet's run; of a resumed one, the id that it had."""
        ...

    @property
    def started_at(self) -> datetime:
        """When the run started, UTC; a resumed one, when it first did."""
        ...

    def taken(self, repos: Sequence[str]) -> Sequence[Verdict | None]:
        """The verdicts that this run had for `repos` before it was resumed; None for those that are to be taken now: it
        had none, or one that is tried again."""
        ...

    def record(self, outcomes: Sequence[RepoOutcome]) -> None:
        """Keep outcomes; from time to time as a checkpoint in the store. Raises as the store does."""
        ...

    def checkpoint(self) -> None:
        """Keep what was recorded so far in the store, now: the run is about to end before its time."""
        ...

    def finish(self, summary: FleetSummary) -> None:
        """Write the results, and the summary last. Raises as the store does."""
        ...


class NoLedger:
    """A ledger without rows: no run has been before, or none is to count."""

    def heads(self, repos: Sequence[str]) -> Sequence[Head | None]:
        """See Ledger."""
        return [None] * len(repos)

    def rows(self, repos: Sequence[str]) -> Sequence[LedgerRow | None]:
        """See Ledger."""
        return [None] * len(repos)
