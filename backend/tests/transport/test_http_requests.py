"""Smart HTTP. What is sent, and what is read."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable

import pytest

from githost import GitHost
from snapshotter.transport import FetchRequest, Transport
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
from tests.transport.support import DISCOVERY, error_of


def test_a_large_request_goes_in_gzip_and_a_small_one_as_it_is(connect: Callable[..., Transport]) -> None:
    with Scripted(v2_server(lambda _: [reply(404)])) as server:
        transport = connect(server.url())
        haves = [f"{n:040x}" for n in range(300)]
        error_of(transport.fetch, FetchRequest(["1" * 40], haves), pytest.fail)
        error_of(transport.fetch, FetchRequest(["1" * 40]), pytest.fail)
    large, small = [request for request in server.seen if request.method == "POST"]
    plain = gzip.decompress(large.body)
    assert large.headers["content-encoding"] == "gzip"
    assert all(f"have {oid}".encode() in plain for oid in haves)
    assert "content-encoding" not in small.headers
    assert small.body.startswith(b"0012command=fetch\n")
    assert {request.headers["git-protocol"] for request in server.seen} == {"version=2"}


def test_answers_in_gzip_are_read(connect: Callable[..., Transport]) -> None:
    refs = pkt(b"%040d refs/heads/main\n" % 7) + b"0000"

    def answer(request: Seen) -> Iterable[bytes]:
        assert request.headers["accept-encoding"] == "gzip"
        kind, body = (ADVERTISEMENT, advertisement()) if request.method == "GET" else (RESULT, refs)
        more = gzip.compress(b"") * 200 if len(server.seen) > 3 else b""  # to be read, though it says nothing
        return [reply(200, {"Content-Type": kind, "Content-Encoding": "gzip"}, gzip.compress(body) + more)]

    with Scripted(answer) as server:
        transport = connect(server.url())
        for _ in range(3):
            assert dict(transport.ls_refs().oids) == {b"refs/heads/main": f"{7:040d}"}


@pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints\r\nLink: </x>"])
def test_interim_answers_are_passed_over(connect: Callable[..., Transport], interim: str) -> None:
    refs = pkt(b"%040d refs/heads/main\n" % 7) + b"0000"
    first = f"HTTP/1.1 {interim}\r\n\r\n".encode() * 2

    def answer(request: Seen) -> Iterable[bytes]:
        kind, body = (ADVERTISEMENT, advertisement()) if request.method == "GET" else (RESULT, refs)
        return [first, reply(200, {"Content-Type": kind}, body)]

    with Scripted(answer) as server:
        assert dict(connect(server.url()).ls_refs().oids) == {b"refs/heads/main": f"{7:040d}"}


def test_an_unchanged_origin_costs_two_requests_on_one_connection(
    host: GitHost, connect: Callable[..., Transport]
) -> None:
    connect(host.url("x.git")).ls_refs()
    assert [request.path for request in host.requests] == [
        f"/x.git{DISCOVERY}",
        "/x.git/git-upload-pack#ls-refs",
    ]
