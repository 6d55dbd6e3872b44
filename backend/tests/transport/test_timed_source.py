"""The bytes of a socket: at once where few come, gathered where many do, and never kept back for long."""

from __future__ import annotations

import errno
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from snapshotter.base.kept_threads import started
from snapshotter.transport import WireLimits
from snapshotter.transport.timed_source import TimedSource

MUCH = b"x" * 128 * 1024


@pytest.fixture(params=["plain", "tls"])
def ends(request: pytest.FixtureRequest, tls: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection: the server's end, and ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname(), timeout=20)
        theirs, _ = listener.accept()
    if request.param == "tls":
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(tls / "tls.crt", tls / "tls.key")
        wrapped = started(lambda: server.wrap_socket(theirs, server_side=True))
        client = ssl.create_default_context(cafile=str(tls / "ca.crt"))
        ours = client.wrap_socket(ours, server_hostname="127.0.0.1")
        theirs = wrapped.result()
    with theirs, ours:
        yield theirs, ours


def source_of(ours: socket.socket, idle_seconds: float = 20) -> TimedSource:
    ours.settimeout(idle_seconds)  # as the connection has it
    return TimedSource(ours, WireLimits(idle_seconds=idle_seconds), lambda: None)


def expected(ours: socket.socket) -> int:
    """How many bytes a read of the socket waits for."""
    return ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


def flowing(theirs: socket.socket, ours: socket.socket, idle_seconds: float = 20) -> TimedSource:
    """A source whose reads have brought much."""
    source = source_of(ours, idle_seconds)
    while expected(ours) == 1:
        sender = threading.Thread(target=theirs.sendall, args=[MUCH])
        sender.start()
        assert read(source, len(MUCH)) == MUCH
        sender.join()
    return source


def read(source: TimedSource, count: int) -> bytes:
    """So many bytes, in as many reads as they take."""
    buffer, got = bytearray(512 * 1024), b""
    while len(got) < count:
        got += buffer[: source.readinto(buffer)]
    return got


def test_few_bytes_are_read_as_they_come(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    with closing(source_of(ours)) as source:
        theirs.sendall(b"few")
        assert read(source, 3) == b"few"
        assert expected(ours) == 1


def test_where_many_come_more_are_waited_for_but_only_for_a_moment(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    with closing(flowing(theirs, ours)) as source:
        assert expected(ours) > len(MUCH)
        theirs.sendall(b"the last of them")
        assert read(source, 16) == b"the last of them"
        threading.Timer(0.1, theirs.sendall, [b"after a pause"]).start()
        assert read(source, 13) == b"after a pause"
        assert expected(ours) == 1


def test_the_next_answer_finds_the_connection_as_it_was(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    flowing(theirs, ours).close()
    assert expected(ours) == 1
    with closing(source_of(ours)) as source:
        theirs.sendall(b"few")
        assert read(source, 3) == b"few"


def test_a_flow_that_stops_is_given_up_after_the_idle_timeout(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    with closing(flowing(theirs, ours, idle_seconds=0.2)) as source, pytest.raises(TimeoutError):
        read(source, 1)


def test_a_flow_comes_whole_whatever_its_pieces(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    data, pieces = os.urandom(3_000_000), iter([1, 7, 16_384, 100, 8192, 300_000, 65_000] * 8)

    def send() -> None:
        rest = memoryview(data)
        while rest:
            theirs.sendall(rest[: (size := next(pieces))])
            rest = rest[size:]

    with closing(source_of(ours)) as source:
        sending = started(send)
        assert read(source, len(data)) == data
        sending.result()


def test_a_flow_that_is_cut_has_ended(ends: tuple[socket.socket, socket.socket]) -> None:
    theirs, ours = ends
    with closing(flowing(theirs, ours)) as source:
        theirs.close()
        assert source.readinto(bytearray(1000)) == 0


def test_a_socket_that_was_closed_meanwhile_does_not_keep_its_source_open(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    theirs, ours = ends
    source = flowing(theirs, ours)
    ours.shutdown(socket.SHUT_RDWR)
    ours.close()
    source.close()
    assert source.closed


class Poorer(socket.socket):
    """A socket of a kernel that does not gather."""

    def setsockopt(self, level: int, option: int, *value: Any) -> None:
        if option == socket.SO_RCVLOWAT:
            raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        super().setsockopt(level, option, *value)


def test_a_kernel_that_does_not_gather_will_do() -> None:
    ours, theirs = socket.socketpair()
    with theirs, Poorer(fileno=ours.detach()) as poorer, closing(source_of(poorer)) as source:
        for _ in range(5):
            sender = threading.Thread(target=theirs.sendall, args=[MUCH])
            sender.start()
            assert read(source, len(MUCH)) == MUCH
            sender.join()
        theirs.sendall(b"few")
        assert read(source, 3) == b"few"
