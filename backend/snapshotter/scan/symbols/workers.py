"""Analysis in processes of its own, so that a grammar that crashes or hangs costs one file.

Grammars are native code, and a few bytes can send one into unbounded memory or time where no callback is
asked (a long run of `a<` does it to Java's). Each worker limits itself, by its own resource limits, to
`seconds` of processor time a blob and to `memory` bytes; one that dies is replaced, and the blob it held gets
an `Analysis` with an error.
"""

from __future__ import annotations

import gc
import math
import multiprocessing
import resource
import signal
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Final, Self, TypeVar

from snapshotter.scan.symbols.analysis import analyze
from snapshotter.scan.symbols.model import Analysis

Key = TypeVar("Key")

_CONTEXT: Final = multiprocessing.get_context("spawn")  # a fork would copy the caller's threads' locks


class Workers:
    """`count` processes that analyse blobs; a context manager that ends them."""

    def __init__(self, count: int = 2, seconds: int = 10, memory: int = 1 << 30) -> None:
        self._limits = (seconds, memory)
        self._workers = [_Worker(*self._limits) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
    """One process and the pipe to it."""

    def __init__(self, seconds: int, memory: int) -> None:
        self._seconds, self._memory = seconds, memory
        self._start()

    def _start(self) -> None:
        self.connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=_serve, args=(theirs, self._seconds, self._memory), daemon=True, name="symbols"
        )
        self._process.start()
        theirs.close()

    def send(self, blob: bytes, language: str) -> None:
        """Hand over one blob; `receive` tells also when nobody took it."""
        try:
            self.connection.send((blob, language))
        except OSError:
            self._process.kill()

    def receive(self) -> Analysis:
        """The answer to the blob that was sent; a dead worker is replaced."""
        try:
            symbols, imports, error = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            out_of_time = self._process.exitcode == -signal.SIGXCPU
            self.kill()
            self._start()
            reason = f"ran for over {self._seconds} s" if out_of_time else "crashed"
            return Analysis(error=f"the grammar {reason}")
        return Analysis(symbols, imports, error)

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _serve(connection: Connection, seconds: int, memory: int) -> None:
    """A worker's life: answer blobs until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    gc.disable()  # rows and nodes make no cycles, and collecting them would cost a tenth of the time
    while True:
        try:
            blob, language = connection.recv()
        except EOFError:
            return
        used = math.ceil(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, resource.RLIM_INFINITY))
        try:
            answer = analyze(blob, language)
        except MemoryError:
            answer = Analysis(error="ran out of memory")
        connection.send(tuple(answer))
