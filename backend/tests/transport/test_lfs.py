"""LFS objects over HTTP: what is asked, whom it tells of us, and what a server that means no good can do."""

from __future__ import annotations

import base64
import gc
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitfaults import Fault
from lfshost import LfsHost
from snapshotter.base.cancel import Cancel
from snapshotter.git.origin_parsing import parse
from snapshotter.transport import WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from snapshotter.transport.http_body import Body
from snapshotter.transport.http_response import Response
from snapshotter.transport.lfs.exchange import Exchange
from snapshotter.transport.lfs.http import HttpLfs
from snapshotter.transport.lfs.server import LfsServer, of_origin
from snapshotter.transport.lfs.source import LfsPointer, LfsSource, LfsUnavailable
from tests.support import fixtures
from tests.support.httpservers import Scripted, reply
from tests.transport.support import SECRET, Hurried, with_secret

DATA = b"".join(b"%d" % (n * n * 7919 % 1000003) for n in range(30_000))
BASIC = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()
LIMITS = WireLimits(idle_seconds=5)
lfs = fixtures.lfs_host


def source(url: str, cancel: Cancel | None = None, **options: object) -> LfsSource:
    connector = Connector(GitCredentials({}), LIMITS, **options)  # type: ignore[arg-type]
    return connector.lfs(parse(url), cancel or Hurried())


def pointer(data: bytes = DATA, size: int | None = None) -> LfsPointer:
    return LfsPointer(hashlib.sha256(data).hexdigest(), len(data) if size is None else size)


def had(asked: LfsSource, wanted: LfsPointer) -> bytes:
    """The object's bytes. Raises what the source says against it."""
    told = asked.locate([wanted])[wanted]
    if isinstance(told, LfsUnavailable):
        raise told
    pieces: list[bytes] = []
    told(lambda view: pieces.append(bytes(view)))
    return b"".join(pieces)


def refusal(asked: LfsSource, wanted: LfsPointer | None = None) -> LfsUnavailable:
    with pytest.raises(LfsUnavailable) as raised:
        had(asked, wanted or pointer())
    assert SECRET not in str(raised.value.as_dict()) and raised.value.hint
    return raised.value


def fault_for(which: str, fault: Fault, times: int = 1_000) -> Callable[[str], Fault | None]:
    left = [times]

    def commit(what: str) -> Fault | None:
        if what != which or not left[0]:
            return None
        left[0] -= 1
        return fault

    return commit


def test_an_object_comes_with_the_headers_of_its_own_answer(lfs: LfsHost) -> None:
    lfs.put(DATA)
    assert had(source(lfs.url("x.git")), pointer()) == DATA
    asked, got = lfs.lfs_requests
    assert asked.path == "/x.git/info/lfs/objects/batch" and got.headers["x-ticket"] == "t1cket"
    assert "x-ticket" not in asked.headers


def test_objects_come_over_one_connection_and_leave_no_buffer_behind(lfs: LfsHost) -> None:
    contents, asked = [DATA * 4, b"short", b"", DATA * 4], source(lfs.url("x.git"))
    gc.collect()
    before = bodies()
    gc.disable()  # what only it would free is held for long: programs run it seldom
    try:
        for data in contents:
            lfs.put(data)
            assert had(asked, pointer(data)) == data
        assert lfs.connections == 1
        assert bodies() == before
    finally:
        gc.enable()


def bodies() -> int:
    """How many bodies of answers, with their buffers, are in memory."""
    return sum(type(each) is Body for each in gc.get_objects())


def test_the_credential_goes_to_the_batch_and_not_with_an_action_that_signs_in(lfs: LfsHost) -> None:
    lfs.basic = ("user", SECRET)
    lfs.put(DATA)
    assert had(source(with_secret(lfs.url("x.git"))), pointer()) == DATA
    asked, got = lfs.lfs_requests
    assert asked.headers["authorization"] == BASIC and "authorization" not in got.headers


