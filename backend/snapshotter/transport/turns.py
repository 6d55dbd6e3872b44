"""When a request may be sent to an origin over HTTP, for those who hold many origins of one host to a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from snapshotter.base.cancel import Cancel
from snapshotter.transport import OriginBusy

_PATIENCE: Final = 60.0  # seconds for which a request waits where its host asks for it


class Turns(Protocol):
    """Told of every request before it is sent, and when its answer is done with. One for any number of threads.

    A turn lasts from a request to the end of its answer. No thread waits for a turn while it holds another: whoever
    reads an answer waits for nothing but the origin and the store.
    """

    def begin(self, cancel: Cancel) -> None:
        """Wait for a turn. Raises what a cancellation raises."""
        ...

    def end(self) -> None:
        """Give a turn back."""
        ...

    def throttled(self, seconds: float) -> None:
        """The host asks to be left alone for so long."""
        ...

    def moved(self, base: str) -> None:
        """The origin is at another URL, `base`, than the one that was asked."""
        ...


class FreeTurns:
    """Any number of turns at any time."""

    def begin(self, cancel: Cancel) -> None:
        """See Turns."""

    def end(self) -> None:
        """See Turns."""

    def throttled(self, seconds: float) -> None:
        """See Turns."""

    def moved(self, base: str) -> None:
        """See Turns."""


class HostTurns:
    """At most `connections` turns at once, and `rate` a second, evenly spaced (None: any rate).

    The first begins after `wait` seconds. After `throttled`, none begins until the host has been left alone; where that
    is longer than anybody waits here, OriginBusy is raised in place of a request.
    """

    def __init__(
        self,
        connections: int,
        rate: float | None = None,
        wait: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._free = threading.Condition()
        self._left = connections
        self._between = 1 / rate if rate else 0.0
        self._clock = clock
        self._next = clock() + wait  # when the next request may be sent
        self._alone_until = clock()
        self._sent: float | None = None
        self.requests = 0

    def begin(self, cancel: Cancel) -> None:
        """See Turns."""
        with cancel.ending(self._wake):
            with self._free:
                while self._left <= 0:
                    self._free.wait()
                    cancel.check()
                self._left -= 1
            try:
                while (wait := self._reserved()) > 0:
                    cancel.sleep(wait)
            except BaseException:
                self.end()
                raise

    def end(self) -> None:
        """See Turns."""
        with self._free:
            self._left += 1
            self._free.notify()

    def throttled(self, seconds: float) -> None:
        """See Turns."""
        with self._free:
            self._alone_until = max(self._alone_until, self._clock() + seconds)

    def moved(self, base: str) -> None:
        """See Turns."""

    @property
    def pause(self) -> float:
        """For how many seconds from now the host asks to be left alone."""
        with self._free:
            return max(0.0, self._alone_until - self._clock())

    @property
    def since_last(self) -> float | None:
        """How many seconds ago the last request was sent; None before the first."""
        with self._free:
            return None if self._sent is None else self._clock() - self._sent

    def _reserved(self) -> float:
        """Seconds to wait before asking again; 0.0 if the request may be sent now, which then counts as sent."""
        with self._free:
            now = self._clock()
            if self._alone_until - now > _PATIENCE:
                raise OriginBusy(
                    f"the host asks to be left alone for {self._alone_until - now:.0f} s",
                    hint="it limits requests: ask it for less at once, or later",
                    throttled=True,
                )
            due = max(self._next, self._alone_until)
            if now < due:
                return due - now
            self._next, self._sent = now + self._between, now
            self.requests += 1
            return 0.0

    def _wake(self) -> None:
        with self._free:
            self._free.notify_all()
