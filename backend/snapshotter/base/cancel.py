"""Cancellation that a caller hands down: no signals, no globals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from snapshotter.base.errors import Interrupted, SnapshotterError
from snapshotter.base.kept_threads import started

T = TypeVar("T")


class Cancel:
    """A one-way switch shared by a caller and the work it may want to stop.

    Work calls `check` between steps and registers, for each blocking wait, a callback that ends
    the wait (closing a socket, killing a child). Safe from any thread.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._error: SnapshotterError = Interrupted("interrupted")

    def cancel(self, error: SnapshotterError | None = None) -> None:
        """Stop the work: every later `check` raises `error`, and every registered wait ends.

        Called again, it ends what has begun to wait, or was not ended, since.
        """
        with self._lock:
            if error is not None:
                self._error = error
            self._event.set()
            callbacks = self._callbacks[::-1]  # the innermost wait first: a child ends before its folder goes
        for callback in callbacks:
            with suppress(Exception):  # a socket or child that is gone already is as wanted
                callback()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    @property
    def error(self) -> SnapshotterError | None:
        """What `check` raises; None before a cancellation."""
        return self._error if self._event.is_set() else None

    def check(self) -> None:
        """Raise the error of whoever called `cancel`, if somebody did: `Interrupted`, or that of a time limit."""
        if self._event.is_set():
            raise self._error

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or raise as soon as the work is cancelled."""
        self._event.wait(seconds)
        self.check()

    @contextmanager
    def ending(self, callback: Callable[[], None]) -> Iterator[None]:
        """While inside, a cancellation calls `callback` once, from the cancelling thread."""
        with self._lock:  # else a cancellation between the two would end nothing
            self.check()
            self._callbacks.append(callback)
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)

    @contextmanager
    def part(self) -> Iterator[Cancel]:
        """A switch for a part of the work: cancelled with this one, or by itself. Raises as `check` does."""
        part = Cancel()
        with self.ending(lambda: part.cancel(self._error)):
            yield part

    @contextmanager
    def limited(self, seconds: float, error: SnapshotterError) -> Iterator[Cancel]:
        """A switch for a part of the work, cancelled with this one, and with `error` once `seconds` have passed.

        No seconds have passed before the work begins.
        """
        with self.part() as part:
            if seconds <= 0:
                part.cancel(error)
            timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), part.cancel, [error])
            timer.daemon = True  # the process may end before the time does
            timer.start()
            try:
                yield part
            finally:
                timer.cancel()

    def abandonable(self, work: Callable[[], T], discard: Callable[[T], None]) -> T:
        """Return what `work` returns, or raise what it raises; a cancellation abandons it.

        For a wait that nothing can end: a name's lookup, a connect. Abandoned work ends by itself in its
        thread, and what it then returns goes to `discard`.
        """
        self.check()
        done = threading.Event()
        future = started(work)
        future.add_done_callback(lambda _: done.set())
        with self.ending(done.set):
            done.wait()
        if self.cancelled:
            future.add_done_callback(lambda late: None if late.exception() else discard(late.result()))
            self.check()
        return future.result()
