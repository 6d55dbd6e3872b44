"""What the other side says of a failure: told, without danger, and never with our credential in it."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from msgspec import structs

from githost import GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.git.origin import Credential
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import FetchRequest, NoGitAnswer, PartialOrigin, Transport, WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.ssh import SshClient
from snapshotter.transport.words import KEPT, SentCredentials, Tail, lines, to_show, with_details
from tests.support.git import Origin, git
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
from tests.support.wires import NoCredentials
from tests.transport.support import DISCOVERY, SECRET, error_listing, error_of, with_secret

PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
PAIR = base64.b64encode(f"user:{SECRET}".encode())


# Refusals over HTTP


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (202, "origin-http", False),
        (400, "origin-http", False),
        (402, "origin-http", False),
        (403, "origin-denied", False),
        (404, "origin-not-found", False),
        (405, "origin-http", False),
        (408, "origin-http", True),
        (429, "origin-http", True),
        (451, "origin-http", False),
        (500, "origin-http", True),
        (501, "origin-http", False),
        (505, "origin-http", False),
        (511, "origin-http", False),
    ],
)
def test_the_hosts_reason_is_told_and_trying_again_is_advised_where_it_helps(
    connect: Callable[..., Transport], status: int, code: str, again: bool
) -> None:
    body = b"account suspended\n\nsee https://user:pw@status.example.org/\x1b[2J\n"
    with Scripted(lambda _: [reply(status, PLAIN, body)]) as server:
        error = error_listing(connect, with_secret(server.url()))
    assert error.code == code
    assert error.details == ("remote: account suspended", "remote: see https://status.example.org/\\x1b[2J")
    assert ("try again" in error.hint) is again


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (204, "clone URL"),
        (206, "clone URL"),
        (304, "sends on to"),
        (418, "refuses"),
        (501, "cannot"),
        (511, "sign in"),
    ],
)
def test_each_kind_of_status_has_its_advice(
    connect: Callable[..., Transport], status: int, advice: str
) -> None:
    with Scripted(lambda _: [reply(status)]) as server:
        error = error_listing(connect, server.url())
        assert len(server.seen) == 1
    assert (error.code, advice in error.hint) == ("origin-http", True), error.hint


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("application/json", b'{"message": "blocked"}', ('remote: {"message": "blocked"}',)),
        ("text/html", b"<html>blocked</html>", ()),
        ("text/plain", b"<html>blocked</html>", ()),
        ("application/octet-stream", b"\0\1\2", ()),
    ],
)
def test_pages_and_binaries_are_not_told(
    connect: Callable[..., Transport], kind: str, body: bytes, told: tuple[str, ...]
) -> None:
    with Scripted(lambda _: [reply(403, {"Content-Type": kind}, body)]) as server:
        assert error_listing(connect, server.url()).details == told


def test_a_long_reason_is_bounded(connect: Callable[..., Transport]) -> None:
    with Scripted(lambda _: [reply(403, PLAIN, b"word " * 1_000_000)]) as server:
        assert len("".join(error_listing(connect, server.url()).details)) < 4000


# Which answers are a git server's


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "text/html", ""])
def test_dumb_http_is_told_by_its_body(connect: Callable[..., Transport], kind: str) -> None:
    body = b"".join(b"%040x\trefs/heads/%d\n" % (n + 1, n) for n in range(3))
    with Scripted(lambda _: [reply(200, {"Content-Type": kind}, body)]) as server:
        assert "dumb HTTP" in error_listing(connect, server.url()).message


def test_plain_text_that_is_no_list_is_told_instead(connect: Callable[..., Transport]) -> None:
    with Scripted(lambda _: [reply(200, PLAIN, b"wiki is down")]) as server:
        error = error_listing(connect, server.url())
    assert "dumb HTTP" not in error.message
    assert error.details == ("remote: wiki is down",)


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/html", ""])
def test_an_answer_to_a_request_is_judged_by_its_framing(
    connect: Callable[..., Transport], kind: str
) -> None:
    refs = pkt(b"%040d refs/heads/main\n" % 7) + b"0000"
    with Scripted(v2_server(lambda _: [reply(200, {"Content-Type": kind}, refs)])) as server:
        assert dict(connect(server.url()).ls_refs().oids) == {b"refs/heads/main": f"{7:040d}"}


# Our own credential, said back


def echo(place: str, said: bytes) -> Callable[[Seen], Iterable[bytes]]:
    """A server that says something at one place of the conversation."""

    def answer(request: Seen) -> Iterable[bytes]:
        if place == "status line":
            return [b"HTTP/1.1 200" + said + b"\r\n\r\n"]
        if place == "refusal":
            return [reply(403, PLAIN, b"no: " + said)]
        if place == "page":
            return [reply(200, PLAIN, b"hello " + said)]
        if place == "redirect":
            return [reply(302, {"Location": f"https://{said.decode()}:99999/x{DISCOVERY}"})]
        if place == "redirect to a page":
            return [reply(302, {"Location": f"https://{said.decode()}/login"})]
        if place == "content type":
            return [reply(200, {"Content-Type": said.decode()})]
        if request.method == "GET":
            words = pkt(b"ERR bad token " + said) if place == "advertisement" else advertisement()
            return [reply(200, {"Content-Type": ADVERTISEMENT}, words)]
        words = {
            "ERR": pkt(b"ERR " + said),
            "length": said,
            "side-band 2": pkt(b"packfile\n") + pkt(b"\2you are " + said) + pkt(b"\3fatal"),
            "side-band 3": pkt(b"packfile\n") + pkt(b"\3" + said),
            "far into a line": pkt(b"ERR " + b"x" * 292 + said),
            "at the end of what is kept": pkt(b"ERR " + b"\n" * 3 + said * 100),
        }[place]
        return [reply(200, {"Content-Type": RESULT}, words)]

    return answer


@pytest.mark.parametrize(
    "place",
    [
        "status line",
        "refusal",
        "page",
        "redirect",
        "redirect to a page",
        "content type",
        "advertisement",
        "ERR",
        "length",
        "side-band 2",
        "side-band 3",
        "far into a line",
        "at the end of what is kept",
    ],
)
@pytest.mark.parametrize("form", [SECRET.encode(), PAIR], ids=["raw", "header"])
def test_a_credential_that_is_said_back_is_not_shown(
    connect: Callable[..., Transport], place: str, form: bytes
) -> None:
    with Scripted(echo(place, form)) as server:
        transport = connect(with_secret(server.url()))
        error = error_of(
            lambda: (transport.ls_refs(), transport.fetch(FetchRequest(["1" * 40]), pytest.fail))
        )
    shown = repr(error.as_dict())
    assert form.decode() not in shown
    assert form.decode()[:8] not in shown


@pytest.mark.parametrize(
    "said",
    [
        "p@ss/wörd+x",
        "p%40ss%2Fw%C3%B6rd%2Bx",
        "p%40ss/w%c3%b6rd%2bx",
        "P@SS/WÖRD+X",
        "".join(f"%{byte:02X}" for byte in "p@ss/wörd+x".encode()),
        "p%2540ss%252Fw%25C3%25B6rd%252Bx",
        r"p@ss\/w\u00f6rd+x",
        r"p@ss\\/w\\u00F6rd+x",
        r"p@ss/w\xc3\xb6rd+x",
        "".join(f"&#{ord(character)};" for character in "p@ss/wörd+x"),
        base64.b64encode("me:p@ss/wörd+x".encode()).decode(),
        base64.urlsafe_b64encode("me:p@ss/wörd+x".encode()).decode().rstrip("="),
    ],
)
def test_a_credential_is_known_in_every_writing(said: str) -> None:
    sent = SentCredentials()
    sent.learn(Credential("me", "p@ss/wörd+x"))
    sent.learn(Credential("another", "later"))
    assert sent.hide(f"token={said}.") in ("token=***.", "token=***=.")
    assert sent.hide("me, anöther") == "me, anöther"


TOKEN = "gh_S3cretTokenValue0123456789"


def dump(data: bytes) -> str:
    """As `hexdump -C` writes it."""
    rows = (data[at : at + 16] for at in range(0, len(data), 16))
    return "\nremote: ".join(f"{n:07x}0  {row.hex(' ')}  |{row.decode()}|" for n, row in enumerate(rows))


@pytest.mark.parametrize(
    "said",
    [
        TOKEN.encode().hex(),
        TOKEN.encode().hex(":").upper(),
        " ".join(TOKEN),
        "\t".join(TOKEN),
        r"\u200b".join(TOKEN),
        r"\x1b[0m".join(TOKEN),
        "\nremote: ".join(TOKEN),
        f"{TOKEN[:14]} and then {TOKEN[14:]}",
        TOKEN[::-1],
        TOKEN[3:-3],
        dump(b"token: " + TOKEN.encode()),
        dump(base64.b64encode(b"me:" + TOKEN.encode())),
        *(base64.b64encode(b"abc"[:n] + TOKEN.encode() + b"xyz").decode() for n in range(3)),
        "\nremote: ".join(
            base64.b64encode(f"me:{TOKEN}".encode()).decode()[at : at + 20] for at in (0, 20, 40)
        ),
    ],
)
def test_a_credential_is_known_in_pieces(said: str) -> None:
    sent = SentCredentials()
    sent.learn(Credential("me", TOKEN))
    error = with_details(NoGitAnswer("no"), f"remote: {said}".split("\n"))
    shown = re.sub(r"remote:|and then|u200b|x1b", " ", " ".join(to_show(error, sent).details)).lower()
    left = re.sub(r"[^0-9a-z]", "", shown)
    assert "***" in shown
    for written, row in ((TOKEN.lower(), 10), (TOKEN.encode().hex(), 20)):
        bare = re.sub("[^0-9a-z]", "", written)
        assert not [at for at in range(len(bare) - row) if bare[at : at + row] in left]


def test_common_words_of_a_password_do_not_hide_the_message() -> None:
    sent = SentCredentials()
    sent.learn(Credential("me", "password-of-mine"))
    said = "remote: Invalid username or password. For GitHub, use a token."
    assert sent.hide(said) == said


def test_a_credential_in_a_page_is_known() -> None:
    sent = SentCredentials()
    sent.learn(Credential("me", """a&b<c>'d'"e\""""))
    assert sent.hide("hello a&amp;b&lt;c&gt;&#x27;d&#x27;&quot;e&quot;!") == "hello ***!"


