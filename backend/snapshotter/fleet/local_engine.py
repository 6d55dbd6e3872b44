"""Batches in processes of this machine: each worker is a process of its own, so that one that dies takes no other's
batch with it, and what it keeps (connections, scans' processes) is warm for its life."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

from snapshotter.base.errors import Interrupted, Terminated
from snapshotter.fleet import workshop
from snapshotter.fleet.engine import EngineLost, Work, WorkerLost
from snapshotter.fleet.outcome import Batch, BatchResult

_GRACE: Final = 1.0  # seconds that a worker has to clean up before it is killed
# Spawned: a fork of a process with threads may hold their locks for ever.
_SPAWN: Final = multiprocessing.get_context("spawn")

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


class _Worker:
    """A process, and the thread that hands it one batch after the other. Only that thread starts and replaces it."""

    def __init__(self, jobs: queue.SimpleQueue[_Job | None], ended: threading.Event) -> None:
        self._jobs, self._ended = jobs, ended
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True, name="fleet-worker")
        self._thread.start()

    def terminate(self) -> None:
        """Have the process end soon; from any thread."""
        if self._process is not None:
            self._process.terminate()

    def join(self, seconds: float | None) -> None:
        """Wait for the end; after `seconds` the process is killed."""
        self._thread.join(seconds)
        if self._thread.is_alive() and self._process is not None:
            self._process.kill()
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
            pipe = self._opened()
            pipe.send((work, batch))
            answer = pipe.recv()
        except (EOFError, OSError) as error:
            self._close()
            raise (Interrupted("interrupted") if self._ended.is_set() else _lost()) from error
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, BatchResult)  # noqa: S101 - `_work` sends nothing else
        return answer

    def _opened(self) -> Connection:
        if self._pipe is None:
            self._pipe, end = _SPAWN.Pipe()
            self._process = _SPAWN.Process(target=_work, args=(end,), name="fleet-worker", daemon=True)
            self._process.start()
            end.close()  # else its death would not show here
        return self._pipe

    def _close(self) -> None:
        """End the process, which waits for work, or is dead."""
        if self._pipe is not None and self._process is not None:
            self._pipe.close()
            self._process.join(_GRACE)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._pipe = None


def _lost() -> WorkerLost:
    return WorkerLost(
        "the worker process died",
        hint="it was killed, as by the kernel when memory is short: give fewer --jobs, or a lower "
        "SNAPSHOTTER_FLEET_MEMORY",
    )


def _work(pipe: Connection) -> None:
    """What a worker process does: a batch at a time, until nobody sends any more."""
    # The terminal's signals are its parent's to deal with.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_follow, daemon=True, name="parent").start()
    with suppress(EOFError, OSError):
        while True:
            work, batch = pipe.recv()
            pipe.send(_answer(work, batch))
    workshop.close()


def _answer(work: Work, batch: Batch) -> BatchResult | BaseException:
    try:
        return work(batch)
    except BaseException as error:  # noqa: BLE001 - carried to the parent
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own: an error that does not cross would end the worker
        except Exception:  # noqa: BLE001 - whatever a class makes of it
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error


def _end(*_: object) -> None:
    workshop.end(Terminated("stopped by SIGTERM"))
    threading.Timer(_GRACE / 2, os._exit, [143]).start()


def _follow() -> None:
    """Wait for the parent's end, which may be a kill: nobody would ever want what this process does then."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        _end()
