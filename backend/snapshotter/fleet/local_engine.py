"""Batches in processes of this machine: each worker is a process of its own, so that one that dies takes no other's
batch with it, and what it keeps (connections, scans' processes) is warm for its life."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from contextlib import suppress
from typing import Any, Final

from snapshotter.base.errors import Interrupted, Terminated
from snapshotter.fleet.engine import EngineLost, Work, WorkerLost
from snapshotter.fleet.outcome import Batch, BatchResult

_GRACE: Final = 1.0  # seconds that a worker has to clean up before it is killed


class LocalEngine:
    """So many worker processes; a FleetEngine. They start when there is work, and are replaced when they die."""

    def __init__(self, workers: int) -> None:
        self._lock = threading.Lock()
        self._pools: list[ProcessPoolExecutor | None] = [None] * workers
        self._free = list(range(workers))[::-1]
        self._ended = False

    @property
    def slots(self) -> int:
        """See FleetEngine."""
        return len(self._pools)

    def submit(self, work: Work, batch: Batch) -> Future[BatchResult]:
        """See FleetEngine. There must be a free slot."""
        with self._lock:
            if self._ended or not self._free:
                raise EngineLost("no worker is free", hint="this is a defect: report it")
            slot = self._free.pop()
            pool = self._pools[slot] = self._pools[slot] or _pool()
        told: Future[BatchResult] = Future()
        try:
            done = pool.submit(work, batch)
        except (BrokenExecutor, RuntimeError):  # it died while it had nothing to do
            self._replace(slot)
            told.set_exception(_lost())
            return told
        done.add_done_callback(lambda future: self._tell(slot, future, told))
        return told

    def shutdown(self, *, kill: bool = False) -> None:
        """See FleetEngine."""
        with self._lock:
            self._ended = True
            pools = [pool for pool in self._pools if pool is not None]
        processes = [process for pool in pools for process in _processes(pool)]
        if kill:
            for process in processes:
                process.terminate()
        for pool in pools:
            pool.shutdown(wait=not kill, cancel_futures=True)
        if kill:
            for process in processes:
                process.join(_GRACE)
                if process.is_alive():
                    process.kill()

    def _tell(self, slot: int, done: Future[BatchResult], told: Future[BatchResult]) -> None:
        try:
            result = done.result()
        except (BrokenExecutor, CancelledError):
            self._replace(slot)
            told.set_exception(Interrupted("interrupted") if self._ended else _lost())
        except BaseException as error:  # noqa: BLE001 - carried to whoever waits
            self._release(slot)
            told.set_exception(error)
        else:
            self._release(slot)
            told.set_result(result)

    def _replace(self, slot: int) -> None:
        with self._lock:
            pool, self._pools[slot] = self._pools[slot], None
            self._free.append(slot)
        if pool is not None:
            pool.shutdown(wait=False)

    def _release(self, slot: int) -> None:
        with self._lock:
            self._free.append(slot)


def _pool() -> ProcessPoolExecutor:
    # Spawned: a fork of a process with threads may hold their locks for ever.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_begin)


def _processes(pool: ProcessPoolExecutor) -> list[Any]:
    with suppress(AttributeError, RuntimeError):
        return list((pool._processes or {}).values())
    return []


def _lost() -> WorkerLost:
    return WorkerLost(
        "the worker process died",
        hint="it was killed, as by the kernel when memory is short: give fewer --jobs, or a lower "
        "SNAPSHOTTER_FLEET_MEMORY",
    )


def _begin() -> None:
    """What a worker does first: it leaves the terminal's signals to its parent, and ends when that is gone."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_follow, daemon=True, name="parent").start()


def _end(*_: object) -> None:
    from snapshotter.fleet import workshop

    workshop.end(Terminated("stopped by SIGTERM"))
    threading.Timer(_GRACE, os._exit, [143]).start()


def _follow() -> None:
    """Wait for the parent's end, which may be a kill: nobody would ever want what this process does then."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    _end()
