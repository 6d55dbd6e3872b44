"""The engine as a query sees it: a process of its own, so that its limits of memory and time are limits.

SQL that takes too long, or a query that is cancelled, ends with the process. Nothing of ours is in its environment.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import msgspec

import snapshotter
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.query.engine_messages import (
    Answer,
    Failed,
    Fetch,
    GuardedSelect,
    Lock,
    MessageTooLong,
    ReadSql,
    Request,
    Rows,
    RunSql,
    SqlRefused,
    receive,
    send,
)
from snapshotter.query.refusals import refusal, too_large
from snapshotter.query.terms import Select

# A program of its own, not multiprocessing's spawn: that would run the caller's main module once more. It runs
# with -P: the working directory may be a stranger's checkout, with modules called like ours.
_SERVE: Final = "from snapshotter.query.engine_server import serve; serve()"
_PACKAGE: Final = Path(snapshotter.__file__).parent.parent
_ENVIRONMENT: Final = {
    "PYTHONPATH": str(_PACKAGE),
    "PYTHONDONTWRITEBYTECODE": "1",
    "LC_ALL": "C.UTF-8",
    "MALLOC_ARENA_MAX": "2",  # each takes address space, which is limited, for memory that nobody asked for
}
_ANSWERS: Final = msgspec.msgpack.Decoder(Answer)
_ROWS: Final = msgspec.msgpack.Decoder(list[tuple[Any, ...]])
ROWS: Final = 5_000  # that are taken at once: an answer is in memory whole
_STARTING: Final = 30.0  # seconds that the process may take to start, on a busy machine
_PREPARING: Final = 3600  # seconds of each processor for a statement of ours
_LARGEST: Final = 64 * 1024 * 1024  # bytes of an answer beyond what SQL may use
# Ends of a process that got no memory: C++ gives up, the kernel kills, or Python exits with an error.
_OUT_OF_MEMORY: Final = frozenset({-signal.SIGABRT, -signal.SIGKILL, -signal.SIGBUS, 1})


class EngineFailed(Exception):
    """What DuckDB says against a statement, by `kind` as in `Failed`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Late(Exception):
    """A statement took longer than it may; its process is gone."""


class Engine:
    """DuckDB in its process. A context manager: the process starts on entry, and ends with it.

    Statements of ours take the time they take. Every method raises Interrupted when cancelled, and Unavailable (codes
    `query-memory` and `query-engine`) if the process does not start or ended itself; those that run something raise
    EngineFailed.
    """

    def __init__(self, memory: int, cancel: Cancel) -> None:
        """`memory` is the bytes that SQL may use."""
        self.memory, self._cancel, self._lives = memory, cancel, False

    def __enter__(self) -> Self:
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = self._started(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def read(self, sql: str, *, seconds: float) -> Select:
        """The SELECT in a user's SQL. Raises UsageError (code `sql`) for anything else, and Late after `seconds`, for
        which the start of the process does not count."""
        try:
            answer = self._ask(ReadSql(sql), seconds + _STARTING)
        except UnicodeEncodeError:
            raise refusal("it is no Unicode text") from None
        assert isinstance(answer, GuardedSelect)  # noqa: S101 - the protocol
        return Select(answer.sql, frozenset(answer.views))

    def execute(self, sql: str, parameters: Sequence[str] = (), *, seconds: float | None = None) -> None:
        """Run a statement; its rows come by `fetch`. Raises Late after `seconds`, if those are given."""
        limit = _PREPARING if seconds is None else max(1, round(seconds))
        self._ask(RunSql(sql, list(parameters), limit), seconds)

    def fetch(self, count: int, *, seconds: float | None = None) -> list[tuple[Any, ...]]:
        """At most `count` more rows, none at the end. Raises Late after `seconds`, if those are given."""
        answer = self._ask(Fetch(count), seconds)
        assert isinstance(answer, Rows)  # noqa: S101 - the protocol
        return [row for part in answer.parts for row in _ROWS.decode(part)]

    def rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """All rows of a statement of ours."""
        self.execute(sql)
        while rows := self.fetch(ROWS):
            yield from rows

    def lock(self, files: Iterable[Path]) -> None:
        """Close the engine to everything but `files`, for good."""
        self._ask(Lock([str(path) for path in files]))

    def _started(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-c", _SERVE, str(theirs.fileno()), str(self.memory)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env=_ENVIRONMENT,
            )
        except OSError as error:
            self._connection.close()
            raise _no_start(error.strerror or "no process") from error

    def _ask(self, request: Request, seconds: float | None = None) -> Answer:
        with self._cancel.ending(self._process.kill):
            self._connection.settimeout(None if seconds is None else max(0.001, seconds))
            try:
                send(self._connection, request)
                answer: Answer = _ANSWERS.decode(receive(self._connection, self.memory + _LARGEST))
            except TimeoutError:
                self._process.kill()
                raise Late from None
            except (EOFError, ConnectionError):
                self._cancel.check()  # which kills the process: that is no crash
                raise self._ended() from None
            except MessageTooLong:
                self._process.kill()
                raise too_large(self.memory) from None
        self._cancel.check()
        self._lives = True
        if isinstance(answer, SqlRefused):
            raise UsageError(answer.message, code="sql", hint=answer.hint)
        if isinstance(answer, Failed):
            raise EngineFailed(answer.kind, answer.text)
        return answer

    def _ended(self) -> Exception:
        """Why the process ended itself."""
        with suppress(subprocess.TimeoutExpired):  # it closed its end, and dies
            self._process.wait(10)
        status = self._process.returncode
        if status == -signal.SIGXCPU:
            return Late()
        if not self._lives:
            return _no_start(f"status {status}")
        if status in _OUT_OF_MEMORY:
            return too_large(self.memory)
        return Unavailable(
            f"the SQL ended the engine (status {status})",
            code="query-engine",
            hint="write it in smaller steps, or with less nesting; raise --memory if it is large",
        )


def _no_start(why: str) -> Unavailable:
    return Unavailable(
        f"the engine that runs the SQL does not start ({why})",
        code="query-engine",
        hint="check this machine's limits of memory and processes; `python -c 'import duckdb'` may say more",
    )
