"""Worker processes of this machine, forked from one that has loaded what they need: spawned, each would load it anew,
which takes as long as to look at a hundred repositories.

That one, the nursery, loads while this process reads what is to be done, and ends with it. It has no thread whose lock
a fork could keep.
"""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final, NoReturn

from snapshotter.base.safe_path import leave_others_alone, safe_path
from snapshotter.base.urls import redact
from snapshotter.fleet.terminal_signals import held_back, leave_to_parent

_TOLD: Final = 8  # bytes: the id of a worker, or, below 0, the errno of why there is none
_ENDS: Final = 2  # descriptors that a worker gets
_SPAWN: Final = multiprocessing.get_context("spawn")


class ForkedWorker:
    """A worker process. `pipe` is for its work. Through `life` nothing comes but the other side's end."""

    def __init__(self, pid: int, pipe: Connection, life: Connection) -> None:
        self.pid, self.pipe, self._life = pid, pipe, life

    def terminate(self) -> None:
        """Have it end soon."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Have it end now."""
        self._signal(signal.SIGKILL)

    def ended(self, seconds: float | None = None) -> bool:
        """Whether it is gone, after so many seconds at most (None: any number)."""
        return bool(wait([self._life], seconds))

    def last_word(self, seconds: float) -> object:
        """What it has sent in the end, though not all that was sent to it was read, for which it has so many seconds.
        Returns None if there is nothing."""
        for _ in range(2):  # that it has not read all is told first, as an error
            with suppress(EOFError, OSError):
                return self.pipe.recv() if self.pipe.poll(seconds) else None
        return None

    def _signal(self, number: int) -> None:
        if not self.ended(0):  # else its id may be another's by now
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Nursery:
    """Forks workers, each of which does what `worker_process` says. Safe to share between threads.

    One that was killed is replaced when the next worker is asked for; its workers live on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._process: SpawnProcess | None = None

    def get_ready(self) -> None:
        """Begin to load what workers need, unless that was begun. Raises OSError if no process can be started."""
        with self._lock:
            self._started()

    def fork(self) -> ForkedWorker:
        """One more worker. Raises OSError if the system refuses one, EOFError if the nursery dies of it."""
        pipe, its_pipe = _SPAWN.Pipe()
        life, its_life = _SPAWN.Pipe()
        with its_pipe, its_life, self._lock:
            ends = [its_pipe.fileno(), its_life.fileno()]
            line = self._started()
            try:
                told = _asked(line, ends)
            except (OSError, EOFError):
                line.close()
                self._line = None
                told = _asked(self._started(), ends)
        if told < 0:
            raise OSError(-told, os.strerror(-told))
        return ForkedWorker(told, pipe, life)

    def close(self, seconds: float) -> None:
        """Let it end, for which it has so many seconds; the next worker that is asked for starts another."""
        with self._lock:
            if self._line is not None and self._process is not None:
                self._line.close()
                self._process.join(seconds)
            self._line = None

    def _started(self) -> socket.socket:
        if self._line is None:
            line, its_line = socket.socketpair()
            with Connection(its_line.detach()) as end, safe_path():
                resource_tracker.ensure_running()  # else it is started on the way, and lets signals through
                with held_back():
                    process = _SPAWN.Process(target=_serve, args=(end,), name="fleet-nursery", daemon=True)
                    process.start()
            self._process = process
            self._line = line
        return self._line


NURSERY: Final = Nursery()
"""That of this process: engines come and go."""


def _asked(line: socket.socket, ends: list[int]) -> int:
    """The id of a worker that is forked now, or an errno: see `_TOLD`. It gets both descriptors."""
    socket.send_fds(line, [b"+"], ends)
    told = line.recv(_TOLD, socket.MSG_WAITALL)
    if len(told) < _TOLD:
        raise EOFError("the process that workers are forked from died")
    return int.from_bytes(told, "big", signed=True)


def _serve(end: Connection) -> NoReturn:
    """What the nursery does: forks a worker whenever it is asked to, until nobody can ask any more."""
    leave_to_parent()
    leave_others_alone()
    from snapshotter.fleet.worker_process import work

    gc.freeze()  # what is loaded stays: no collection looks through it, or makes a copy of its pages by that
    with socket.socket(fileno=os.dup(end.fileno())) as line, suppress(OSError):
        end.close()
        while (ends := _received(line)) is not None:
            _bury(os.WNOHANG)
            told = _forked(ends)
            if not told:
                line.close()
                _live(work, *ends)
            for each in ends:
                os.close(each)
            line.sendall(told.to_bytes(_TOLD, "big", signed=True))
    _bury(0)  # what they have used is told to who waits for this process
    os._exit(0)


def _received(line: socket.socket) -> list[int] | None:
    """The descriptors of the next worker, fewer if this process can have no more. Returns None at the end."""
    asked, ends, _, _ = socket.recv_fds(line, 1, _ENDS)
    for each in ends:
        os.set_inheritable(each, False)
    return ends if asked else None


def _forked(ends: list[int]) -> int:
    """What is told of a worker that is forked now: see `_TOLD`. Returns 0 in the worker."""
    if len(ends) < _ENDS:
        return -errno.EMFILE
    try:
        return os.fork()
    except OSError as error:
        return -(error.errno or errno.EAGAIN)


def _bury(how: int) -> None:
    """Let go of the ids of workers that are gone, which nobody's may be while they might be killed. `how` is as in
    waitpid(2)."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


def _live(work: Callable[[Connection, Connection], None], pipe: int, life: int) -> None:
    """A worker's whole life. What ends it before its time is told on stderr."""
    code = 1
    try:
        work(Connection(pipe), Connection(life))
        code = 0
    except BaseException:  # noqa: BLE001 - nobody is above it
        sys.stderr.write(redact(traceback.format_exc()))
        sys.stderr.flush()
    finally:
        os._exit(code)
