"""What a worker process of this machine does: a batch at a time, until nobody sends any more.

With this, all that workers need is loaded, also what is imported where it is used: see `nursery`.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Final

import snapshotter.fleet.batch
import snapshotter.scan.secret_search
import snapshotter.scan.symbols.shared_workers
import snapshotter.transport.http
import snapshotter.transport.lfs.opening  # noqa: F401 - see above
from snapshotter.base.errors import Terminated
from snapshotter.fleet import workshop
from snapshotter.fleet.engine import Work
from snapshotter.fleet.outcome import Batch, BatchResult

_CLEANING: Final = 0.5  # seconds in which what is at work ends by itself: soon after, it is killed


def work(pipe: Connection, life: Connection) -> None:
    """Take batches from a pipe and give their results, or errors, to it. Ends the process once `life` is closed."""
    # The terminal's signals are its parent's to deal with.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_follow, args=(life,), daemon=True, name="parent").start()
    with suppress(EOFError, OSError):
        while True:
            todo, batch = pipe.recv()
            pipe.send(_answer(todo, batch))
    workshop.close()


def _answer(todo: Work, batch: Batch) -> BatchResult | BaseException:
    try:
        return todo(batch)
    except BaseException as error:  # noqa: BLE001 - carried to the parent
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301 - our own: an error that does not cross would end the worker
        except Exception:  # noqa: BLE001 - whatever a class makes of it
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error


def _end(*_: object) -> None:
    workshop.end(Terminated("stopped by SIGTERM"))
    threading.Timer(_CLEANING, os._exit, [143]).start()


def _follow(life: Connection) -> None:
    """Wait for the end of who has the work, which may be a kill: nobody would ever want what this process does then."""
    with suppress(EOFError, OSError):
        life.recv_bytes()
    _end()
