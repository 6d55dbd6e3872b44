"""Threads that wait for more work when theirs is done: to start one costs more than much of what is done beside other
work."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import Context
from typing import Final, TypeVar

T = TypeVar("T")
_Job = Callable[[], None]

_MOST_IDLE: Final = 64  # threads that wait: beyond that, one that is done ends
_idle: list[queue.SimpleQueue[_Job]] = []  # the last one that became idle is the first to be used again
os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads


def started(work: Callable[[], T]) -> Future[T]:
    """Begin `work` in a thread of its own, and return its future. It does not keep the process from ending.

    It sees no context variable of the caller's, and leaves none to the next. Raises RuntimeError if the system lets
    no further thread be.
    """
    future: Future[T] = Future()

    def job() -> None:
        try:
            value = Context().run(work)
        except BaseException as error:  # noqa: BLE001 - carried to whoever waits
            future.set_exception(error)
        else:
            future.set_result(value)

    try:
        _idle.pop().put(job)
    except IndexError:
        own: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        own.put(job)  # not as an argument, which a thread holds as long as it lives
        threading.Thread(target=_serve, args=(own,), daemon=True, name="kept").start()
    return future


def crew(work: Callable[[], T], size: int) -> list[Future[T]]:
    """Begin `work` in so many threads, or in as many as the system lets be. Raises RuntimeError if that is none."""
    begun: list[Future[T]] = []
    for _ in range(size):
        try:
            begun.append(started(work))
        except RuntimeError:
            if not begun:
                raise
            break
    return begun


@contextmanager
def beside(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Do `work` beside the block, which does not end before it."""
    future = started(work)
    try:
        yield future
    finally:
        wait([future])


def _serve(own: queue.SimpleQueue[_Job]) -> None:
    job: _Job | None = own.get()
    while job is not None:
        job()
        job = None  # what it holds is not kept until the next
        if len(_idle) < _MOST_IDLE:
            _idle.append(own)
            job = own.get()
