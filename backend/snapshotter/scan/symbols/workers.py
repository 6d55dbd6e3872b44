"""Analysis in processes of their own, so that a grammar that crashes or hangs costs one file.

Grammars are native code, and a few bytes can send one into unbounded memory or time where no callback is
asked (a long run of `a<` does it to Java's). Each process limits itself, by its own resource limits, to
`seconds` of processor time a blob and to `memory` bytes; one that dies is replaced, and the blob it held gets
an `Analysis` with an error.

The processes may serve one scan after another, so that each query is compiled once for all of them. They keep nothing
of a blob but memory: one that ran out of it, or has read many, is replaced. They hold no credentials; still, a blob
that took one over could make up the rows of later blobs. Whoever trusts no repository with another's rows gives each
scan its own.
"""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Self, TypeVar

import msgspec

import snapshotter
from snapshotter.base.cancel import Cancel
from snapshotter.scan.runner import ScannerFailed
from snapshotter.scan.symbols.records import OUT_OF_MEMORY, READY, Analysis
from snapshotter.scan.symbols.routing import QueuedBlob, Queues, family

Key = TypeVar("Key")

# A program of its own, not multiprocessing's spawn: that would run the caller's main module once more. It runs
# with -P: the working directory may be a stranger's checkout, with modules called like ours.
SERVE: Final = "from snapshotter.scan.symbols.serving import serve; serve()"
_A_WORKER: Final = 512 * 1024  # bytes of source that pay for one more process: it starts in the time of these
# Not pickles, which can make their reader do anything: hostile input may have taken the worker over.
_ANSWERS: Final = msgspec.msgpack.Decoder(Analysis)
# Answers of one process. The grammars' binding (0.26.1) loses some 20 KiB with each: without an end, a process that
# serves many trees would come to its limit of memory, and the blob that it has then would pay for it.
MOST_ANSWERS: Final = 4_000
MANY_ANSWERS: Final = 1_000  # after which it does not wait for another scan
_SLICE: Final = 0.5  # seconds between looks at the cancellation
_PACKAGE: Final = Path(snapshotter.__file__).parent.parent