def test_an_action_on_the_origin_s_own_host_that_does_not_sign_in_is_signed(lfs: LfsHost) -> None:
    lfs.edit = lambda answer: {
        "objects": [each | {"authenticated": False} for each in answer["objects"]]  # type: ignore[attr-defined]
    }
    lfs.put(DATA)
    assert had(source(with_secret(lfs.url("x.git"))), pointer()) == DATA
    assert lfs.lfs_requests[1].headers["authorization"] == BASIC


def elsewhere(lfs: LfsHost, href: str, **more: object) -> None:
    """Have the host send every download to `href`."""
    lfs.edit = lambda answer: {
        "objects": [
            {"oid": each["oid"], "size": each["size"], "actions": {"download": {"href": href, **more}}}
            for each in answer["objects"]  # type: ignore[attr-defined]
        ]
    }


def test_another_host_is_told_nothing_of_us(lfs: LfsHost) -> None:
    with Scripted(lambda _: [reply(200, {}, DATA)]) as other:
        elsewhere(lfs, other.url("object"), header={"X-Own": "yes"})
        assert had(source(with_secret(lfs.url("x.git"))), pointer()) == DATA
    (seen,) = other.seen
    assert "authorization" not in seen.headers and seen.headers["x-own"] == "yes"


def test_a_redirect_to_another_host_takes_no_header_of_the_answer_along(lfs: LfsHost) -> None:
    with (
        Scripted(lambda _: [reply(200, {}, DATA)]) as last,
        Scripted(lambda _: [reply(302, {"Location": last.url("object")})]) as first,
    ):
        elsewhere(lfs, first.url("object"), header={"Authorization": "Bearer of-the-first"})
        assert had(source(lfs.url("x.git")), pointer()) == DATA
    assert first.seen[0].headers["authorization"] == "Bearer of-the-first"
    assert "authorization" not in last.seen[0].headers


def test_a_question_that_is_sent_on_to_another_host_is_not_asked_there() -> None:
    with (
        Scripted(lambda _: [reply(200, {}, b"{}")]) as other,
        Scripted(lambda _: [reply(307, {"Location": other.url("info/lfs/objects/batch")})]) as first,
    ):
        assert refusal(source(with_secret(first.url()))).reason == "unsafe"
    assert other.seen == []


@pytest.mark.parametrize(
    "href",
    [
        "http://127.0.0.1:1/object",
        "https://127.0.0.1:1/object",
        "https://[::1]/object",
        "https://localhost/object",
        "https://169.254.169.254/latest/meta-data/",
        "https://0x7f.1/object",
        "https://10.0.0.1/object",
        "http://example.org/object",
        "file:///etc/passwd",
        "ftp://example.org/object",
        "https://user:pass@example.org/object",
        "https://[::1/object",
        "/relative",
    ],
)
def test_a_public_origin_sends_nobody_further_in(href: str) -> None:
    """The origin of the test is on this machine, so its place is said here to be the world's."""
    origin = parse("https://git.example.org/x.git")
    connector = Connector(GitCredentials({}), LIMITS)
    asked = HttpLfs(
        Exchange(connector.http_client(), origin, "8.8.8.8", Hurried()),
        lambda: LfsServer("https://unused"),
        lambda _: LfsServer("https://unused"),
    )
    with pytest.raises(LfsUnavailable) as raised, asked.exchange.get(href, {}, signed=True):
        pass
    assert raised.value.reason == "unsafe" and not raised.value.transient


def test_an_action_whose_time_is_over_is_asked_for_anew(lfs: LfsHost) -> None:
    lfs.put(DATA)
    hour = [0.0]
    lfs.now, lfs.span = (lambda: hour[0]), 600
    asked = source(lfs.url("x.git"))
    told = asked.locate([pointer()])[pointer()]
    assert not isinstance(told, LfsUnavailable)
    hour[0] = 700.0  # by the host's clock; ours still thinks that the action holds
    pieces: list[bytes] = []
    told(lambda view: pieces.append(bytes(view)))
    assert b"".join(pieces) == DATA
    assert [seen.status for seen in lfs.lfs_requests] == [200, 403, 200, 200]


