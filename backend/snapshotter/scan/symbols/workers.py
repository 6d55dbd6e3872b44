"""Analysis in processes of their own, so that a grammar that crashes or hangs costs one file.

Grammars are native code, and a few bytes can send one into unbounded memory or time where no callback is
asked (a long run of `a<` does it to Java's). Each worker limits itself, by its own resource limits, to
`seconds` of processor time a blob and to `memory` bytes; one that dies is replaced, and the blob it held gets
an `Analysis` with an error.
"""

from __future__ import annotations

import gc
import math
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

import snapshotter
from snapshotter.base import children
from snapshotter.scan.runner import ScannerFailed
from snapshotter.scan.symbols.analysis import analyze
from snapshotter.scan.symbols.records import Analysis

Key = TypeVar("Key")

# A program of its own, not multiprocessing's spawn: that would run the caller's main module once more. It runs
# with -P: the working directory may be a stranger's checkout, with modules called like ours.
SERVE: Final = "from snapshotter.scan.symbols.workers import serve; serve()"
_READY: Final = b"ready"
# Not pickles, which can make their reader do anything: hostile input may have taken the worker over.
_ANSWERS: Final = msgspec.msgpack.Decoder(Analysis)
_PACKAGE: Final = Path(snapshotter.__file__).parent.parent


class Workers:
    """`count` processes that analyse blobs. A context manager: they start on entry, and end with it.

    Each process runs `program` in Python and is killed at `seconds` of processor time for one blob, or at `memory`
    bytes.
    """

    def __init__(
        self, count: int = 2, seconds: int = 10, memory: int = 1 << 30, *, program: str = SERVE
    ) -> None:
        self._count, self._how = count, (program, seconds, memory)
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        for _ in range(self._count):
            worker = _Worker(*self._how)
            worker.start()
            self._workers.append(worker)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run now; a process that died is replaced by one with another id."""
        return [worker.pid for worker in self._workers]

    def close(self) -> None:
        """End the processes now, whatever they do. May be called twice."""
        for worker in self._workers:
            worker.kill()

    def analyze(self, jobs: Iterable[tuple[Key, bytes, str]]) -> Iterator[tuple[Key, Analysis]]:
        """Analyse (key, blob, language) jobs; yields (key, analysis) as they finish, every key once.

        Holds one blob a worker at a time, so `jobs` may be a generator over a large tree.
        """
        idle, busy = list(self._workers), dict[Connection, tuple[_Worker, Key]]()
        for key, blob, language in jobs:
            if not idle:
                for done in self._finished(busy):
                    idle.append(done[0])
                    yield done[1:]
            worker = idle.pop()
            worker.send(blob, language)
            busy[worker.connection] = (worker, key)
        while busy:
            for done in self._finished(busy):
                yield done[1:]

    @staticmethod
    def _finished(busy: dict[Connection, tuple[_Worker, Key]]) -> list[tuple[_Worker, Key, Analysis]]:
        """Wait for at least one busy worker and take the finished ones out of `busy`."""
        ready = wait(list(busy))
        finished = [busy.pop(connection) for connection in ready if isinstance(connection, Connection)]
        return [(worker, key, worker.receive()) for worker, key in finished]


class _Worker:
    """One process after another, each with the pipe to it. None runs before `start`."""

    def __init__(self, program: str, seconds: int, memory: int) -> None:
        self._program, self._seconds, self._memory = program, seconds, memory

    def start(self) -> None:
        """Start a process, in the place of one that ran before. Returns before it is ready."""
        ours, theirs = socket.socketpair()
        with theirs:
            limits = [str(theirs.fileno()), str(self._seconds), str(self._memory)]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", self._program, *limits],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={"PYTHONPATH": str(_PACKAGE), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"},
            )
        self.connection = Connection(ours.detach())
        self._ready = False

    @property
    def pid(self) -> int:
        """The id of the process that runs now."""
        return self._process.pid

    def send(self, blob: bytes, language: str) -> None:
        """Hand over one blob. If the process is dead by now, `receive` says so.

        Raises ScannerFailed if the process never came to life: that is no fault of a blob.
        """
        if not self._ready:
            try:
                self._ready = self.connection.recv_bytes() == _READY
            except (EOFError, OSError):
                raise ScannerFailed("symbols", "does not start") from None
        try:
            self.connection.send((blob, language))
        except OSError:
            self._process.kill()

    def receive(self) -> Analysis:
        """The answer to the blob that was sent; a dead worker is replaced."""
        try:
            return _ANSWERS.decode(self.connection.recv_bytes())
        except (EOFError, OSError, msgspec.DecodeError):
            with suppress(subprocess.TimeoutExpired):  # it is dead, or says what is no answer
                self._process.wait(1)
            out_of_time = self._process.returncode == -signal.SIGXCPU
            self.kill()
            self.start()
            reason = f"ran for over {self._seconds} s" if out_of_time else "crashed"
            return Analysis(error=f"the grammar {reason}")

    def kill(self) -> None:
        """End the process now and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self.connection.close()


def serve() -> None:
    """A worker's life: answer blobs until the pipe closes. Its arguments: the pipe, seconds a blob, bytes."""
    descriptor, seconds, memory = map(int, sys.argv[1:4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    children.limit(resource.RLIMIT_CORE, 0)  # a core file would hold source of private repositories
    children.limit(resource.RLIMIT_AS, memory)
    gc.disable()  # rows and nodes make no cycles, and collecting them would cost a tenth of the time
    connection = Connection(descriptor)
    with suppress(EOFError, OSError):  # the parent is gone
        connection.send_bytes(_READY)
        while True:
            blob, language = connection.recv()
            # The limit is of the process's whole life, so it moves on with each blob.
            used = math.ceil(time.process_time())
            children.limit(resource.RLIMIT_CPU, used + seconds, again=True)
            try:
                answer = analyze(blob, language)
            except MemoryError:
                answer = Analysis(error="ran out of memory")
            connection.send_bytes(msgspec.msgpack.encode(answer))
