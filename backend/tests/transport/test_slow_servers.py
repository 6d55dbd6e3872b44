"""Servers that are never silent and never done: given up at the deadline, or below the least rate."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import FetchRequest, Transport, WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.pace import Pace
from snapshotter.transport.ssh import SshClient
from tests.support.httpservers import ADVERTISEMENT, RESULT, Scripted, Seen, advertisement, pkt, v2_server
from tests.support.wires import NoCredentials, pack_of
from tests.transport.support import error_listing, error_of

SOON = WireLimits(idle_seconds=5, stall_seconds=0.4)
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: {ADVERTISEMENT}\r\n".encode()
WANT = FetchRequest(["1" * 40])


def dripped(server: Scripted, *before: bytes, drops: Iterable[bytes]) -> Iterator[bytes]:
    """What comes at once, then drop by drop."""
    yield b"".join(before)
    for drop in drops:
        if server.closing.wait(0.02):
            return
        yield drop


@pytest.mark.parametrize(
    ("before", "drops"),
    [
        (b"HTTP/1.1 200 O", repeat(b"K")),
        (HEAD + b"X-Long: ", repeat(b"x")),
        (b"", repeat(b"HTTP/1.1 100 Continue\r\n\r\n")),
        (HEAD + b"\r\n" + pkt(b"# service=git-upload-pack\n") + b"0000fff0versi", repeat(b"o")),
        (HEAD + b"\r\n" + advertisement()[:-4], repeat(pkt(b"agent=x\n"))),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", repeat(b"x")),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\3", repeat(b"name")),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n", repeat(gzip.compress(b""))),
    ],
    ids=["status", "header", "interim", "preface", "capabilities", "chunk", "gzip name", "gzip members"],
)
def test_an_answer_that_is_dripped_is_given_up(
    connect: Callable[..., Transport], before: bytes, drops: Iterable[bytes]
) -> None:
    with Scripted(lambda _: dripped(server, before, drops=drops)) as server:
        assert error_listing(connect, server.url(), limits=SOON).code == "stalled"
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("head", "drops"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\3", repeat(b"name" * 10000)),
    ],
)
def test_an_answer_that_is_poured_without_end_is_given_up_too(
    connect: Callable[..., Transport], head: bytes, drops: Iterable[bytes]
) -> None:
    limits = WireLimits(max_refs_bytes=1_000_000)
    with Scripted(lambda _: dripped(server, head, drops=drops)) as server:
        assert error_listing(connect, server.url(), limits=limits).code == "limit"


def test_refs_that_are_dripped_are_given_up(connect: Callable[..., Transport]) -> None:
    refs = (pkt(b"%040x refs/heads/%d\n" % (n + 1, n)) for n in range(10**6))
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {RESULT}\r\n\r\n".encode()
    with Scripted(v2_server(lambda _: dripped(server, head, drops=refs))) as server:
        assert error_listing(connect, server.url(), limits=SOON).code == "stalled"


def pack_server(*before: bytes, drops: Iterable[bytes]) -> Scripted:
    def answer(_: Seen) -> Iterator[bytes]:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {RESULT}\r\n\r\n".encode()
        return dripped(server, head, pkt(b"packfile\n"), *before, drops=drops)

    server = Scripted(v2_server(answer))
    return server


@pytest.mark.parametrize(
    ("before", "drops"),
    [
        (b"", repeat(pkt(b"\x01"))),
        (b"", repeat(pkt(b"\x01x"))),
        (pkt(b"\x01PACK") + b"fff0\x01", repeat(b"x")),
        (pkt(b"\x01PACK"), repeat(pkt(b"\x01x") + pkt(b"\x02" + b"working " * 100))),
    ],
    ids=["keepalives", "two bytes", "one packet", "beside much talk"],
)
def test_a_pack_below_the_least_rate_is_given_up(
    connect: Callable[..., Transport], before: bytes, drops: Iterable[bytes]
) -> None:
    with pack_server(before, drops=drops) as server:
        error = error_of(connect(server.url(), limits=SOON).fetch, WANT, lambda _: None)
    assert error.code == "stalled"
    assert "SNAPSHOTTER_STALL_TIMEOUT" in error.hint


def test_a_slow_pack_above_it_comes_whole(connect: Callable[..., Transport]) -> None:
    drops = [*[pkt(b"\x01" + b"x" * 100)] * 40, b"0000"]
    with pack_server(drops=drops) as server:
        assert pack_of(connect(server.url(), limits=SOON), WANT) == b"x" * 4000


def test_our_own_slowness_is_not_the_servers(connect: Callable[..., Transport]) -> None:
    with pack_server(drops=[*[pkt(b"\x01x")] * 6, b"0000"]) as server:
        connect(server.url(), limits=SOON).fetch(WANT, lambda _: time.sleep(0.1))


def test_a_server_by_ssh_has_the_same_deadline(tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\nprintf 'fff0version 2'\nwhile printf x && sleep 0.02; do :; done\n")
    ssh.chmod(0o755)
    transport = Connector(NoCredentials(), SOON, ssh=SshClient(str(ssh)))(parse("git@h:x"), Cancel())
    assert error_of(transport.ls_refs).code == "stalled"
    transport.close()


def test_the_rate_is_of_each_span_and_the_deadline_of_each_answer() -> None:
    pace = Pace(WireLimits(stall_seconds=10, least_rate=100))
    for _ in range(3):  # answers that take long, each within its time
        pace.begin()
        pace.came(1, 9)
    pace.begin()
    pace.flow()
    pace.came(100_000, 11)  # a span that was quick
    pace.came(10, 9)
    with pytest.raises(Unavailable, match="too slowly: 20 bytes in 11 s"):
        pace.came(10, 2)


def test_a_refusal_is_told_with_as_much_as_comes_of_its_reason(connect: Callable[..., Transport]) -> None:
    head = b"HTTP/1.1 403 No\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nwhy"
    with Scripted(lambda _: dripped(server, head, drops=repeat(b""))) as server:
        error = error_listing(connect, server.url(), limits=WireLimits(idle_seconds=0.3))
        assert (error.code, error.details) == ("origin-denied", ("remote: why",))
