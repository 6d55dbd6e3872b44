"""The signals of a terminal, which every process gets: they are for the one that the user started to deal with."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_TERMINALS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


@contextmanager
def held_back() -> Iterator[None]:
    """They wait in this thread, and in a process that it starts: they would end one that has not come to ignore them
    yet. That one must call `leave_to_parent`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def are_held_back() -> bool:
    """Whether this thread, or the process that started its own, holds them back."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def leave_to_parent() -> None:
    """Ignore them, in this process and those that it forks, also such as waited. Its main thread must call it."""
    for number in _TERMINALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERMINALS)