def test_a_token_in_the_users_place_is_hidden_and_a_short_one_does_not_hide_the_message() -> None:
    sent = SentCredentials()
    assert sent.hide("abc") == "abc"
    for nothing in (None, Credential("", "")):
        sent.learn(nothing)
        assert sent.hide("abc") == "abc"
    sent.learn(Credential("ghp_Token", "x-oauth-basic"))
    sent.learn(Credential("x-access-token", "t"))
    assert sent.hide("ghp_Token is not it: t") == "*** is not it: ***"


def test_a_cut_never_leaves_half_a_credential() -> None:
    tail = Tail()
    for _ in range(KEPT // 4):
        tail.add(SECRET.encode())
    sent = SentCredentials()
    sent.learn(Credential("user", SECRET))
    head = b"\n" * (KEPT - 4) + SECRET.encode()[:4]
    for said in (tail.lines, lines(head, cut_after=True)):
        shown = to_show(with_details(NoGitAnswer("why"), said), sent)
        assert set("".join(shown.details)) <= {"*", "…"}
    assert len(tail.lines) == 1


def test_lines_are_escaped_one_by_one() -> None:
    said = b"one\r\n\x1b[31mtwo\xe2\x80\xae\n\n  three \xff\rfour https://u:p@h/x\n"
    assert lines(said) == ("one", "\\x1b[31mtwo\\u202e", "three \\xff", "four https://h/x")


# Children's words


def ssh_that(tmp_path: Path, script: str, **limits: float) -> Transport:
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\n{script}\n")
    ssh.chmod(0o755)
    connector = Connector(NoCredentials(), structs.replace(WireLimits(), **limits), ssh=SshClient(str(ssh)))
    return connector(parse("git@h:x"), Cancel())


def test_a_hosts_greeting_is_told(tmp_path: Path) -> None:
    """What a host's shell prints where git's server should answer."""
    transport = ssh_that(tmp_path, "echo This account is currently not available.")
    error = error_of(transport.ls_refs)
    transport.close()
    assert error.code == "not-git"
    assert error.details == ("remote: This account is currently not available.",)


def test_a_child_that_stalls_has_said_why(tmp_path: Path) -> None:
    transport = ssh_that(
        tmp_path, "echo 'Waiting for the second factor' >&2; exec sleep 60", idle_seconds=0.5
    )
    error = error_of(transport.ls_refs)
    transport.close()
    assert (error.code, error.details) == ("stalled", ("Waiting for the second factor",))


def test_the_last_lines_of_stderr_are_told_line_by_line(tmp_path: Path) -> None:
    transport = ssh_that(tmp_path, "seq 1 30 >&2; printf '\\033[2Jkeys expired\\n' >&2; exit 1")
    error = error_of(transport.ls_refs)
    transport.close()
    assert error.details[-2:] == ("30", "\\x1b[2Jkeys expired")
    assert 5 < len(error.details) < 20


def test_the_advice_about_another_users_repository_names_the_folder_that_git_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    work = tmp_path / "it's mine"
    Origin(tmp_path / "bare.git").commit_tree(ref="refs/heads/main", message="m")
    git(None, "clone", "-q", str(tmp_path / "bare.git"), str(work))
    subprocess.run(["chown", "-R", "12345", str(work)], check=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    transport = Connector(NoCredentials())(parse(str(work)), Cancel())
    error = error_of(transport.ls_refs)
    assert error.code == "dubious-ownership"
    advice = error.hint.partition(": ")[2]
    subprocess.run(["sh", "-c", advice], check=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert len(transport.ls_refs()) >= 1
    transport.close()


# Origins that lack what they list


@pytest.fixture
def partial(tmp_path: Path) -> Origin:
    """A clone without blobs of a repository that is gone."""
    whole = Origin(tmp_path / "whole.git", filters=True)
    whole.commit_tree(ref="refs/heads/main", message="m", f=b"text")
    part = tmp_path / "part.git"
    git(None, "clone", "-q", "--bare", "--filter=blob:none", whole.path.as_uri(), str(part))
    shutil.rmtree(whole.path)
    return Origin.at(part)


@pytest.mark.parametrize("way", ["path", "http"])
def test_a_partial_clone_has_an_error_of_its_own(partial: Origin, way: str, tmp_path: Path) -> None:
    with GitHost(tmp_path) as host:
        url = host.url("part.git") if way == "http" else str(partial.path)
        transport = Connector(NoCredentials())(parse(url), Cancel())
        error = error_of(transport.fetch, FetchRequest([partial.oid("HEAD")]), lambda _: None)
        transport.close()
    assert (type(error), error.code) == (PartialOrigin, "partial-origin")
    assert any("promisor" in line for line in error.details)


@pytest.mark.parametrize("way", ["path", "http"])
def test_a_damaged_object_is_named(tmp_path: Path, way: str) -> None:
    origin = Origin(tmp_path / "x.git")
    origin.commit_tree(ref="refs/heads/main", message="m", f=b"text")
    blob = origin.oid("main:f")
    loose = origin.path / "objects" / blob[:2] / blob[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"")
    with GitHost(tmp_path) as host:
        transport = Connector(NoCredentials())(
            parse(host.url("x.git") if way == "http" else str(origin.path)), Cancel()
        )
        error = error_of(transport.fetch, FetchRequest([origin.oid("main")]), lambda _: None)
        transport.close()
    assert error.code == "origin-error"
    assert any(blob in line for line in error.details)
    assert "git fsck" in error.hint


def test_what_our_own_side_raises_is_passed_on_as_it_is(
    host: GitHost, connect: Callable[..., Transport]
) -> None:
    ours = Unavailable("x" * 5000, hint="y")

    def full(_: memoryview) -> None:
        raise ours

    tip = Origin.at(host.root / "x.git").oid("HEAD")
    with pytest.raises(Unavailable) as raised:
        connect(host.url("x.git")).fetch(FetchRequest([tip]), full)
    assert raised.value is ours
