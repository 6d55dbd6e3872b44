"""Smart HTTP. Servers that never stop sending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import count

import pytest

from githost import Fault, GitHost
from snapshotter.transport import FetchRequest, Transport, WireLimits
from tests.support.httpservers import (
    ADVERTISEMENT,
    RESULT,
    Scripted,
    Seen,
    advertisement,
    pkt,
    reply,
    v2_server,
)
from tests.transport.support import error_listing, error_of, tip

SOCKET_BUFFERS = 16 << 20  # what a server may have sent that its client never read, on loopback


def test_chatter_without_end_is_cut_off(host: GitHost, connect: Callable[..., Transport]) -> None:
    host.fault = lambda label: Fault(chatter=True) if label.endswith("#fetch") else None
    transport = connect(host.url("x.git"), limits=WireLimits(chatter_bytes=100_000))
    assert error_of(transport.fetch, FetchRequest([tip(host)]), pytest.fail).code == "chatter"
    patient = connect(host.url("x.git"), limits=WireLimits(stall_seconds=0.3, chatter_bytes=1 << 40))
    assert error_of(patient.fetch, FetchRequest([tip(host)]), pytest.fail).code == "stalled"


def streamed(kind: str, *pieces: Iterable[bytes]) -> Iterator[bytes]:
    """An answer that goes on for as long as its pieces do."""
    yield f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode()
    for some in pieces:
        yield from some


def refs_without_end(closing: threading.Event) -> Iterator[bytes]:
    for n in count():
        yield pkt(b"%040x refs/heads/endless-%09d\n" % (n + 1, n))
        if closing.is_set():
            return


@pytest.mark.parametrize("v0", [False, True])
@pytest.mark.parametrize("limits", [WireLimits(max_refs=3000), WireLimits(max_refs_bytes=300_000)])
def test_refs_without_end_are_cut_off(
    connect: Callable[..., Transport], v0: bool, limits: WireLimits
) -> None:
    def answer(request: Seen) -> Iterator[bytes]:
        if request.method == "GET" and not v0:
            yield reply(200, {"Content-Type": ADVERTISEMENT}, advertisement())
            return
        preface = pkt(b"# service=git-upload-pack\n") + b"0000" if v0 else b""
        yield from streamed(ADVERTISEMENT if v0 else RESULT, [preface], refs_without_end(server.closing))

    with Scripted(answer) as server:
        error = error_listing(connect, server.url(), limits=limits)
    assert error.code == "limit"
    assert "--max-refs" in error.hint


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"acknowledgments\n", b"ACK 1111111111111111111111111111111111111111\n"),
        (b"wanted-refs\n", b"1111111111111111111111111111111111111111 refs/heads/a\n"),
        (b"packfile\n", b""),
        (b"packfile\n", b"\x01"),
        (b"packfile\n", b"\x07"),
    ],
)
def test_sections_without_end_are_cut_off(
    connect: Callable[..., Transport], first: bytes, again: bytes
) -> None:
    sent = 0

    def blocks() -> Iterator[bytes]:
        nonlocal sent
        while not server.closing.is_set():
            yield pkt(again) * 2000
            sent += 2000 * len(pkt(again))

    with Scripted(v2_server(lambda _: streamed(RESULT, [pkt(first)], blocks()))) as server:
        transport = connect(server.url(), limits=WireLimits(chatter_bytes=500_000, stall_seconds=10))
        error = error_of(transport.fetch, FetchRequest(["1" * 40]), pytest.fail)
        assert error.code in ("chatter", "limit")
        assert sent < 500_000 + SOCKET_BUFFERS


@pytest.mark.parametrize("names", [5000, 1])
def test_capabilities_without_end_are_cut_off(connect: Callable[..., Transport], names: int) -> None:
    body = advertisement(*(b"c%d=%d" % (n % names, n) for n in range(5000)), b"fetch")
    with Scripted(lambda _: [reply(200, {"Content-Type": ADVERTISEMENT}, body)]) as server:
        assert error_listing(connect, server.url()).code == "limit"
