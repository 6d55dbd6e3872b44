"""What a worker does with a batch: its tasks in threads, within the lease that the batch has of their host."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import OutOfTime, SnapshotterError
from snapshotter.base.kept_threads import crew
from snapshotter.base.unexpected import NO_THREAD
from snapshotter.fleet.engine import NO_WORKER, NoWorker
from snapshotter.fleet.outcome import Batch, BatchResult, RepoOutcome, Retry
from snapshotter.fleet.taking import Taking, failed_outcome
from snapshotter.fleet.verdict import missed, passing
from snapshotter.fleet.workshop import Workshop, workshop
from snapshotter.transport.turns import HostTurns

DOWN_AFTER: Final = 5  # tries in a row that could not reach the host, after which no other is begun
MOST_TRIES: Final = 3
# While one thread asks the origin, another may wait for the store: so there are more of them than connections.
_THREADS_A_CONNECTION: Final = 2
_MOST_THREADS: Final = 16


def run_batch(batch: Batch) -> BatchResult:
    """Work on a batch in this process, with what its settings and its own environment say.

    Raises UsageError for settings that make no sense, Unavailable if the store cannot be opened, and Interrupted once
    this process is told to end. What concerns one repository alone is its outcome. Where the system lets fewer threads
    be, fewer work; raises NoWorker if nothing could be done so.
    """
    with workshop(batch.settings) as shop:
        return _Run(batch, shop).result()


@dataclass
class _Run:
    """One batch. Its threads share a queue of indexes, and tell what became of each."""

    batch: Batch
    shop: Workshop
    outcomes: list[RepoOutcome] = field(default_factory=list)
    again: list[Retry] = field(default_factory=list)

    def __post_init__(self) -> None:
        lease, tasks = self.batch.lease, self.batch.tasks
        self._turns = HostTurns(lease.connections, lease.requests_per_second, lease.wait)
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for index in range(len(tasks)):
            self._waiting.put(index)
        self._lock = threading.Lock()
        self._in_vain = 0  # tries in a row that did not reach the host
        self._error: BaseException | None = None
        self._refused = False  # the system has refused a task a thread

    def result(self) -> BatchResult:
        """Work until every task has an outcome or is to be tried again."""
        over_http = self.batch.tasks[0].origin.startswith(("https:", "http:")) if self.batch.tasks else False
        connections = self.batch.lease.connections
        # Other wires are a child each, and no turn is asked for: a snapshot may use two at a time.
        threads = (
            min(connections * self._a_connection(), _MOST_THREADS) if over_http else max(1, connections // 2)
        )
        with _limited(self.shop.cancel, self.batch.seconds) as cancel:
            threads = min(threads, len(self.batch.tasks))
            try:
                working = crew(lambda: self._work(cancel), threads)
            except RuntimeError as error:
                raise _no_thread() from error
            for future in working:
                future.result()
        self.shop.let_go()
        if self._error is not None:
            raise self._error
        if self._refused and not self.outcomes and all(retry.outcome is None for retry in self.again):
            raise _no_thread()
        self.again += [Retry(index=index) for index in self._left()]
        return BatchResult(
            number=self.batch.number,
            outcomes=self.outcomes,
            again=self.again,
            requests=self._turns.requests,
            since_last=self._turns.since_last,
            pause=self._turns.pause,
        )

    def _a_connection(self) -> int:
        """How many threads serve each connection. A scan asks nothing while it waits for others to search with."""
        scans = any(self.shop.scans(task.options) for task in self.batch.tasks)
        return _THREADS_A_CONNECTION * (2 if scans else 1)

    def _work(self, cancel: Cancel) -> None:
        """What each thread does: one task after the other."""
        while not self._is_down and not cancel.cancelled and self._error is None:
            try:
                index = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._one(index, cancel)
            except OutOfTime:
                self._again(Retry(index=index))
            except NoWorker:  # the others may have enough without this one
                self._again(Retry(index=index))
                self._refused = True
                return
            except BaseException as fault:  # noqa: BLE001 - carried to the thread that waits
                self._error = fault

    def _one(self, index: int, cancel: Cancel) -> None:
        task = self.batch.tasks[index]
        try:
            plan = self.shop.plan(task.options, task.labels, ledger_only=self.batch.ledger_only)
        except SnapshotterError as mistake:
            self._add(failed_outcome(task, mistake))
            return
        taking = Taking(self.shop.store, plan, self.shop.rules, self._turns, cancel, self.batch.sent_at)
        outcome, error = taking.outcome(task)
        if error is not None and error.code == NO_THREAD:
            raise _no_thread() from error
        self._note(outcome)
        if error is not None and passing(error) and task.attempt < MOST_TRIES:
            self._again(Retry(index=index, outcome=outcome))
        else:
            self._add(outcome)

    @property
    def _is_down(self) -> bool:
        return self._in_vain >= DOWN_AFTER

    def _note(self, outcome: RepoOutcome) -> None:
        with self._lock:
            self._in_vain = self._in_vain + 1 if missed(outcome) else 0

    def _add(self, outcome: RepoOutcome) -> None:
        with self._lock:
            self.outcomes.append(outcome)

    def _again(self, retry: Retry) -> None:
        with self._lock:
            self.again.append(retry)

    def _left(self) -> Iterator[int]:
        while True:
            try:
                yield self._waiting.get_nowait()
            except queue.Empty:
                return


def _no_thread() -> NoWorker:
    return NoWorker("no worker process can work: the system lets no further thread be", hint=NO_WORKER)


@contextmanager
def _limited(cancel: Cancel, seconds: float | None) -> Iterator[Cancel]:
    if seconds is None:
        yield cancel
        return
    with cancel.limited(seconds, OutOfTime("the batch was not done within its time")) as part:
        yield part
