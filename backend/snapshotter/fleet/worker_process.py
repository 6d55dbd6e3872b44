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
from snapshotter.base.text import printable
from snapshotter.base.urls import redact
from snapshotter.fleet import workshop
from snapshotter.fleet.engine import NO_WORKER, NoWorker, WorkerLost
from snapshotter.fleet.terminal_signals import leave_to_parent

_CLEANING: Final = 0.5  # seconds in which what is at work ends by itself: soon after, it is killed


def work(pipe: Connection, life: Connection) -> None:
    """Take batches from a pipe and give their results, or errors, to it. Ends the process once `life` is closed.

    Raises what is no batch's own error; whoever waits for an answer is told of it.
    """
    try:
        _get_ready(life)
    except RuntimeError as error:  # there can be no thread
        pipe.send(NoWorker(f"no worker process can work: {_line(error)}", hint=NO_WORKER))
        raise
    try:
        with suppress(EOFError, OSError):
            while True:
                pipe.send_bytes(_answer(pipe.recv_bytes()))
        workshop.close()
    except BaseException as error:
        with suppress(OSError):
            pipe.send(
                WorkerLost(
                    f"the worker process ended with an error: {_line(error)}",
                    hint="its traceback is on stderr; report it, unless it is of memory: then give fewer --jobs, or a "
                    "lower SNAPSHOTTER_FLEET_MEMORY",
                )
            )
        raise


def _get_ready(life: Connection) -> None:
    leave_to_parent()
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_follow, args=(life,), daemon=True, name="parent").start()


def _answer(asked: bytes) -> bytes:
    """The result of a batch, or the error that it ends with: as bytes, for one that does not cross is an error, too."""
    try:
        todo, batch = pickle.loads(asked)  # noqa: S301 - our own
        return pickle.dumps(todo(batch))
    except BaseException as error:  # noqa: BLE001 - carried to the parent
        try:
            told = pickle.dumps(error)
            pickle.loads(told)  # noqa: S301 - our own
        except Exception:  # noqa: BLE001 - whatever a class makes of it
            return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
        return told


def _line(error: BaseException) -> str:
    """The first line of what an error says, with its type."""
    lines = [*str(error).splitlines(), ""]
    return printable(redact(f"{type(error).__name__}: {lines[0]}".removesuffix(": ")))


def _end(*_: object) -> None:
    workshop.end(Terminated("stopped by SIGTERM"))
    threading.Timer(_CLEANING, os._exit, [143]).start()


def _follow(life: Connection) -> None:
    """Wait for the end of who has the work, which may be a kill: nobody would ever want what this process does then."""
    with suppress(EOFError, OSError):
        life.recv_bytes()
    _end()