@pytest.mark.parametrize(
    ("status", "body", "reason", "of_all"),
    [
        (404, b"", "no-server", True),
        (501, b"", "no-server", True),
        (403, b'{"message": "no"}', "forbidden", True),
        (403, b'{"message": "This repository is over its data quota."}', "over-quota", True),
        (507, b"", "over-quota", True),
        (509, b"", "over-quota", True),
        (429, b"", "busy", True),
        (500, b"", "unreachable", True),
        (200, b"<html>", "unreadable", True),
    ],
)
def test_what_a_refused_question_means(
    lfs: LfsHost, status: int, body: bytes, reason: str, of_all: bool
) -> None:
    lfs.lfs_fault = fault_for("batch", Fault(status=status, body=body))
    error = refusal(source(lfs.url("x.git")))
    assert (error.reason, error.of_all) == (reason, of_all)


def test_retry_after_is_kept_and_the_question_asked_again(lfs: LfsHost) -> None:
    lfs.put(DATA)
    lfs.lfs_fault = fault_for("batch", Fault(status=429, headers={"Retry-After": "7"}), 2)
    cancel = Hurried()
    assert had(source(lfs.url("x.git"), cancel), pointer()) == DATA
    assert cancel.naps == [7.0, 7.0]


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "not-found"), (410, "not-found"), (403, "forbidden"), (509, "over-quota")]
)
def test_a_refused_object_costs_no_other(lfs: LfsHost, status: int, reason: str) -> None:
    lfs.put(DATA)
    other = lfs.put(b"other")
    lfs.lfs_fault = fault_for(other, Fault(status=status))
    asked = source(lfs.url("x.git"))
    error = refusal(asked, pointer(b"other"))
    assert (error.reason, error.of_all) == (reason, False)
    assert had(asked, pointer()) == DATA


@pytest.mark.parametrize(
    ("fault", "reason", "transient"),
    [
        (Fault(cut_at=1000), "unreachable", True),
        (Fault(chatter=True), "wrong-size", False),
        (Fault(status=503), "unreachable", True),
    ],
)
def test_a_body_that_is_cut_or_has_no_end(lfs: LfsHost, fault: Fault, reason: str, transient: bool) -> None:
    lfs.lfs_fault = fault_for(lfs.put(DATA), fault)
    error = refusal(source(lfs.url("x.git")))
    assert (error.reason, error.transient) == (reason, transient)


def test_a_pointer_that_lies_about_its_size_gets_no_more_than_it_says(lfs: LfsHost) -> None:
    lfs.put(DATA)
    assert refusal(source(lfs.url("x.git")), pointer(size=10)).reason == "wrong-size"
    assert refusal(source(lfs.url("x.git")), pointer(size=len(DATA) + 1)).reason == "unreachable"


def test_an_answer_without_end_is_not_read_to_it() -> None:
    def endless(_: object) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield bytes(1024 * 1024)

    with Scripted(endless) as server:
        assert refusal(source(server.url())).reason == "unreadable"


def test_a_body_that_drips_ends_by_the_pace(lfs: LfsHost) -> None:
    def dripping(_: object) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        while not lfs.closing.wait(0.01):
            yield b"x"

    wanted = pointer(b"x" * 1_000_000)
    slow = WireLimits(idle_seconds=5, stall_seconds=0.2, least_rate=100_000)
    with Scripted(dripping) as server:
        elsewhere(lfs, server.url("object"))
        lfs.put(b"x" * 1_000_000)
        connector = Connector(GitCredentials({}), slow)
        error = refusal(connector.lfs(parse(lfs.url("x.git")), Hurried()), wanted)
    assert error.reason == "unreachable" and "slow" in error.message


