"""Smart HTTP. Servers that are no git servers, or that break the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

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
from tests.transport.support import error_listing, error_of, with_secret


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, b"<html>please log in</html>"),
        ({"Content-Type": "text/plain"}, b"0123 refs/heads/main"),
        ({}, b"hello"),
        ({"Content-Type": "\x85\x9b31m"}, b""),
        ({"Content-Type": ADVERTISEMENT}, b"<html>please log in</html>"),
        ({"Content-Type": ADVERTISEMENT}, b""),
        ({"Content-Type": ADVERTISEMENT}, b"0003"),
        ({"Content-Type": ADVERTISEMENT}, b"-004"),
        ({"Content-Type": ADVERTISEMENT}, b"fff5" + b"x" * 70000),
    ],
)
def test_what_is_no_git_server(
    connect: Callable[..., Transport], headers: dict[str, str], body: bytes
) -> None:
    with Scripted(lambda _: [reply(200, headers, body)]) as server:
        error = error_listing(connect, with_secret(server.url()))
    assert error.code == "not-git"
    assert error.message.isprintable()


def test_a_list_of_refs_that_goes_on_after_its_end_is_refused(connect: Callable[..., Transport]) -> None:
    """A flipped bit in `0040` ends the list early: the refs below it would count as deleted. git refuses it too."""
    lines = pkt(b"%040d refs/heads/a\n" % 1) + pkt(b"%040d refs/heads/feature\n" % 1) + b"0000"
    assert b"0040" in lines
    with Scripted(
        v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, lines.replace(b"0040", b"0000"))])
    ) as server:
        assert error_listing(connect, server.url()).code == "protocol"
    with Scripted(v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, lines)])) as server:
        assert len(connect(server.url()).ls_refs()) == 2


def test_dumb_http_is_named(connect: Callable[..., Transport]) -> None:
    with Scripted(lambda _: [reply(200, {"Content-Type": "text/plain"})]) as server:
        assert "dumb HTTP" in error_listing(connect, server.url()).message


@pytest.mark.parametrize("kind", ["text/html", RESULT])
def test_a_page_instead_of_a_pack(connect: Callable[..., Transport], kind: str) -> None:
    page = [reply(200, {"Content-Type": kind}, b"<html>maintenance</html>")]
    with Scripted(v2_server(lambda _: page)) as server:
        error = error_of(connect(server.url()).fetch, FetchRequest(["1" * 40]), pytest.fail)
    assert error.code == "not-git"


@pytest.mark.parametrize(
    "body",
    [
        advertisement(b"ls-refs"),  # no fetch
        advertisement(b"fetch", b"object-format=md5"),
        advertisement(b"fetch")[:-4],
        pkt(b"# service=git-upload-pack\n") + pkt(b"no flush\n"),
        pkt(b"# service=git-upload-pack\n") + b"0000" + pkt(b"%040d refs/heads/a\0caps\n" % 1) + pkt(b"?\n"),
        pkt(b"# service=git-upload-pack\n") + b"0000" + pkt(b"%040d refs/heads/a\0caps\n" % 1),
        b"0000",  # no word of git's, and so no repository without refs
        b"0000" * 1000,
        pkt(b"%040d refs/heads/a\0caps\n" % 1) + b"0000",
        pkt(b"version 1\n") + b"0000",
    ],
)
def test_advertisements_that_break_the_protocol(connect: Callable[..., Transport], body: bytes) -> None:
    with Scripted(lambda _: [reply(200, {"Content-Type": ADVERTISEMENT}, body)]) as server:
        assert error_listing(connect, server.url()).code in ("protocol", "stream-cut")


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"%040d" % 1,
        b"%039d refs/heads/a" % 1,
        b"%040d\n refs/heads/a" % 1,
        b"%040d refs/heads/a peeled:zz" % 1,
    ],
)
def test_lines_that_are_none_in_a_list_of_refs(connect: Callable[..., Transport], line: bytes) -> None:
    """Names that cannot be are listed as they come, and judged after the patterns."""
    body = pkt(line + b"\n") + b"0000"
    with Scripted(v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, body)])) as server:
        error = error_listing(connect, server.url())
    assert error.code in ("protocol", "bad-refs")
    assert error.message.isprintable()


@pytest.mark.parametrize("at", ["advertisement", "ls-refs", "fetch", "side-band"])
def test_the_servers_own_words_are_passed_on_without_danger(
    connect: Callable[..., Transport], at: str
) -> None:
    words = b"\x1b[31mrepository \xe2\x80\xaedisabled"

    def answer(request: Seen) -> Iterable[bytes]:
        if request.method == "GET":
            said = pkt(b"ERR " + words) if at == "advertisement" else advertisement()
            return [reply(200, {"Content-Type": ADVERTISEMENT}, said)]
        said = pkt(b"packfile\n") + pkt(b"\x03" + words) if at == "side-band" else pkt(b"ERR " + words)
        return [reply(200, {"Content-Type": RESULT}, said)]

    with Scripted(answer) as server:
        transport = connect(with_secret(server.url()))
        if at in ("advertisement", "ls-refs"):
            error = error_of(transport.ls_refs)
        else:
            error = error_of(transport.fetch, FetchRequest(["1" * 40]), pytest.fail)
    assert error.code == "origin-error"
    assert "disabled" in error.message
    assert error.message.isprintable()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2 for you\r\n", "SSH-2.0-OpenSSH_9.2"),
        (b"220 mail.example.com ESMTP\r\n", "220 mail.example.com ESMTP"),
        (b"HTTP/1.1 so-so Fine\r\n\r\n", "HTTP/1.1 so-so Fine"),
        (b"\x15\x03\x01\x00\x02\x02P\r\n", "\\x15"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "100 headers"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", "65536"),
    ],
    ids=["ssh", "smtp", "status", "tls", "headers", "header"],
)
def test_what_does_not_speak_http_is_quoted_and_asked_once(
    connect: Callable[..., Transport], answer: bytes, words: str
) -> None:
    with Scripted(lambda _: [answer]) as server:
        error = error_listing(connect, with_secret(server.url()))
        assert len(server.seen) == 1
    assert error.code == "not-git"
    assert words in error.message
    assert "port" in error.hint
    assert error.message.isprintable()


def test_a_body_that_does_not_decompress_is_no_closed_connection(connect: Callable[..., Transport]) -> None:
    headers = {"Content-Type": ADVERTISEMENT, "Content-Encoding": "gzip"}
    with Scripted(lambda _: [reply(200, headers, b"not at all")]) as server:
        error = error_listing(connect, server.url())
    assert (error.code, "decompress" in error.message) == ("not-git", True)


def test_an_answer_that_a_proxy_has_changed_on_its_way_is_one(connect: Callable[..., Transport]) -> None:
    """Status 203, which git takes as it takes 200."""
    line = pkt(b"%040d refs/heads/a\n" % 1) + b"0000"

    def answer(request: Seen) -> Iterable[bytes]:
        get = request.method == "GET"
        kind, body = (ADVERTISEMENT, advertisement()) if get else (RESULT, line)
        return [reply(203, {"Content-Type": kind}, body)]

    with Scripted(answer) as server:
        assert len(connect(server.url()).ls_refs()) == 1


def test_a_redirect_that_does_not_say_where_is_asked_once(connect: Callable[..., Transport]) -> None:
    with Scripted(lambda _: [reply(302)]) as server:
        assert "302" in error_listing(connect, server.url()).message
        assert len(server.seen) == 1
