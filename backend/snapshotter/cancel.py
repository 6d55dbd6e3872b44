"""Cancellation that a caller hands down: no signals, no globals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from snapshotter.errors import Interrupted


class Cancel:
    """A one-way switch shared by a caller and the work it may want to stop.

    Work calls `check` between steps and registers, for each blocking wait, a callback that ends
    the wait (closing a socket, killing a child). Safe from any thread.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._error: Interrupted = Interrupted("interrupted")

    def cancel(self, error: Interrupted | None = None) -> None:
        """Stop the work: every later `check` raises `error`, and every registered wait ends."""
        with self._lock:
            if error is not None:
                self._error = error
            self._event.set()
            callbacks = list(self._callbacks)
        for callback in callbacks:
            with suppress(Exception):  # a socket or child that is gone already is as wanted
                callback()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise the caller's `Interrupted` if `cancel` was called."""
        if self._event.is_set():
            raise self._error

    def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or raise as soon as the work is cancelled."""
        self._event.wait(seconds)
        self.check()

    @contextmanager
    def ending(self, callback: Callable[[], None]) -> Iterator[None]:
        """While inside, a cancellation calls `callback` once, from the cancelling thread."""
        with self._lock:
            self.check()
            self._callbacks.append(callback)
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)
