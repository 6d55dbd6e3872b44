"""Batches in processes of this machine: each worker is a process of its own, so that one that dies takes no other's
batch with it, and what it keeps (connections, scans' processes) is warm for its life."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import Final

from snapshotter.base.errors import Interrupted
from snapshotter.fleet.engine import EngineLost, Work, WorkerLost
from snapshotter.fleet.nursery import NURSERY, ForkedWorker
from snapshotter.fleet.outcome import Batch, BatchResult

_GRACE: Final = 1.0  # seconds that a worker has to clean up before it is killed
_Job = tuple[Work, Batch, "Future[BatchResult]"]


class LocalEngine:
    """So many worker processes; a FleetEngine. They start when there is work, and are replaced when they die."""

    def __init__(self, workers: int) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._workers = [_Worker(self._jobs, self._ended) for _ in range(workers)]

    @property
    def slots(self) -> int:
        """See FleetEngine."""
        return len(self._workers)

    def submit(self, work: Work, batch: Batch) -> Future[BatchResult]:
        """See FleetEngine."""
        if self._ended.is_set():
            raise EngineLost("the engine was shut down")
        future: Future[BatchResult] = Future()
        self._jobs.put((work, batch, future))
        return future

    def shutdown(self, *, kill: bool = False) -> None:
        """See FleetEngine."""
        if not self._ended.is_set():
            self._ended.set()
            for _ in self._workers:
                self._jobs.put(None)
        if kill:
            for worker in self._workers:
                worker.terminate()
        for worker in self._workers:
            worker.join(_GRACE if kill else None)
        NURSERY.close(0 if kill else _GRACE)


class _Worker:
    """A process, and the thread that hands it one batch after the other. Only that thread starts and replaces it."""

    def __init__(self, jobs: queue.SimpleQueue[_Job | None], ended: threading.Event) -> None:
        self._jobs, self._ended = jobs, ended
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
        while job := self._jobs.get():
            work, batch, future = job
            if self._ended.is_set():
                future.set_exception(Interrupted("interrupted"))
                continue
            try:
                result = self._done(work, batch)
            except BaseException as error:  # noqa: BLE001 - carried to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)
        self._close()

    def _done(self, work: Work, batch: Batch) -> BatchResult:
        try:
            pipe = self._started().pipe
            pipe.send((work, batch))
            answer = pipe.recv()
        except (EOFError, OSError) as error:
            self._close()
            raise (Interrupted("interrupted") if self._ended.is_set() else _lost()) from error
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, BatchResult)  # noqa: S101 - a worker sends nothing else
        return answer

    def _started(self) -> ForkedWorker:
        if self._process is None:
            self._process = NURSERY.fork()
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