class Workers:
    """At most `count` processes that analyse blobs. A context manager: they start when needed, and end with it.

    Each process runs `program` in Python and is killed at `seconds` of processor time for one blob, or at `memory`
    bytes. One analysis runs at a time, for whoever has the `turn`; other threads may call `start` and `interrupt`.
    """

    def __init__(
        self, count: int = 2, seconds: int = 10, memory: int = 1 << 30, *, program: str = SERVE
    ) -> None:
        self._workers = [_Worker(program, seconds, memory) for _ in range(count)]
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that run now; a process that died is replaced by one with another id."""
        return [worker.pid for worker in self._workers if worker.runs]

    @contextmanager
    def turn(self, cancel: Cancel) -> Iterator[Self]:
        """Have the processes to oneself, once whoever has them is done. A cancellation kills what they do then.

        Raises the cancellation's error.
        """
        while not self.take(_SLICE):
            cancel.check()
        with self.taken(cancel):
            yield self

    def take(self, seconds: float) -> bool:
        """Whether the turn came within so many seconds. It is `taken` then."""
        return self._turn.acquire(timeout=seconds)

    @contextmanager
    def taken(self, cancel: Cancel) -> Iterator[None]:
        """A turn that came, as `turn` has it: it ends with the block."""
        try:
            with cancel.ending(self.interrupt):
                yield
        finally:
            self._turn.release()

    def start(self, count: int) -> None:
        """Start processes until `count` run, or as many as there may be. Returns before they are ready.

        Nothing happens while an analysis runs: it starts what it needs.
        """
        if self._turn.acquire(blocking=False):
            try:
                self._start(count)
            finally:
                self._turn.release()

    def _start(self, count: int) -> None:
        for worker in self._workers[:count]:
            if not worker.runs:
                worker.start()

    def interrupt(self) -> None:
        """Kill the processes; an analysis that waits for them goes on at once, with errors."""
        for worker in self._workers:
            worker.interrupt()

    def close(self) -> None:
        """End the processes now, whatever they do. May be called twice."""
        for worker in self._workers:
            worker.kill()

    def analyze(
        self, jobs: Sequence[QueuedBlob[Key]], read: Callable[[Key], bytes | None]
    ) -> Generator[tuple[Key, Analysis], None, None]:
        """Analyse blobs; yields (key, analysis) as they finish, every key once, but for those that `read` leaves out.

        `read` gives a key's blob when its turn comes, so one blob a process is held at a time; None leaves it out.
        Processes that run are all used. More are started if there is enough to do for each to pay for its start.
        Raises ScannerFailed if one does not come to life, and what `read` raises.
        """
        if not jobs:
            return
        self._start(min(len(jobs), 1 + sum(job.size for job in jobs) // _A_WORKER))
        queues, idle = Queues(jobs), [worker for worker in self._workers if worker.runs]
        team, busy = [*idle], dict[Connection, tuple[_Worker, Key]]()
        try:
            while True:
                for worker in [*idle]:
                    others = set[str]().union(*(one.families for one in team if one is not worker))
                    if handed := _next(worker, others, queues, read):
                        busy[worker.connection] = (worker, *handed)
                        idle.remove(worker)
                if not busy:
                    return
                for worker, key, analysis in _finished(busy):
                    idle.append(worker)
                    yield key, analysis
        finally:
            for worker, _ in busy.values():
                worker.kill()  # what it would answer, nobody asks any more
            for worker in team:
                if worker.answered >= MANY_ANSWERS:
                    worker.kill()  # the scan's tables need its memory more than the next scan its compiled queries


def _next(
    worker: _Worker, others: set[str], queues: Queues[Key], read: Callable[[Key], bytes | None]
) -> tuple[Key] | None:
    """Hand the next blob over; its key, or None if there is nothing for this worker to do."""
    while job := queues.take(worker.families, others):
        if (blob := read(job.key)) is not None:
            worker.send(blob, job.language)
            return (job.key,)
    return None


def _finished(busy: dict[Connection, tuple[_Worker, Key]]) -> list[tuple[_Worker, Key, Analysis]]:
    """Wait for at least one busy worker and take the finished ones out of `busy`."""
    poll = select.poll()  # multiprocessing's `wait` takes as long as many a blob
    for connection in busy:
        poll.register(connection, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll()}
    finished = [busy.pop(connection) for connection in [*busy] if connection.fileno() in ready]
    return [(worker, key, worker.receive()) for worker, key in finished]


class _Worker:
    """One process after another, each with the pipe to it. None runs before `start`.

    `families` are the languages that the process has read, as `routing` groups them.
    """

    def __init__(self, program: str, seconds: int, memory: int) -> None:
        self._program, self._seconds, self._memory = program, seconds, memory
        self._process: subprocess.Popen[bytes] | None = None
        self.families: set[str] = set()
        self.answered = 0  # by the process that runs now

    @property
    def runs(self) -> bool:
        """Whether a process runs now. One may end by itself: the kernel kills where memory is short."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start a process, in the place of one that ran before. Returns before it is ready."""
        self.kill()
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
        self._ready, self.answered = False, 0

    @property
    def pid(self) -> int:
        """The id of the process that runs now."""
        assert self._process is not None  # noqa: S101 - asked only of one that runs
        return self._process.pid

    def send(self, blob: bytes, language: str) -> None:
        """Hand over one blob. If the process is dead by now, `receive` says so.

        Raises ScannerFailed if the process never came to life: that is no fault of a blob.
        """
        if not self.runs:
            self.start()
        self.families.add(family(language))
        if not self._ready:
            try:
                self._ready = self.connection.recv_bytes() == READY
            except (EOFError, OSError):
                raise ScannerFailed("symbols", "does not start") from None
        with suppress(OSError):
            self.connection.send_bytes(language.encode() + b"\0" + blob)

    def receive(self) -> Analysis:
        """The answer to the blob that was sent; a worker that died, ran out of memory or gave MOST_ANSWERS
        is replaced at its next one."""
        assert self._process is not None  # noqa: S101 - `send` came before
        try:
            answer = _ANSWERS.decode(self.connection.recv_bytes())
        except (EOFError, OSError, msgspec.DecodeError):
            with suppress(subprocess.TimeoutExpired):  # it is dead, or says what is no answer
                self._process.wait(1)
            out_of_time = self._process.returncode == -signal.SIGXCPU
            self.kill()
            reason = f"ran for over {self._seconds} s" if out_of_time else "crashed"
            return Analysis(error=f"the grammar {reason}")
        self.answered += 1
        if answer.error == OUT_OF_MEMORY or self.answered >= MOST_ANSWERS:
            self.kill()
        return answer

    def interrupt(self) -> None:
        """Kill the process, and leave it to the thread that uses it to find out."""
        if self._process is not None:
            self._process.kill()

    def kill(self) -> None:
        """End the process now, if there is one, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.connection.close()
        self._process, self.families = None, set()
