"""The loop of a fleet's run: batches to an engine, a few at a time, and what comes back to the record.

It holds no repository as an object for longer than its batch takes.
"""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

from msgspec import structs

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable
from snapshotter.base.text import printable
from snapshotter.fleet.batch import run_batch
from snapshotter.fleet.engine import EngineLost, FleetEngine, Work, WorkerLost
from snapshotter.fleet.hosts import Hosts, Ticket
from snapshotter.fleet.ledger import Ledger, Recorder
from snapshotter.fleet.outcome import Batch, BatchResult, RepoOutcome, Retry, Task
from snapshotter.fleet.roll import Roll
from snapshotter.fleet.taking import failed_outcome
from snapshotter.fleet.time_left import Load, TimeLeft
from snapshotter.fleet.watch import Progress, RunTally, Slow, Watch

_TICK: Final = 0.5  # seconds between two tellings of progress
_BACKOFF: Final = (5.0, 30.0)  # seconds before the second try, and before the third
_DEATHS: Final = 2  # workers that a repository may cost
_SHOWN: Final = 3  # batches that progress names


@dataclass(frozen=True)
class Terms:
    """What all batches of a run have in common. With `done_since`, the run was begun before, and killed."""

    settings: Mapping[str, str]
    ledger_only: bool = False
    done_since: datetime | None = None
    backoff: Sequence[float] = _BACKOFF
    work: Work = run_batch


@dataclass(frozen=True)
class Desk:
    """With whom a run works: what carries it, what is known, what is kept, who is told, and who may stop it."""

    engine: FleetEngine
    ledger: Ledger
    recorder: Recorder
    watch: Watch = field(default_factory=Watch)
    cancel: Cancel = field(default_factory=Cancel)
    clock: Callable[[], float] = time.monotonic


class _Sent(NamedTuple):
    """A batch on its way."""

    ticket: Ticket
    batch: Batch
    began: float


_Back = tuple[int, Future[BatchResult]]