def test_a_body_that_falls_silent_is_waited_for_once(lfs: LfsHost, monkeypatch: pytest.MonkeyPatch) -> None:
    waits, next_bytes = [], Response.next_bytes

    def counted(self: Response, most: int) -> memoryview:
        try:
            return next_bytes(self, most)
        except OSError as error:
            waits.append(error)
            raise

    monkeypatch.setattr(Response, "next_bytes", counted)
    lfs.lfs_fault = fault_for(lfs.put(DATA), Fault(stall_at=10))
    connector = Connector(GitCredentials({}), WireLimits(idle_seconds=0.5))
    assert refusal(connector.lfs(parse(lfs.url("x.git")), Hurried())).reason == "unreachable"
    assert len(waits) == 1


@pytest.mark.parametrize(
    "header", [{"Host": "x"}, {"X": "a\r\nB: c"}, {"Content-Length": "1"}, {"X y": "z"}, {"": "z"}]
)
def test_headers_that_would_change_the_request_are_not_sent(lfs: LfsHost, header: dict[str, str]) -> None:
    elsewhere(lfs, lfs.url("object"), header=header)
    assert refusal(source(lfs.url("x.git"))).reason == "unreadable"


def test_what_an_answer_does_not_tell_is_not_there(lfs: LfsHost) -> None:
    lfs.put(DATA)
    lfs.edit = lambda _: {"objects": [{"oid": "../../x", "size": 1}]}
    assert refusal(source(lfs.url("x.git"))).reason == "not-found"
    lfs.edit = lambda _: {"objects": [{"oid": pointer().oid, "size": 1}]}
    assert refusal(source(lfs.url("x.git"))).reason == "not-found"
    lfs.edit = lambda answer: answer | {"transfer": "tus"}
    assert refusal(source(lfs.url("x.git"))).reason == "unreadable"


def test_what_an_answer_calls_null_is_not_said(lfs: LfsHost) -> None:
    lfs.action_header = {}
    lfs.put(DATA)

    def nulls(answer: dict[str, Any]) -> dict[str, Any]:
        for each in answer["objects"]:
            each |= {"error": None, "authenticated": None, "size": None}
            each["actions"]["download"] |= {"header": None, "expires_in": None, "expires_at": None}
            each["actions"]["verify"] = None
        return answer | {"transfer": None}

    lfs.edit = nulls
    assert had(source(lfs.url("x.git")), pointer()) == DATA
    for objects in (None, [{"oid": pointer().oid, "actions": None}]):
        lfs.edit = lambda _, objects=objects: {"objects": objects}
        assert refusal(source(lfs.url("x.git"))).reason == "not-found"
    lfs.edit = lambda _: {"objects": [{"oid": pointer().oid, "error": {"code": 403, "message": None}}]}
    assert refusal(source(lfs.url("x.git"))).reason == "forbidden"


def test_a_server_that_takes_few_at_a_time_is_asked_for_halves(lfs: LfsHost) -> None:
    wanted = [pointer(b"%d" % number) for number in range(7)]
    for number in range(7):
        lfs.put(b"%d" % number)
    answered = lfs.answer
    refused: list[int] = []

    def answer(question: dict[str, object]) -> dict[str, object]:
        objects = question["objects"]
        assert isinstance(objects, list)
        lfs.lfs_fault = None
        refused.append(len(objects))
        return answered(question)

    lfs.answer = answer  # type: ignore[method-assign]
    lfs.lfs_fault = fault_for("batch", Fault(status=413), 1)
    told = source(lfs.url("x.git")).locate(wanted)
    assert list(told) == wanted and refused == [3, 4]
    assert not any(isinstance(each, LfsUnavailable) for each in told.values())


