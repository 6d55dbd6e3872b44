"""The same work on many things, several at once, and waits for threads, all of which a cancellation ends.

A store that hangs keeps whoever asks it for minutes, and nothing can end that: so it is left alone, in its thread.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from typing import Any, Final, TypeVar

from snapshotter.base.cancel import Cancel
from snapshotter.base.kept_threads import crew
from snapshotter.base.room import Stay

A = TypeVar("A")
T = TypeVar("T")

_LOOK: Final = 0.25  # seconds between two looks at whether the wait was cancelled: nothing else would end it


def side_by_side(
    work: Callable[[A, Cancel], T],
    things: Sequence[A],
    at_once: int,
    cancel: Cancel,
    stay: Stay | None = None,
) -> list[T]:
    """What `work` returns for each of the things, in their order; at most `at_once` are worked on at a time.

    The first error ends it and is raised, and so is what a cancellation raises. Then no other is begun, and what is
    under way is not waited for: `work` is given a cancel of its own, which is cancelled by then, and looks at it before
    it changes anything. Work that others must not see go on comes with a `stay`, which what is under way prolongs: then
    an error, though no cancellation, is raised once nothing is under way.
    """
    waiting: queue.SimpleQueue[tuple[int, A]] = queue.SimpleQueue()
    for each in enumerate(things):
        waiting.put(each)
    results: dict[int, T] = {}
    errors: list[BaseException] = []
    with cancel.part() as part:

        def serve() -> None:
            while not part.cancelled:
                try:
                    index, thing = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    results[index] = work(thing, part)
                except BaseException as error:  # noqa: BLE001 - carried to whoever waits
                    errors.append(error)
                    part.cancel()

        try:
            under_way = crew(serve, min(at_once, len(things)))
            if stay is None:
                settle(under_way, part)
            else:
                for future in under_way:
                    stay.until(future)
                settle(under_way, cancel)
        finally:
            part.cancel()
    cancel.check()
    if errors:
        raise errors[0]
    return [results[index] for index in range(len(things))]


def awaited(future: Future[T], cancel: Cancel) -> T:
    """A future's result, or the cancellation's error while a dead network keeps it from coming."""
    settle([future], cancel)
    cancel.check()
    return future.result()


def settle(futures: Iterable[Future[Any]], cancel: Cancel) -> None:
    """Wait until all have ended, or for a cancellation."""
    while (left := [future for future in futures if not future.done()]) and not cancel.cancelled:
        wait(left, timeout=_LOOK)