class Dispatch:
    """One run over a roll."""

    def __init__(self, roll: Roll, hosts: Hosts, terms: Terms, desk: Desk, tally: RunTally) -> None:
        self._roll, self._hosts, self._terms, self._desk, self._tally = roll, hosts, terms, desk, tally
        self._sent: dict[int, _Sent] = {}
        self._back: queue.SimpleQueue[_Back | None] = queue.SimpleQueue()  # None wakes it up
        self._began = self._told = desk.clock()
        self._before = tally.done
        loads = list(hosts.loads)
        total = Load(sum(load.repos for load in loads), sum(load.bytes for load in loads))
        self._left = TimeLeft(total, self._began)

    def run(self) -> None:
        """Work until every repository has its verdict.

        Raises what a cancellation raises, EngineLost, what the record raises, and what a batch raises that is no
        repository's own trouble. Whatever came back before is recorded.
        """
        try:
            with self._desk.cancel.ending(lambda: self._back.put(None)):
                while self._hosts.left or self._sent:
                    self._desk.cancel.check()
                    self._give_up()
                    self._send()
                    self._tell()
                    self._receive()
        except BaseException as error:
            if isinstance(error, Interrupted | EngineLost):
                first = f"{error.hint}; then " if error.hint else ""
                error.hint = f"{first}go on with it by --resume {self._desk.recorder.run_id}"
            # First what is written: after a signal there is little time, and workers that lose their parent end.
            self._record_what_came()
            self._desk.engine.shutdown(kill=True)
            raise

    def _send(self) -> None:
        """Fill the engine's slots."""
        while len(self._sent) < self._desk.engine.slots:
            ticket = self._hosts.next(self._desk.clock(), self._desk.engine.slots)
            if ticket is None:
                return
            batch = self._batch(ticket)
            self._sent[ticket.number] = _Sent(ticket, batch, self._desk.clock())
            self._left.sent(ticket.host, self._hosts.load(ticket.host), self._desk.clock())
            number = ticket.number
            future = self._desk.engine.submit(self._terms.work, batch)
            future.add_done_callback(lambda done, number=number: self._back.put((number, done)))  # type: ignore[misc]

    def _batch(self, ticket: Ticket) -> Batch:
        for index in ticket.indexes:
            self._roll.tries[index] = min(self._roll.tries[index] + 1, 255)
        tasks = [self._roll.task(index) for index in ticket.indexes]
        rows = self._desk.ledger.rows([task.repo for task in tasks])
        return Batch(
            number=ticket.number,
            host=self._roll.hosts[ticket.host],
            tasks=[
                self._known(task, index, row)
                for task, index, row in zip(tasks, ticket.indexes, rows, strict=True)
            ],
            lease=ticket.lease,
            settings=dict(self._terms.settings),
            ledger_only=self._terms.ledger_only,
            sent_at=datetime.now(UTC),
        )

    def _known(self, task: Task, index: int, row: object) -> Task:
        # After a worker's death, what it had finished is in the store, and the run's own.
        since = self._terms.done_since
        if self._roll.deaths[index]:
            since = self._desk.recorder.started_at
        return structs.replace(task, last=row, done_since=since)

    def _receive(self) -> None:
        """Wait for a batch to come back, or for a time at which something may begin, and take in all that came."""
        now = self._desk.clock()
        wake = self._hosts.wake(now)
        wait = _TICK if wake is None else max(0.0, min(_TICK, wake - now))
        outcomes: list[RepoOutcome] = []
        try:
            back = self._back.get(timeout=wait)
            while back is not None:
                outcomes += self._came(*back)
                back = self._back.get_nowait()
        except queue.Empty:
            pass
        finally:
            self._record(outcomes)

    def _came(self, number: int, future: Future[BatchResult]) -> list[RepoOutcome]:
        """The outcomes of a batch that came back; what is to be tried again is queued."""
        sent = self._sent.pop(number)
        error = future.exception()
        now = self._desk.clock()
        if isinstance(error, WorkerLost):
            self._hosts.ended(sent.ticket, None, now)
            return self._after_death(sent, error)
        if error is not None:
            raise error
        result = future.result()
        self._hosts.ended(sent.ticket, result, now)
        self._tally.requests += result.requests
        again = {retry.index for retry in result.again}
        self._done(sent.ticket.host, [i for n, i in enumerate(sent.ticket.indexes) if n not in again])
        for retry in result.again:
            self._again(sent, retry, now)
        return result.outcomes

    def _again(self, sent: _Sent, retry: Retry, now: float) -> None:
        index = sent.ticket.indexes[retry.index]
        at = now
        if retry.outcome is None:  # it was not begun
            self._roll.tries[index] -= 1
        else:
            backoff = self._terms.backoff
            at += backoff[min(self._roll.tries[index], len(backoff)) - 1] * random.uniform(0.75, 1.25)  # noqa: S311
        self._hosts.again(sent.ticket.host, index, at)

    def _after_death(self, sent: _Sent, error: WorkerLost) -> list[RepoOutcome]:
        """What a worker's death leaves: each of its batch is tried again by itself; one that was alone is the cause."""
        failed = []
        for index, task in zip(sent.ticket.indexes, sent.batch.tasks, strict=True):
            self._roll.tries[index] -= 1  # it may not have been begun
            self._roll.deaths[index] += len(sent.batch.tasks) == 1 or not self._roll.deaths[index]
            if self._roll.deaths[index] >= _DEATHS:
                failed.append(failed_outcome(task, error))
                self._done(sent.ticket.host, [index])
            else:
                self._hosts.again(sent.ticket.host, index, 0.0, alone=True)
        return failed

    def _give_up(self) -> None:
        """End what waits for hosts that cannot be reached."""
        outcomes = []
        for host, index in self._hosts.given_up(self._desk.clock()):
            name = printable(self._roll.hosts[host])
            error = Unavailable(
                f"{name} could not be reached, again and again, so it was not asked any more",
                code="host-down",
                hint="once it is up again, run again: what was taken is not taken again",
            )
            self._done(host, [index])
            task = self._roll.task(index)
            (row,) = self._desk.ledger.rows([task.repo])
            outcomes.append(failed_outcome(structs.replace(task, last=row), error))
            if len(outcomes) >= 1000:
                self._record(outcomes)
                outcomes = []
        self._record(outcomes)

    def _done(self, host: int, indexes: Sequence[int]) -> None:
        self._left.done(host, Load(len(indexes), sum(map(self._hosts.weight, indexes))))

    def _seconds_left(self, now: float) -> float | None:
        """About how long the run will still take; None while nobody can tell, as of a host that is to be left alone."""
        if any(self._hosts.waits(host, now) for host in self._left.hosts):
            return None
        return self._left.seconds(now)

    def _record(self, outcomes: Sequence[RepoOutcome]) -> None:
        if not outcomes:
            return
        self._desk.recorder.record(outcomes)
        for outcome in outcomes:
            self._tally.count(outcome)
            self._desk.watch.ended(outcome)

    def _record_what_came(self) -> None:
        """Keep what came back, and write it down: the run is about to end before its time."""
        while not self._back.empty():
            back = self._back.get()
            if back is not None and not back[1].cancelled() and back[1].exception() is None:
                self._record(back[1].result().outcomes)
        self._desk.recorder.checkpoint()

    def _tell(self) -> None:
        now = self._desk.clock()
        if now - self._told < _TICK:
            return
        self._told = now
        tally, seconds = self._tally, now - self._began
        oldest = sorted(self._sent.values(), key=lambda sent: sent.began)[:_SHOWN]
        self._desk.watch.progress(
            Progress(
                done=tally.done,
                total=tally.total,
                verdicts=dict(tally.verdicts),
                stored=tally.stored,
                seconds=seconds,
                slowest=[
                    Slow(sent.batch.tasks[0].origin, len(sent.batch.tasks) - 1, now - sent.began)
                    for sent in oldest
                ],
                left=self._seconds_left(now),
                before=self._before,
            )
        )
