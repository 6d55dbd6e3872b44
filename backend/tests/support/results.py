"""Outcomes of a fleet's run, made by hand, and a run that records them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from snapshotter.archive.layout import RunId
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.fleet.last_result import LastResult, ResultReader
from snapshotter.fleet.outcome import FleetSummary, LedgerRow, RepoOutcome, Verdict
from snapshotter.fleet.recording import RunRows, StoreRecorder, workspace
from snapshotter.fleet.stored_summary import StoredSummary
from snapshotter.store.objects import Store

NOW = datetime(2026, 11, 27, 3, 17, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def outcome(name: str, verdict: Verdict = "new", *, at: datetime = NOW, **more: Any) -> RepoOutcome:
    """What became of https://host.test/NAME; by default, a base was taken."""
    known = more.pop("ledger", {})
    repo = f"host.test__{name}"
    took = {"run": RunId.new(at).text, "kind": "base", "wrote": True} if verdict in ("new", "partial") else {}
    facts = {
        "run": took.get("run", ""),
        "refs": "ab" * 32 if took else "",
        "good_run": took.get("run", ""),
        "good_at": at if took else None,
        "base_at": at if took else None,
        "chain": 1 if took else 0,
        "bytes": 1000,
    }
    return RepoOutcome(
        origin=f"https://host.test/{name}",
        repo=repo,
        verdict=verdict,
        ledger=LedgerRow(**{**facts, "repo": repo, "verdict": verdict, **known}),
        finished_at=at,
        **{**took, **more},
    )


def summary(recorder: StoreRecorder, outcomes: Sequence[RepoOutcome], name: str = "lab") -> FleetSummary:
    """The summary of a run of these outcomes."""
    verdicts: dict[Verdict, int] = {}
    for each in outcomes:
        verdicts[each.verdict] = verdicts.get(each.verdict, 0) + 1
    return FleetSummary(
        inventory=name,
        run_id=recorder.run_id,
        started_at=recorder.started_at,
        finished_at=recorder.started_at + timedelta(minutes=1),
        origins=len(outcomes),
        verdicts=verdicts,
    )


@dataclass
class Bench:
    """A store, and room for rows."""

    store: Store
    rows: RunRows
    observer: Observer

    @property
    def reader(self) -> ResultReader:
        """Reads results of the store."""
        return ResultReader(self.store, self.rows.tables, self.observer)

    def recorder(self, run_id: RunId | None = None, name: str = "lab", at: datetime = NOW) -> StoreRecorder:
        """The record of a run that is not begun yet."""
        return StoreRecorder(self.store, name, run_id or RunId.new(at), self.rows)

    def last(self, name: str = "lab", now: datetime = NOW + DAY) -> LastResult:
        """The last result of an inventory."""
        return self.reader.load(name, self.rows.last, now)


@contextmanager
def bench(store: Store, temp: Path, observer: Observer | None = None) -> Iterator[Bench]:
    """A bench of its own rows: as another process has it."""
    temp.mkdir(exist_ok=True)
    with workspace(temp, 16 * 1024 * 1024, Cancel()) as rows:
        yield Bench(store, rows, observer or Observer())


def run(
    store: Store, temp: Path, outcomes: Sequence[RepoOutcome], *, name: str = "lab", at: datetime = NOW
) -> StoredSummary:
    """A whole run that has these outcomes."""
    with bench(store, temp) as made:
        made.last(name, at)
        recorder = made.recorder(name=name, at=at)
        recorder.begin()
        recorder.record(outcomes)
        return recorder.end(summary(recorder, outcomes, name))
