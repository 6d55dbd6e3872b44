"""The loop of a run: whatever workers do, every repository ends in one verdict, and what came back is recorded."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, SnapshotterError, Unavailable, UsageError
from snapshotter.capture.plan import RequestedOptions
from snapshotter.fleet.dispatch import Desk, Terms
from snapshotter.fleet.engine import EngineLost, Work, WorkerLost
from snapshotter.fleet.fleet_run import Fleet, RunWish, ending
from snapshotter.fleet.hosts import HostLimits
from snapshotter.fleet.ledger import Head, NoLedger
from snapshotter.fleet.outcome import (
    Batch,
    BatchResult,
    FleetSummary,
    LedgerRow,
    RepoOutcome,
    Retry,
    SourceResult,
    Task,
    Trouble,
    Verdict,
)
from snapshotter.fleet.plan import Entry, FleetPlan, SourceState
from snapshotter.fleet.watch import Progress, Watch
from snapshotter.git.origin_parsing import parse

NOW = datetime.now(UTC)
HARMLESS = HostLimits(8)


class Threads:
    """An engine whose workers are threads. Never more batches are on their way than it has slots."""

    def __init__(self, slots: int = 3) -> None:
        self.slots = slots
        self.killed: bool | None = None
        self.sent: list[Batch] = []
        self._pool = ThreadPoolExecutor(slots)
        self._free = threading.Semaphore(slots)

    def submit(self, work: Work, batch: Batch) -> Future[BatchResult]:
        assert self._free.acquire(blocking=False)
        self.sent.append(batch)
        return self._pool.submit(self._done, work, batch)

    def _done(self, work: Work, batch: Batch) -> BatchResult:
        try:
            return work(batch)
        finally:
            self._free.release()

    def shutdown(self, *, kill: bool = False) -> None:
        self.killed = kill
        self._pool.shutdown(wait=False, cancel_futures=True)


@dataclass
class Kept:
    """A record in memory."""

    done: frozenset[str] = frozenset()
    outcomes: list[RepoOutcome] = field(default_factory=list)
    checkpoints: int = 0
    run_id: str = "20261127T120000Z-00000000"
    started_at: datetime = NOW

    def taken(self, repos: Sequence[str]) -> Sequence[Verdict | None]:
        return ["new" if repo in self.done else None for repo in repos]

    def record(self, outcomes: Sequence[RepoOutcome]) -> None:
        self.outcomes += outcomes

    def checkpoint(self) -> None:
        self.checkpoints += 1

    def finish(self, summary: FleetSummary) -> None:
        raise AssertionError("the run does not end the record")

    @property
    def verdicts(self) -> dict[str, Verdict]:
        return {outcome.origin.rpartition("/")[2]: outcome.verdict for outcome in self.outcomes}


@dataclass
class Rows(NoLedger):
    """A ledger of a few rows."""

    known: dict[str, LedgerRow] = field(default_factory=dict)

    def heads(self, repos: Sequence[str]) -> Sequence[Head | None]:
        found = [self.known.get(repo) for repo in repos]
        return [
            Head(row.bytes, row.good_at.timestamp() if row.good_at else 0.0) if row else None for row in found
        ]

    def rows(self, repos: Sequence[str]) -> Sequence[LedgerRow | None]:
        return [self.known.get(repo) for repo in repos]


def outcome(task: Task, verdict: Verdict = "unchanged") -> RepoOutcome:
    row = LedgerRow(repo=task.repo, verdict=verdict)
    return RepoOutcome(
        origin=task.origin,
        repo=task.repo,
        verdict=verdict,
        ledger=row,
        finished_at=NOW,
        attempts=task.attempt,
    )


def well(batch: Batch) -> BatchResult:
    return BatchResult(number=batch.number, outcomes=[outcome(task) for task in batch.tasks], requests=2)


def plan_of(*names: str, hosts: int = 1, **more: Any) -> FleetPlan:
    entries = [
        Entry(parse(f"https://h{at % hosts}.test/{name}"), "named", "", name, str(at), {}, RequestedOptions())
        for at, name in enumerate(names)
    ]
    return FleetPlan("lab", entries, [], [], **more)


def fleet(plan: FleetPlan, work: Callable[[Batch], BatchResult], kept: Kept, **more: Any) -> Fleet:
    """A run by threads, with no pause before another try."""
    terms = replace(Terms({"a": "b"}, backoff=(0.0, 0.0), work=work), **more.pop("terms", {}))
    limits, max_age = more.pop("limits", HARMLESS), more.pop("max_age", None)
    desk = Desk(**{"engine": Threads(), "ledger": NoLedger(), "recorder": kept, **more})
    return Fleet(plan, RunWish(limits, terms, max_age), desk)


@pytest.mark.parametrize("hosts", [1, 7])
def test_every_repository_has_one_verdict(hosts: int) -> None:
    names, kept, engine = [f"r{n}" for n in range(500)], Kept(), Threads()
    summary = fleet(plan_of(*names, hosts=hosts), well, kept, engine=engine).run()
    assert Counter(outcome.origin.rpartition("/")[2] for outcome in kept.outcomes) == Counter(names)
    assert (summary.origins, summary.verdicts) == (500, {"unchanged": 500})
    assert summary.requests == 2 * len(engine.sent)
    assert all(len({task.origin.split("/")[2] for task in batch.tasks}) == 1 for batch in engine.sent)
    assert {batch.host for batch in engine.sent} == {f"h{n}.test" for n in range(hosts)}
    assert engine.killed is None
    assert ending(summary) is None


def test_a_batch_has_eight_while_each_slot_gets_as_many_since_a_worker_takes_them_at_once() -> None:
    engine = Threads(2)
    fleet(plan_of(*(f"r{n}" for n in range(32))), well, Kept(), engine=engine).run()
    assert [len(batch.tasks) for batch in engine.sent[:2]] == [8, 8]


def test_what_may_pass_is_tried_again_and_what_was_not_begun_has_not_used_up_a_try() -> None:
    tries: Counter[str] = Counter()

    def work(batch: Batch) -> BatchResult:
        done, again = [], []
        for index, task in enumerate(batch.tasks):
            name = task.origin.rpartition("/")[2]
            tries[name] += 1
            if name == "late" and tries[name] < 4:
                again.append(Retry(index=index))
            elif name == "flaky" and task.attempt < 3:
                again.append(Retry(index=index, outcome=outcome(task, "unreachable")))
            else:
                done.append(outcome(task))
        return BatchResult(number=batch.number, outcomes=done, again=again, requests=1)

    kept = Kept()
    fleet(plan_of("a", "late", "flaky"), work, kept).run()
    assert {each.origin.rpartition("/")[2]: each.attempts for each in kept.outcomes} == {
        "a": 1,
        "late": 1,
        "flaky": 3,
    }


def test_a_worker_s_death_costs_only_the_repository_that_kills_workers() -> None:
    """Each of its batch is then tried alone, and looked up in the store first: it may have been finished."""
    deaths: Counter[str] = Counter()
    since = []

    def work(batch: Batch) -> BatchResult:
        names = [task.origin.rpartition("/")[2] for task in batch.tasks]
        if "killer" in names:
            deaths["killer"] += 1
            raise WorkerLost("gone")
        since.extend(task.done_since for task in batch.tasks if task.origin.endswith("beside"))
        return well(batch)

    kept = Kept()
    plan = plan_of("killer", "beside", *(f"r{n}" for n in range(100)))
    summary = fleet(plan, work, kept, engine=Threads(1)).run()
    assert deaths["killer"] == 2
    assert since == [kept.started_at]
    assert summary.verdicts == {"unchanged": 101, "failed": 1}
    assert kept.verdicts["killer"] == "failed"
    killer = next(each for each in kept.outcomes if each.verdict == "failed")
    assert killer.trouble is not None
    assert killer.trouble.code == "worker-lost"
    assert ending(summary).exit_code == 3  # type: ignore[union-attr]


def test_workers_that_die_by_themselves_cost_nothing() -> None:
    dead: set[int] = set()

    def work(batch: Batch) -> BatchResult:
        if batch.number % 3 == 1 and len(batch.tasks) > 1:
            dead.add(batch.number)
            raise WorkerLost("gone")
        return well(batch)

    kept = Kept()
    summary = fleet(plan_of(*(f"r{n}" for n in range(200))), work, kept).run()
    assert dead
    assert summary.verdicts == {"unchanged": 200}


def test_a_host_that_cannot_be_reached_is_given_up_and_the_others_are_not() -> None:
    limits = HostLimits(8, pauses=(0.01, 0.01))

    def work(batch: Batch) -> BatchResult:
        verdict: Verdict = "unreachable" if batch.host == "h0.test" else "unchanged"
        done = [outcome(task, verdict) for task in batch.tasks[:5]]
        again = [Retry(index=index) for index in range(5, len(batch.tasks))]
        if verdict == "unchanged":
            return well(batch)
        return BatchResult(number=batch.number, outcomes=done, again=again, requests=5)

    kept, engine = Kept(), Threads(1)
    summary = fleet(
        plan_of(*(f"r{n}" for n in range(200)), hosts=2), work, kept, engine=engine, limits=limits
    ).run()
    assert summary.verdicts == {"unchanged": 100, "unreachable": 100}
    asked = sum(min(5, len(batch.tasks)) for batch in engine.sent if batch.host == "h0.test")
    assert asked < 20
    assert {each.trouble.code for each in kept.outcomes if each.trouble} == {"host-down"}


def test_what_is_fresh_or_was_done_before_is_not_asked_for() -> None:
    plan = plan_of("young", "old", "never", "done", "failed-last")
    repo = {entry.path: entry.origin.repo for entry in plan.entries}
    rows = {
        "young": LedgerRow(
            repo=repo["young"], run="r", good_at=NOW - timedelta(hours=1), verdict="unchanged"
        ),
        "old": LedgerRow(repo=repo["old"], good_at=NOW - timedelta(hours=30), verdict="new"),
        "failed-last": LedgerRow(repo=repo["failed-last"], good_at=None, verdict="gone"),
    }
    kept, engine = Kept(done=frozenset({repo["done"]})), Threads()
    ledger = Rows({row.repo: row for row in rows.values()})
    summary = fleet(plan, well, kept, engine=engine, ledger=ledger, max_age=timedelta(hours=20)).run()
    assert kept.verdicts == {
        "young": "fresh",
        "old": "unchanged",
        "never": "unchanged",
        "failed-last": "unchanged",
    }
    assert (summary.resumed, summary.verdicts) == (1, {"new": 1, "fresh": 1, "unchanged": 3})
    asked = {task.origin.rpartition("/")[2]: task for batch in engine.sent for task in batch.tasks}
    assert asked.keys() == {"old", "never", "failed-last"}
    assert asked["old"].last == rows["old"]
    fresh = next(each for each in kept.outcomes if each.verdict == "fresh")
    assert (fresh.good, fresh.run, fresh.ledger.good_at) == (True, "r", rows["young"].good_at)


def test_a_cancellation_ends_the_workers_and_keeps_what_came_back() -> None:
    cancel, engine, kept = Cancel(), Threads(2), Kept()
    began = threading.Event()

    class Stopping(Watch):
        def ended(self, outcome: RepoOutcome) -> None:
            cancel.cancel()

    def work(batch: Batch) -> BatchResult:
        if batch.number > 1:
            began.wait(30)
        return well(batch)

    run = fleet(
        plan_of(*(f"r{n}" for n in range(300))), work, kept, engine=engine, cancel=cancel, watch=Stopping()
    )
    with pytest.raises(Interrupted):
        run.run()
    began.set()
    assert (engine.killed, kept.checkpoints) == (True, 1)
    assert len(kept.outcomes) >= len(engine.sent[0].tasks)


@pytest.mark.parametrize(
    ("error", "goes_on", "mended"),
    [
        (EngineLost("no worker"), True, False),
        (EngineLost("no worker", hint="mend it"), True, True),
        (Interrupted("stop"), True, False),
        (UsageError("a setting", hint="mend it"), False, True),
        (Unavailable("the store"), False, False),
    ],
)
def test_what_is_no_repository_s_own_trouble_ends_the_run(
    error: SnapshotterError, goes_on: bool, mended: bool
) -> None:
    def work(batch: Batch) -> BatchResult:
        raise error

    kept, engine = Kept(), Threads()
    with pytest.raises(type(error)):
        fleet(plan_of("a"), work, kept, engine=engine).run()
    assert (engine.killed, kept.checkpoints) == (True, 1)
    assert error.hint.endswith(f"go on with it by --resume {kept.run_id}") == goes_on
    assert error.hint.startswith("mend it") == mended


def test_wikis_are_taken_first_since_what_they_belong_to_names_them() -> None:
    plan, engine = plan_of("a", "b", "c", "d"), Threads(1)
    plan.entries[2] = replace(plan.entries[2], optional=True, bytes=1)  # type: ignore[index]
    plan.entries[3] = replace(plan.entries[3], bytes=1 << 30)  # type: ignore[index]
    fleet(plan, well, Kept(), engine=engine).run()
    assert next(task.repo for batch in engine.sent for task in batch.tasks).endswith("__c")


def test_progress_says_what_is_done_what_is_slow_and_how_long_it_takes() -> None:
    told: list[Progress] = []
    clock = iter(range(1_000_000))

    class Hearing(Watch):
        def progress(self, progress: Progress) -> None:
            told.append(progress)

    fleet(
        plan_of(*(f"r{n}" for n in range(300))),
        well,
        Kept(),
        watch=Hearing(),
        engine=Threads(1),
        clock=lambda: float(next(clock)),
    ).run()
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert {each.total for each in told} == {300}
    later = told[-1]
    assert later.left is not None
    assert later.slowest[0].origin.startswith("https://h0.test/")
    assert later.rate > 0


def test_of_a_run_that_was_resumed_the_rate_is_its_own() -> None:
    resumed = Progress(110, 200, {}, 0, 10.0, [], None, before=100)
    assert resumed.rate == 1.0


def summary_of(verdicts: dict[Verdict, int], **more: Any) -> FleetSummary:
    facts = {"inventory": "lab", "run_id": "r", "started_at": NOW, "finished_at": NOW}
    return FleetSummary(**facts, origins=sum(verdicts.values()), verdicts=verdicts, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdicts", "more", "code"),
    [
        ({"new": 2, "renamed": 1, "fresh": 1, "empty": 1}, {}, 0),
        ({"new": 2, "gone": 1}, {}, 3),
        ({"unchanged": 2, "shrunk": 1}, {}, 3),
        ({"unchanged": 2, "partial": 1}, {}, 3),
        ({"gone": 2, "forbidden": 1}, {}, 4),
        ({"new": 2}, {"tripped": 1}, 1),
        ({"new": 2, "gone": 1}, {"tripped": 1}, 3),
        ({}, {}, 4),
    ],
)
def test_exit_codes(verdicts: dict[Verdict, int], more: dict[str, Any], code: int) -> None:
    found = ending(summary_of(verdicts, **more))
    assert (found.exit_code if found else 0) == code


def test_a_source_without_a_list_is_a_partial_failure_whatever_else_went_well() -> None:
    plan = replace(plan_of("a"), sources=[SourceState("github h/o", error=Unavailable("no answer"))])
    summary = fleet(plan, well, Kept()).run()
    error = ending(summary)
    assert error is not None
    assert (error.exit_code, error.details) == (3, ("github h/o: no answer",))


def test_if_no_source_gives_a_list_nothing_worked_and_the_source_s_own_hint_helps() -> None:
    trouble = Trouble.of(Unavailable("cannot read nope", hint="check the path"))
    silent = SourceResult(title="folder nope", trouble=trouble)
    error = ending(summary_of({}, sources=[silent]))
    assert error is not None
    assert (error.exit_code, error.hint, error.details) == (
        4,
        "check the path",
        ("folder nope: cannot read nope",),
    )
    error = ending(summary_of({"new": 1}, sources=[silent]))
    assert error is not None
    assert (error.exit_code, error.hint) == (3, "check the path")
    error = ending(summary_of({"new": 1, "gone": 1}, sources=[silent]))
    assert error is not None
    assert (error.exit_code, "fleet status" in error.hint) == (3, True)
