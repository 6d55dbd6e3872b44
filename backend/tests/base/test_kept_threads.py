"""Threads that are kept for the next work."""

import os
import threading
import time
import weakref
from concurrent.futures import wait
from contextvars import ContextVar

import pytest

from snapshotter.base.kept_threads import beside, started

LIMIT: ContextVar[int] = ContextVar("limit")


def settled(idle: int) -> None:
    """Return once so many threads of ours wait for work at least, by giving that many something to meet over."""
    meeting = threading.Barrier(idle)
    wait([started(meeting.wait) for _ in range(idle)])


def test_work_done_in_turn_needs_one_thread() -> None:
    settled(4)
    before = threading.active_count()
    threads = {started(threading.get_ident).result() for _ in range(200)}
    # One that is done may not wait yet when the next begins, so a few take turns.
    assert len(threads) <= 8
    assert threading.active_count() <= before + 4
    assert threading.get_ident() not in threads


def test_what_was_done_is_not_held_by_the_threads_that_did_it() -> None:
    meeting = threading.Barrier(threading.active_count() + 2, timeout=20)  # so that some have to be new

    def work() -> set[int]:
        return {meeting.wait()}

    futures = [started(work) for _ in range(meeting.parties)]
    results = [weakref.ref(future.result()) for future in futures]
    del futures
    end = time.monotonic() + 20  # a thread tells its result before it lets go of it
    while any(result() is not None for result in results) and time.monotonic() < end:
        time.sleep(0.01)
    assert not [result for result in results if result() is not None]


def test_works_at_once_each_have_a_thread() -> None:
    meeting = threading.Barrier(20, timeout=20)
    assert sorted(future.result() for future in [started(meeting.wait) for _ in range(20)]) == list(range(20))


def test_what_work_raises_is_told_and_costs_no_thread() -> None:
    def failing() -> None:
        raise KeyError("it")

    for _ in range(100):
        with pytest.raises(KeyError, match="it"):
            started(failing).result()
    assert started(lambda: 3).result() == 3


def test_context_is_neither_seen_nor_left() -> None:
    LIMIT.set(1)
    seen = {started(lambda: LIMIT.get(0)).result() for _ in range(10)}
    for _ in range(10):
        started(lambda: LIMIT.set(2)).result()
    assert seen | {started(lambda: LIMIT.get(0)).result() for _ in range(50)} == {0}


def test_block_ends_after_what_is_done_beside_it() -> None:
    gate, done = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(20)
        done.set()

    with pytest.raises(OSError, match="the block"), beside(work):
        gate.set()
        raise OSError("the block")
    assert done.is_set()


def test_child_of_a_fork_starts_threads_of_its_own() -> None:
    settled(2)
    pid = os.fork()
    if not pid:
        try:
            os._exit(started(lambda: 7).result(20))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
