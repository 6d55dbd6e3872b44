"""Batches of a fleet for tests of engines, and what their workers do with them: functions that other processes find."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from snapshotter.base.errors import Unavailable
from snapshotter.fleet.outcome import Batch, BatchResult, Lease, LedgerRow, RepoOutcome, Task

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def batch(number: int, *repos: str, settings: dict[str, str] | None = None) -> Batch:
    """A batch of one host with a task for each of `repos`, each with a row of an earlier run."""
    tasks = [
        Task(
            origin=f"https://git.example.org/{repo}.git",
            repo=repo,
            labels={"team": "ä"},
            last=LedgerRow(repo=repo, run="r", manifest=b"\x00\xff", base_at=NOW, verdict="new"),
        )
        for repo in repos
    ]
    return Batch(
        number=number,
        host="git.example.org",
        tasks=tasks,
        lease=Lease(connections=4),
        settings=settings or {},
    )


def told(given: Batch) -> BatchResult:
    """Every task is new, by the process that says so in the outcome's `run`."""
    outcomes = [
        RepoOutcome(
            origin=task.origin,
            repo=task.repo,
            verdict="new",
            ledger=task.last or LedgerRow(repo=task.repo),
            finished_at=NOW,
            run=str(os.getpid()),
        )
        for task in given.tasks
    ]
    return BatchResult(number=given.number, outcomes=outcomes, requests=len(outcomes), since_last=0.5)


def slow(given: Batch) -> BatchResult:
    """As `told`, after as many seconds as the setting `seconds` says."""
    time.sleep(float(given.settings["seconds"]))
    return told(given)


def busy(given: Batch) -> BatchResult:
    """As `told`, after as many seconds of processor time as the setting `seconds` says."""
    end = time.process_time() + float(given.settings["seconds"])
    while time.process_time() < end:
        pass
    return told(given)


def dying(given: Batch) -> BatchResult:
    """The worker is killed."""
    os.kill(os.getpid(), signal.SIGKILL)
    return told(given)


def failing(given: Batch) -> BatchResult:
    """The work itself fails."""
    raise Unavailable(f"batch {given.number} failed", code="of-a-test")


class Strange:
    """Work that another process cannot load."""

    def __call__(self, given: Batch) -> BatchResult:
        """As `told`."""
        return told(given)

    def __reduce__(self) -> tuple[object, ...]:
        return _not_loaded, ()


def _not_loaded() -> None:
    raise ImportError("no such work here")


def uncrossable(given: Batch) -> BatchResult:
    """A result that crosses to no other process."""
    return BatchResult(number=given.number, outcomes=[lambda: None])  # type: ignore[list-item]


def cramped(given: Batch) -> BatchResult:
    """As `told`, by a worker that has no memory for a batch of tens of MiB from then on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(
        resource.RLIMIT_AS, (pages * resource.getpagesize() + (16 << 20), resource.RLIM_INFINITY)
    )
    return told(given)


def environment(given: Batch) -> BatchResult:
    """As `told`, with the variables of the worker that settings name as `run`."""
    found = ",".join(os.environ.get(name, "") for name in given.settings)
    result = told(given)
    return BatchResult(
        number=result.number,
        outcomes=[
            RepoOutcome(
                origin=each.origin,
                repo=each.repo,
                verdict="new",
                ledger=each.ledger,
                finished_at=NOW,
                run=found,
            )
            for each in result.outcomes
        ],
    )


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until it does. Raises AssertionError if it has not after so long."""
    for _ in range(int(seconds * 20)):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never held")
