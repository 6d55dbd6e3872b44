"""What is told of a fleet's run once its results are stored: how it ended, what failed, and what is stale.

A digest of that is due from time to time even if all is well: so silence means that something is wrong.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from snapshotter.archive import fleet_runs
from snapshotter.archive.fleet_table import ResultRow
from snapshotter.base.errors import SnapshotterError
from snapshotter.base.text import human_span, plural, printable
from snapshotter.fleet.outcome import GOOD, FleetSummary
from snapshotter.store.objects import Store

SENT: Final = "digest.json"  # in a run's folder: its digest was sent
_NAMED: Final = 20  # repositories that a notice names
_WORDS: Final = 300  # characters of why one of them failed
_EARLY: Final = timedelta(hours=1)  # by which a run may come before its day's time, and the digest with it
_NEVER: Final = "never"


class Named(msgspec.Struct, frozen=True):
    """A repository that a notice names: how it ended, and when it was last found as a good snapshot has it."""

    origin: str
    verdict: str
    good_at: datetime | None
    error: str | None


class Stale(msgspec.Struct, frozen=True):
    """The repositories without a good snapshot of at most so many seconds: how many, and the worst of them."""

    after: float
    count: int
    worst: list[Named]


class RunNotice(msgspec.Struct, frozen=True):
    """What is told of a run, as a webhook gets it. `digest` says that it is sent even if all is well."""

    event: str
    ok: bool
    digest: bool
    inventory: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    origins: int
    verdicts: dict[str, int]
    failed: list[Named]
    stale: Stale
    error: dict[str, Any] | None

    @property
    def title(self) -> str:
        """It in one line."""
        bad = sum(count for verdict, count in self.verdicts.items() if verdict not in GOOD)
        state = "ok" if self.ok else "FAILED"
        return (
            f"fleet {self.inventory}: {state}, {bad:,} of {plural(self.origins, 'repository', 'repositories')} "
            f"without a good end, {self.stale.count:,} stale"
        )

    @property
    def text(self) -> str:
        """It for people, in plain lines."""
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(self.verdicts.items()))
        lines = [
            self.title,
            f"run {self.run_id}, ended {self.finished_at:%Y-%m-%d %H:%M} UTC: {counts or 'nothing'}",
        ]
        if self.error:
            lines.append(f"error: {self.error['message']}")
        if self.stale.count:
            span = human_span(timedelta(seconds=self.stale.after))
            lines += [
                "",
                f"without a good snapshot within {span}:",
                *_lines(self.stale.worst, self.stale.count),
            ]
        if self.failed:
            lines += ["", "ended badly:", *_lines(self.failed, None)]
        if self.digest:
            lines += [
                "",
                "This is sent from time to time even if all is well: while it comes, the fleet is looked after.",
            ]
        return "\n".join(map(printable, lines)) + "\n"


def notice(
    summary: FleetSummary,
    rows: Iterable[ResultRow],
    stale_after: timedelta,
    *,
    error: SnapshotterError | None = None,
    digest: bool = False,
) -> RunNotice:
    """What is told of a run that ended, with `error` if it has one; `rows` are its results, which are read once."""
    bound = summary.finished_at - stale_after
    gathered = _Gathered(bound)
    for row in rows:
        gathered.add(row)
    return RunNotice(
        event="run-ended",
        ok=error is None,
        digest=digest,
        inventory=summary.inventory,
        run_id=summary.run_id,
        started_at=summary.started_at,
        finished_at=summary.finished_at,
        origins=summary.origins,
        verdicts={str(verdict): count for verdict, count in summary.verdicts.items()},
        failed=gathered.failed,
        stale=Stale(stale_after.total_seconds(), gathered.stale, gathered.worst),
        error=error.as_dict() if error else None,
    )


def digest_is_due(store: Store, inventory: str, every: timedelta, now: datetime) -> bool:
    """Whether no run of an inventory has sent a digest for so long. By one listing; raises as the store does."""
    since = now - every + _EARLY
    return not any(
        run.inventory == inventory and SENT in run.files and run.key.run_id.started_at > since
        for run in fleet_runs.every_run(store, since=since)
    )


class _Gathered:
    """The worst of the rows, of which a fleet may have a million: only those that are named are kept."""

    def __init__(self, bound: datetime) -> None:
        self._bound = bound
        self.stale = 0
        self.failed: list[Named] = []
        self._oldest: list[tuple[float, str, Named]] = []  # a heap: the youngest of them first

    @property
    def worst(self) -> list[Named]:
        """The stale ones, the oldest first."""
        return [named for _, _, named in sorted(self._oldest, reverse=True)]

    def add(self, row: ResultRow) -> None:
        if not row.ok and not _is_none(row) and len(self.failed) < _NAMED:
            self.failed.append(_named(row))
        if _is_none(row) or (row.good_at is not None and row.good_at >= self._bound):
            return
        self.stale += 1
        age = -row.good_at.timestamp() if row.good_at else float("inf")
        entry = (age, row.origin, _named(row))
        if len(self._oldest) < _NAMED:
            heapq.heappush(self._oldest, entry)
        else:
            heapq.heappushpop(self._oldest, entry)


def _is_none(row: ResultRow) -> bool:
    """Whether a repository may be none at all, and none was ever seen: a wiki without a page."""
    return row.optional and row.run_id is None


def _named(row: ResultRow) -> Named:
    why = printable(row.error)[:_WORDS] if row.error and not row.ok else None
    return Named(printable(row.origin), row.verdict, row.good_at, why)


def _lines(named: Iterable[Named], count: int | None) -> Iterator[str]:
    shown = 0
    for each in named:
        shown += 1
        at = f"{each.good_at:%Y-%m-%d %H:%M}" if each.good_at else _NEVER
        yield f"  {each.origin}  good as of {at}  {each.verdict}" + (f": {each.error}" if each.error else "")
    if count is not None and count > shown:
        yield f"  and {count - shown:,} more"
