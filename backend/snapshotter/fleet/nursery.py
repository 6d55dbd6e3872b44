"""Worker processes of this machine, forked from one that has loaded what they need: spawned, each would load it anew,
which takes as long as to look at a hundred repositories.

That one, the nursery, loads while this process reads what is to be done, and ends with it. It has no thread whose lock
a fork could keep.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final, NoReturn

from snapshotter.base.safe_path import leave_others_alone, safe_path

_PID: Final = 8  # bytes in which one is told
_TERMINALS: Final = (
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
)  # signals: they are the parent's to deal with
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
        """One more worker. Raises OSError or EOFError if there can be none."""
        pipe, its_pipe = _SPAWN.Pipe()
        life, its_life = _SPAWN.Pipe()
        with its_pipe, its_life, self._lock:
            ends = [its_pipe.fileno(), its_life.fileno()]
            line = self._started()
            try:
                pid = _asked(line, ends)
            except (OSError, EOFError):
                line.close()
                self._line = None
                pid = _asked(self._started(), ends)
        return ForkedWorker(pid, pipe, life)

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
            with Connection(its_line.detach()) as end, safe_path(), _held_back():
                self._process = _SPAWN.Process(target=_serve, args=(end,), name="fleet-nursery", daemon=True)
                self._process.start()
            self._line = line
        return self._line


NURSERY: Final = Nursery()
"""That of this process: engines come and go."""


def _asked(line: socket.socket, ends: list[int]) -> int:
    """The id of a worker that is forked now. It gets both descriptors."""
    socket.send_fds(line, [b"+"], ends)
    told = line.recv(_PID, socket.MSG_WAITALL)
    if len(told) < _PID:
        raise EOFError
    return int.from_bytes(told, "big")


@contextmanager
def _held_back() -> Iterator[None]:
    """The terminal's signals wait in this thread, and in a process that it starts: they would end one that has not come
    to ignore them yet."""
    resource_tracker.ensure_running()  # else it is started on the way, and lets them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(end: Connection) -> NoReturn:
    """What the nursery does: forks a worker whenever it is asked to, until nobody can ask any more."""
    for number in _TERMINALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TERMINALS)
    leave_others_alone()
    from snapshotter.fleet.worker_process import work

    gc.freeze()  # what is loaded stays: no collection looks through it, or makes a copy of its pages by that
    with socket.socket(fileno=os.dup(end.fileno())) as line, suppress(OSError):
        end.close()
        while ends := _received(line):
            _bury(os.WNOHANG)
            pid = os.fork()
            if not pid:
                line.close()
                _live(work, *ends)
            for each in ends:
                os.close(each)
            line.sendall(pid.to_bytes(_PID, "big"))
    _bury(0)  # what they have used is told to who waits for this process
    os._exit(0)


def _received(line: socket.socket) -> list[int]:
    """The descriptors of the next worker; none at the end."""
    _, ends, _, _ = socket.recv_fds(line, 1, 2)
    for each in ends:
        os.set_inheritable(each, False)
    return ends


def _bury(how: int) -> None:
    """Let go of the ids of workers that are gone, which nobody's may be while they might be killed. `how` is as in
    waitpid(2)."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


def _live(work: Callable[[Connection, Connection], None], pipe: int, life: int) -> None:
    """A worker's whole life."""
    code = 1
    try:
        work(Connection(pipe), Connection(life))
        code = 0
    finally:
        os._exit(code)
