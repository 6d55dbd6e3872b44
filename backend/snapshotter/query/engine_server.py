"""The engine's process: DuckDB under limits that the kernel keeps, doing what it is told until its pipe closes.

What DuckDB counts as its memory is less than what it takes: a list of strings took 16 GB under a limit of 256 MiB.
So the process has a limit of its own, past which the statement fails, or the process ends.
"""

from __future__ import annotations

import math
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Final

import duckdb
import msgspec

from snapshotter.base.errors import UsageError
from snapshotter.query import guard, locked_engine
from snapshotter.query.engine_messages import (
    Answer,
    Done,
    Failed,
    Fetch,
    GuardedSelect,
    Lock,
    ReadSql,
    Request,
    Rows,
    RunSql,
    SqlRefused,
    receive,
    send,
)
from snapshotter.query.engine_statement import Statement
from snapshotter.query.views import MACROS

_OWN: Final = 448 * 1024 * 1024  # bytes of address space that Python and DuckDB take besides what it counts
_THREAD: Final = 16 * 1024 * 1024  # bytes of address space of each of its threads
_LARGEST: Final = 1 << 32  # bytes of a message to the engine
_REQUESTS: Final = msgspec.msgpack.Decoder(Request)

# What DuckDB raises for wrong SQL, and for values that do not fit. Every other error is about the data.
_ABOUT_SQL: Final = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.SyntaxException,
    duckdb.TypeMismatchException,
    duckdb.InvalidTypeException,
    duckdb.NotImplementedException,
    duckdb.PermissionException,
    duckdb.DependencyException,
)


def serve() -> None:
    """The process's life. Its arguments: the descriptor of its end of the pipe, and the bytes that SQL may use."""
    descriptor, memory = map(int, sys.argv[1:3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threads = locked_engine.threads()
    size = memory + memory // 2 + _OWN + threads * _THREAD
    _limit(resource.RLIMIT_CORE, 0)  # a core file would hold rows of private repositories
    _limit(resource.RLIMIT_AS, size)
    with socket.socket(fileno=descriptor) as connection, suppress(EOFError, OSError):  # the parent is gone
        engine = _Engine(locked_engine.connect(memory, threads), threads)
        while True:
            request = _REQUESTS.decode(receive(connection, _LARGEST))
            send(connection, engine.answer(request))


class _Engine:
    """DuckDB behind the messages of a query."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, threads: int) -> None:
        self._connection, self._threads = connection, threads
        self._statement = Statement(connection, "SELECT 1 WHERE false", [])
        for macro in MACROS:
            connection.execute(macro)

    def answer(self, request: Request) -> Answer:
        """Do what is asked. Raises nothing that DuckDB raises: the caller is told instead."""
        try:
            return self._answer(request)
        except UsageError as error:
            return SqlRefused(error.message, error.hint)
        except (duckdb.Error, MemoryError) as error:
            return _failed(error)

    def _answer(self, request: Request) -> Answer:
        match request:
            case ReadSql(sql):
                select = guard.read(self._connection, sql)
                return GuardedSelect(select.sql, sorted(select.views))
            case RunSql(sql, parameters, seconds):
                _limit_time(seconds * self._threads)
                self._statement = Statement(self._connection, sql, parameters)
                self._statement.execute()
                return Done()
            case Fetch(count):
                return Rows(self._statement.rows(count))
            case Lock(files):
                locked_engine.lock(self._connection, files)
                return Done()


def _limit_time(seconds: int) -> None:
    """End by the processor's time from now on: if the parent is killed, nobody else would end a statement."""
    _limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + seconds + 1)


def _limit(what: int, value: int) -> None:
    """Set a limit that the kernel keeps, or leave the lower one that is set for all of us."""
    with suppress(ValueError, OSError, OverflowError):
        resource.setrlimit(what, (value, resource.getrlimit(what)[1]))


def _failed(error: Exception) -> Failed:
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError) or "bad_alloc" in str(error):
        return Failed("memory", "")
    if isinstance(error, duckdb.InvalidInputException):
        return Failed("input", str(error))
    return Failed("sql" if isinstance(error, _ABOUT_SQL) else "data", str(error))
