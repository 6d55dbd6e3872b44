"""Batches in processes of this machine: each worker is a process of its own, so that one that dies takes no other's
batch with it, and what it keeps (connections, scans' processes) is warm for its life."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final

from snapshotter.base.errors import Interrupted
from snapshotter.fleet.engine import NO_WORKER, EngineLost, NoWorker, Work, WorkerLost
from snapshotter.fleet.nursery import NURSERY, ForkedWorker
from snapshotter.fleet.outcome import Batch, BatchResult

_GRACE: Final = 1.0  # seconds that a worker has to clean up before it is killed
_PAUSES: Final = (0.5, 1.0, 2.0)  # seconds until a process that the system refused is asked for again
_Job = tuple[Work, Batch, "Future[BatchResult]"]


class LocalEngine:
    """So many worker processes; a FleetEngine. They start when there is work, and are replaced when they die.

    Where the system lets fewer be, after so many pauses, there are fewer; where it lets none be, the engine is lost.
    """

    def __init__(self, workers: int, pauses: Sequence[float] = _PAUSES) -> None:
        self._crew = _Crew(workers)
        self._workers = [_Worker(self._crew, pauses) for _ in range(workers)]

    @property
    def slots(self) -> int:
        """See FleetEngine."""
        return max(1, self._crew.size)

    def submit(self, work: Work, batch: Batch) -> Future[BatchResult]:
        """See FleetEngine."""
        future: Future[BatchResult] = Future()
        self._crew.add((work, batch, future))
        return future

    def shutdown(self, *, kill: bool = False) -> None:
        """See FleetEngine."""
        self._crew.end()
        if kill:
            for worker in self._workers:
                worker.terminate()
        for worker in self._workers:
            worker.join(_GRACE if kill else None)
        NURSERY.close(0 if kill else _GRACE)


class _Crew:
    """What the workers of an engine share: their jobs, and how many of them there are."""

    def __init__(self, size: int) -> None:
        self.size, self.ended = size, threading.Event()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._lost: NoWorker | None = None  # why there is nobody any more

    def add(self, job: _Job) -> None:
        """One more job. Raises EngineLost if nobody will do it."""
        with self._lock:
            if self._lost is not None:
                raise _engine_lost(self._lost)
            if self.ended.is_set():
                raise EngineLost("the engine was shut down")
            self._jobs.put(job)

    def next(self) -> _Job | None:
        """A job, for which this waits. Returns None at the end."""
        return self._jobs.get()

    def left_by_one(self, job: _Job, why: NoWorker) -> None:
        """A worker is gone for good: another does its job. Without another, all jobs end in EngineLost."""
        with self._lock:
            self.size -= 1
            if self.ended.is_set():
                job[2].set_exception(Interrupted("interrupted"))
                return
            self._jobs.put(job)
            if self.size:
                return
            self._lost = why
            while not self._jobs.empty():
                if left := self._jobs.get():
                    left[2].set_exception(_engine_lost(why))

    def end(self) -> None:
        """Let the workers end, each after the job that it has."""
        with self._lock:
            if not self.ended.is_set():
                self.ended.set()
                for _ in range(self.size):
                    self._jobs.put(None)


class _Worker:
    """A process, and the thread that hands it one batch after the other. Only that thread starts and replaces it."""

    def __init__(self, crew: _Crew, pauses: Sequence[float]) -> None:
        self._crew, self._pauses = crew, pauses
        self._process: ForkedWorker | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True, name="fleet-worker")
        self._thread.start()

    def terminate(self) -> None:
        """Have the process end soon; from any thread."""
        if (process := self._process) is not None:
            process.terminate()

    def join(self, seconds: float | None) -> None:
        """Wait for the end; after `seconds` the process is killed."""
        self._thread.join(seconds)
        if self._thread.is_alive() and (process := self._process) is not None:
            process.kill()
            self._thread.join(_GRACE)

    def _serve(self) -> None:
        while job := self._crew.next():
            work, batch, future = job
            if self._crew.ended.is_set():
                future.set_exception(Interrupted("interrupted"))
                continue
            try:
                result = self._tried(work, batch)
            except NoWorker as why:
                self._crew.left_by_one(job, why)
                break
            except BaseException as error:  # noqa: BLE001 - carried to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)
        self._close()

    def _tried(self, work: Work, batch: Batch) -> BatchResult:
        """What came of a batch, after pauses in which the system may come to let a process be."""
        for pause in self._pauses:
            try:
                return self._done(work, batch)
            except NoWorker:
                if self._crew.ended.wait(pause):
                    raise
        return self._done(work, batch)

    def _done(self, work: Work, batch: Batch) -> BatchResult:
        process = self._started()
        try:
            process.pipe.send((work, batch))
            answer = process.pipe.recv()
        except (EOFError, OSError) as error:
            answer = process.last_word(_GRACE)
            if not isinstance(answer, NoWorker | WorkerLost):
                self._close()
                raise (Interrupted("interrupted") if self._crew.ended.is_set() else _lost()) from error
        if isinstance(answer, NoWorker | WorkerLost):
            self._close()
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, BatchResult)  # noqa: S101 - a worker sends nothing else
        return answer

    def _started(self) -> ForkedWorker:
        """The process. Raises NoWorker if there can be none."""
        if self._process is None:
            try:
                self._process = NURSERY.fork()
            except (EOFError, OSError) as error:
                why = getattr(error, "strerror", None) or error
                raise NoWorker(f"no worker process can be started: {why}", hint=NO_WORKER) from error
        return self._process

    def _close(self) -> None:
        """End the process, which waits for work, or is dead."""
        if (process := self._process) is not None:
            process.pipe.close()
            if not process.ended(_GRACE):
                process.kill()
                process.ended()
        self._process = None


def _lost() -> WorkerLost:
    return WorkerLost(
        "the worker process died",
        hint="it was killed, as by the kernel when memory is short: give fewer --jobs, or a lower "
        "SNAPSHOTTER_FLEET_MEMORY",
    )


def _engine_lost(why: NoWorker) -> EngineLost:
    return EngineLost(why.message, hint=why.hint)
