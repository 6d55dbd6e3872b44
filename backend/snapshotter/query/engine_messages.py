"""What a query and its engine's process say to each other. Plain values only: neither trusts what the other sends."""

from __future__ import annotations

import socket
import struct
from typing import Final, Literal

import msgspec

_HEAD: Final = struct.Struct(">Q")  # bytes of the message that follows


class ReadSql(msgspec.Struct, tag=True):
    """Read SQL from a user: is it one SELECT over the views? Answered by GuardedSelect or SqlRefused."""

    sql: str


class RunSql(msgspec.Struct, tag=True):
    """Run one statement, in at most `seconds` of each processor. Answered by Done."""

    sql: str
    parameters: list[str]
    seconds: int


class Fetch(msgspec.Struct, tag=True):
    """Hand over at most `count` more rows of the statement that ran last. Answered by Rows, without any at the end."""

    count: int


class Lock(msgspec.Struct, tag=True):
    """Close the engine to everything but these files, for good. Answered by Done."""

    files: list[str]


class Done(msgspec.Struct, tag=True):
    """It was done."""


class Rows(msgspec.Struct, tag=True):
    """Rows, in parts that are encoded by themselves: a list of tuples each."""

    parts: list[bytes]


class GuardedSelect(msgspec.Struct, tag=True):
    """The SELECT as it may be run, and the views that it reads."""

    sql: str
    views: list[str]


class SqlRefused(msgspec.Struct, tag=True):
    """The SQL cannot be run, for the reason in `message`."""

    message: str
    hint: str


class Failed(msgspec.Struct, tag=True):
    """DuckDB's own error. `kind`: too little memory, wrong SQL, input that does not fit, or any other about data."""

    kind: Literal["memory", "sql", "input", "data"]
    text: str


Request = ReadSql | RunSql | Fetch | Lock
Answer = Done | Rows | GuardedSelect | SqlRefused | Failed


class MessageTooLong(Exception):
    """A message is longer than its reader takes."""


def send(connection: socket.socket, message: Request | Answer) -> None:
    """Send one message. Raises UnicodeEncodeError for text that is no Unicode, OSError if nobody reads."""
    data = msgspec.msgpack.encode(message)
    connection.sendall(_HEAD.pack(len(data)) + data)


def receive(connection: socket.socket, limit: int) -> bytes:
    """The next message, of at most `limit` bytes.

    Raises EOFError if the other end is gone, MessageTooLong, and what the connection raises.
    """
    (length,) = _HEAD.unpack(_exactly(connection, _HEAD.size))
    if length > limit:
        raise MessageTooLong
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray(count)
    view, filled = memoryview(data), 0
    while filled < count:
        got = connection.recv_into(view[filled:])
        if not got:
            raise EOFError
        filled += got
    return bytes(data)