@pytest.mark.parametrize(
    ("origin", "href"),
    [
        ("https://example.org/a/b", "https://example.org/a/b.git/info/lfs"),
        ("https://example.org/a/b.git", "https://example.org/a/b.git/info/lfs"),
        ("https://example.org:8443/a/b/", "https://example.org:8443/a/b.git/info/lfs"),
    ],
)
def test_the_server_beside_an_origin(origin: str, href: str) -> None:
    assert of_origin(parse(origin)).href == href


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("https://git.example.org/lfs", True),
        ("https://lfs.example.org/x", True),
        ("https://evil.example.org/x", False),
        ("https://git.example.org:8443/x", False),
        ("http://git.example.org/x", False),
        ("https://user:secret@git.example.org/x", False),
        ("ssh://git.example.org/x", False),
        ("https://169.254.169.254/x", False),
        ("", False),
    ],
)
def test_a_configured_server_is_used_at_hosts_that_are_known(url: str, used: bool) -> None:
    hosts = frozenset({"lfs.example.org"})
    asked = source("https://git.example.org/x.git", lfs_hosts=hosts)
    assert (asked.configured(url) is None) is used


def test_a_folder_s_own_objects_are_files(tmp_path: Path) -> None:
    wanted = pointer()
    path = tmp_path / ".git" / "lfs" / "objects" / wanted.oid[:2] / wanted.oid[2:4] / wanted.oid
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    asked = source(str(tmp_path))
    assert had(asked, wanted) == DATA
    assert refusal(asked, pointer(b"other")).reason == "not-found"
    assert refusal(asked, pointer(size=3)).reason == "wrong-size"
    path.rename(path.parent / "real")
    path.symlink_to(path.parent / "real")
    assert refusal(asked, wanted).reason == "wrong-size"


def test_a_folder_s_file_that_changes_while_it_is_read_gives_no_more_than_its_pointer_says(
    tmp_path: Path,
) -> None:
    wanted, asked = pointer(), source(str(tmp_path))
    path = tmp_path / ".git" / "lfs" / "objects" / wanted.oid[:2] / wanted.oid[2:4] / wanted.oid
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    told = asked.locate([wanted])[wanted]
    assert not isinstance(told, LfsUnavailable)
    path.write_bytes(DATA * 2)
    pieces: list[bytes] = []
    with pytest.raises(LfsUnavailable, match="grows"):
        told(lambda view: pieces.append(bytes(view)))
    assert pieces == []
    path.unlink()
    os.mkfifo(path)
    told(lambda view: pieces.append(bytes(view)))
    assert pieces == [], "and a pipe that nobody writes to ends at once"


def test_a_copy_into_a_folder_that_fails_leaves_nothing_of_it(tmp_path: Path) -> None:
    wanted, objects = pointer(), tmp_path / ".git" / "lfs" / "objects"
    objects.mkdir(parents=True)
    target = Connector(GitCredentials({}), LIMITS).pusher(parse(str(tmp_path)), Cancel()).lfs()
    refused = target.upload({wanted: Path("/proc/self/mem")})  # it opens, and no byte of it can be read
    assert refused[wanted].reason == "forbidden"
    assert [path for path in objects.rglob("*") if path.is_file()] == []


def test_ssh_says_which_server_and_what_signs_in(tmp_path: Path, lfs: LfsHost) -> None:
    lfs.put(DATA)
    client = tmp_path / "ssh"
    said = f'{{"href": "{lfs.url("x.git")}/info/lfs", "header": {{"Authorization": "RemoteAuth t0ken"}}}}'
    client.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/argv\necho '{said}'\n")
    client.chmod(0o755)
    from snapshotter.transport.ssh import SshClient

    asked = source("git@127.0.0.1:a/x.git", ssh=SshClient(str(client)))
    assert had(asked, pointer()) == DATA
    assert lfs.lfs_requests[0].headers["authorization"] == "RemoteAuth t0ken"
    assert "git-lfs-authenticate 'a/x.git' download" in (tmp_path / "argv").read_text()
