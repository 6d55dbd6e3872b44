"""A fleet's run on stderr while it lasts: what is done, how fast, what is slow, and how long it will take."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from snapshotter.base.observer import Observer
from snapshotter.base.text import human_bytes, human_span, printable
from snapshotter.base.urls import redact
from snapshotter.fleet.outcome import GOOD, RepoOutcome
from snapshotter.fleet.watch import Progress, Slow, Watch

_SLOW: Final = 5.0  # seconds after which a batch is named
_NAMED: Final = 50  # verdicts other than good that are told one by one, before only their number is


class FleetLine(Watch):
    """Tells an observer."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._named = 0

    def progress(self, progress: Progress) -> None:
        """See Watch."""
        self._observer.note(line(progress))

    def ended(self, outcome: RepoOutcome) -> None:
        """See Watch: what is not good is told at once."""
        if outcome.verdict in GOOD and outcome.trouble is None:
            return
        self._named += 1
        if self._named == _NAMED + 1:
            self._observer.warn(
                "further repositories that fail are not named here; `snapshotter fleet status` does"
            )
        elif self._named <= _NAMED:
            why = f": {outcome.trouble.message}" if outcome.trouble else ""
            self._observer.warn(f"{outcome.verdict}: {redact(outcome.origin)}{why}")


def line(progress: Progress) -> str:
    """``1,200 of 5,000 (1,100 unchanged, 98 new, 2 gone), 40.2/s, 1.2 GiB, 2 min left; slowest https://…, 12 s``."""
    verdicts = sorted(progress.verdicts.items(), key=lambda each: -each[1])
    told = ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts)
    parts = [f"{progress.done:,} of {progress.total:,}" + (f" ({told})" if told else "")]
    parts.append(f"{progress.rate:.1f}/s")
    if progress.stored:
        parts.append(human_bytes(progress.stored))
    if progress.left is not None:
        parts.append(f"{_span(progress.left)} left")
    slow = next((each for each in progress.slowest if each.seconds >= _SLOW), None)
    return ", ".join(parts) + (f"; slowest {_slow(slow)}" if slow else "")


def _slow(slow: Slow) -> str:
    others = f" and {slow.others:,} more" if slow.others else ""
    return f"{printable(redact(slow.origin))}{others}, {_span(slow.seconds)}"


def _span(seconds: float) -> str:
    return human_span(timedelta(seconds=max(1, round(seconds))))
