"""How a run is told of while it lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from snapshotter.fleet.outcome import RepoOutcome, Verdict


class Slow(NamedTuple):
    """A batch that is on its way: its first repository, how many others it has, and for how many seconds."""

    origin: str
    others: int
    seconds: float


@dataclass(frozen=True)
class Progress:
    """Where a run stands. `slowest` are the batches on their way, the oldest first; `left` is about how many seconds it
    will take, None while nobody can tell; `before` of those that are done had their verdict when it began."""

    done: int
    total: int
    verdicts: dict[Verdict, int]
    stored: int
    seconds: float
    slowest: Sequence[Slow]
    left: float | None
    before: int = 0

    @property
    def rate(self) -> float:
        """Repositories a second."""
        return (self.done - self.before) / self.seconds if self.seconds else 0.0


class Watch:
    """Hears of a run, and ignores it. Called from one thread."""

    def progress(self, progress: Progress) -> None:
        """Where the run stands now; a few times a second."""

    def ended(self, outcome: RepoOutcome) -> None:
        """What became of a repository."""

    def stored(self, stale: Callable[[], int]) -> None:
        """The results are stored. `stale` counts the repositories without a good snapshot that is young enough."""


@dataclass
class RunTally:
    """What a run has done so far."""

    total: int
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    stored: int = 0
    requests: int = 0
    tripped: int = 0
    skipped: int = 0  # that the run had recorded before it was resumed

    def count(self, outcome: RepoOutcome) -> None:
        """Count an outcome."""
        self.verdicts[outcome.verdict] += 1
        self.stored += outcome.stored
        self.tripped += bool(outcome.good and outcome.trouble)

    def skip(self, verdict: Verdict) -> None:
        """Count a repository that had its verdict before the run was resumed."""
        self.verdicts[verdict] += 1
        self.skipped += 1

    @property
    def done(self) -> int:
        """How many repositories have a verdict."""
        return self.verdicts.total()
