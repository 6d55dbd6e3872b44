"""A listing that is asked for beside the server's introduction, and counts where that leads to the same request."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from githost import Fault, GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable
from snapshotter.base.kept_threads import started
from snapshotter.git.origin import Credential
from snapshotter.git.origin_parsing import parse
from snapshotter.git.refs import RefListing
from snapshotter.transport import WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from snapshotter.transport.turns import HostTurns
from tests.support.git import Origin
from tests.support.httpservers import (
    ADVERTISEMENT,
    RESULT,
    Scripted,
    Seen,
    advertisement,
    pkt,
    read_request,
    reply,
)
from tests.transport.support import DISCOVERY, SECRET, Hurried, Silence

PATIENCE = 30.0  # seconds after which what should come counts as never coming
LS_REFS = "/x.git/git-upload-pack#ls-refs"
REFS = pkt(b"%040d refs/heads/main\n" % 7) + b"0000"
AS_GIT = (b"agent=git/2", b"ls-refs=unborn", b"fetch=filter shallow", b"object-format=sha1")
OTHERS = pkt(b"%040d refs/heads/main\n" % 8) + b"0000"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    Origin(tmp_path / "srv" / "x.git").commit()
    with GitHost(tmp_path / "srv") as host:
        yield host


def listed(url: str, cancel: Cancel | None = None, connect: Connector | None = None) -> RefListing:
    connect = connect or Connector(GitCredentials({}), WireLimits(idle_seconds=PATIENCE))
    with closing(connect.ahead(parse(url), cancel or Cancel())) as transport:
        return transport.ls_refs()


def in_order(host: GitHost) -> RefListing:
    with closing(Connector(GitCredentials({}))(parse(host.url("x.git")), Cancel())) as transport:
        return transport.ls_refs()


def paths(host: GitHost) -> list[str]:
    return [request.path for request in host.requests]


def test_both_are_asked_at_once_and_nothing_else(host: GitHost) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)
    host.fault = lambda _: both.wait() and None
    assert listed(host.url("x.git")).oids
    assert sorted(paths(host)) == [LS_REFS, f"/x.git{DISCOVERY}"]


def test_that_there_are_no_refs_is_an_answer_too(tmp_path: Path) -> None:
    Origin(tmp_path / "srv" / "x.git")
    with GitHost(tmp_path / "srv") as host:
        assert not listed(host.url("x.git")).oids
        assert sorted(paths(host)) == [LS_REFS, f"/x.git{DISCOVERY}"]


def test_it_is_the_listing_that_would_have_been_asked_for(host: GitHost) -> None:
    origin = Origin.at(host.root / "x.git")
    origin.git("tag", "-a", "-m", "one", "v1", "refs/heads/main")
    assert listed(host.url("x.git")) == in_order(host)


@pytest.mark.parametrize("kind", ["v0", "sha256", "empty"])
def test_servers_that_want_another_request(tmp_path: Path, kind: str) -> None:
    origin = Origin(tmp_path / "srv" / "x.git", object_format="sha256" if kind == "sha256" else "sha1")
    if kind != "empty":
        origin.commit()
    with GitHost(tmp_path / "srv", v0=kind == "v0") as host:
        assert listed(host.url("x.git")) == in_order(host)


@pytest.mark.parametrize(
    "spoilt",
    [
        Fault(status=500),
        Fault(status=404),
        Fault(status=403),
        Fault(cut_at=20),
        Fault(body=b"x"),
        Fault(flip_at=2),
    ],
)
def test_a_wrong_answer_is_asked_for_again(host: GitHost, spoilt: Fault) -> None:
    left = [spoilt]
    host.fault = lambda path: left.pop() if "ls-refs" in path and left else None
    assert listed(host.url("x.git")) == in_order(host)
    assert not left


def test_nobody_waits_for_an_answer_that_does_not_count() -> None:
    silence, closing_down = Silence(), threading.Event()

    def answer(request: Seen) -> Iterable[bytes]:
        if request.method == "GET":
            assert silence.begun.wait(PATIENCE)
            words = advertisement(b"ls-refs", b"fetch")  # tells neither format nor unborn heads
            return [reply(200, {"Content-Type": ADVERTISEMENT}, words)]
        if b"object-format" in request.body:
            return silence.of(closing_down)
        return [reply(200, {"Content-Type": RESULT}, REFS)]

    with Scripted(answer) as server:
        assert dict(listed(server.url()).oids) == {b"refs/heads/main": f"{7:040d}"}
        assert not closing_down.is_set()
        closing_down.set()
    assert not silence.broken


def test_an_answer_counts_only_if_the_server_leads_to_its_request() -> None:
    def answer(request: Seen) -> Iterable[bytes]:
        if request.method == "GET":
            words = advertisement(b"ls-refs", b"fetch", b"object-format=sha1")
            return [reply(200, {"Content-Type": ADVERTISEMENT}, words)]
        return [reply(200, {"Content-Type": RESULT}, OTHERS if b"unborn" in request.body else REFS)]

    with Scripted(answer) as server:
        assert dict(listed(server.url()).oids) == {b"refs/heads/main": f"{7:040d}"}


@pytest.mark.parametrize("both", [True, False])
def test_a_cancellation_ends_what_is_under_way(host: GitHost, both: bool) -> None:
    cancel, begun = Cancel(), threading.Event()

    def stall(path: str) -> Fault | None:
        if "ls-refs" in path:
            begun.set()
            return Fault(stall_at=0)
        return Fault(stall_at=0) if both else None

    host.fault = stall

    def interrupt() -> None:
        begun.wait(PATIENCE)
        while not any("info/refs" in path for path in paths(host)):
            time.sleep(0.01)
        time.sleep(0.3)  # by then it waits for the listing alone, if for that
        cancel.cancel()

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted):
        listed(host.url("x.git"), cancel, Connector(GitCredentials({}), WireLimits(idle_seconds=3600)))
    assert come_down_to(host, 0 if both else 1)


def come_down_to(host: GitHost, connections: int) -> bool:
    """Whether no more connections are open, in time."""
    for _ in range(int(PATIENCE / 0.05)):
        if host.open_now <= connections:
            return True
        time.sleep(0.05)
    return False


def test_an_answer_that_does_not_count_is_let_go(tmp_path: Path, host: GitHost) -> None:
    host.config["lsrefs.unborn"] = "ignore"
    begun = threading.Event()

    def fault(path: str) -> Fault | None:
        if "ls-refs" in path and not begun.is_set():
            begun.set()
            return Fault(stall_at=0)
        if "info/refs" in path:
            assert begun.wait(PATIENCE)
        return None

    host.fault = fault
    assert listed(host.url("x.git")) == in_order(host)
    assert come_down_to(host, 1)
    assert paths(host).count(LS_REFS) == 3


def test_it_is_tried_once() -> None:
    def answer(request: Seen) -> Iterable[bytes]:
        if request.method == "GET":
            words = advertisement(b"agent=x", b"ls-refs=unborn", b"fetch", b"object-format=sha1")
            return [reply(200, {"Content-Type": ADVERTISEMENT}, words)]
        return []

    with Scripted(answer) as server, pytest.raises(Unavailable):
        listed(server.url(), Hurried())
    assert [request.method for request in server.seen].count("POST") == 1 + 4


def test_a_host_that_it_is_nothing_for_is_asked_so_once(host: GitHost) -> None:
    host.v0 = True
    with closing(Connector(GitCredentials({})).ahead(parse(host.url("x.git")), Cancel())) as transport:
        transport.ls_refs()
        transport.ls_refs()
    assert len(host.requests) <= 3
    assert paths(host).count(f"/x.git{DISCOVERY}") == 2


def test_a_credential_that_is_there_goes_with_both(host: GitHost) -> None:
    host.basic = ("someone", SECRET)
    url = host.url("x.git").replace("://", f"://someone:{SECRET}@")
    assert listed(url).oids
    assert len(host.requests) == 2
    assert {request.status for request in host.requests} == {200}


class Asking:
    """Has a credential only once it was refused."""

    def __init__(self) -> None:
        self.asked = self.first = 0

    def initial(self, _: object) -> None:
        self.first += 1

    def after_refusal(self, _: object, refused: Credential | None) -> Credential | None:
        self.asked += 1
        return None if refused else Credential("someone", SECRET)


def test_a_credential_is_looked_for_once_where_both_are_refused(host: GitHost) -> None:
    host.basic, asking = ("someone", SECRET), Asking()
    assert listed(host.url("x.git"), connect=Connector(asking)).oids  # type: ignore[arg-type]
    assert (asking.first, asking.asked) == (1, 1)


def test_where_requests_are_counted_they_follow_one_another(host: GitHost) -> None:
    turns = HostTurns(1)
    listed(host.url("x.git"), connect=Connector(GitCredentials({})).with_turns(turns))
    assert paths(host) == [f"/x.git{DISCOVERY}", LS_REFS]
    assert turns.requests == 2


def test_through_a_proxy_they_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def answer(request: Seen) -> Iterable[bytes]:
        seen.append(request.method)
        kind, body = (ADVERTISEMENT, advertisement()) if request.method == "GET" else (RESULT, REFS)
        return [reply(200, {"Content-Type": kind}, body)]

    with Scripted(answer) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        connect = Connector(GitCredentials({}), allow_http=True)
        assert listed("http://far.example/x.git", connect=connect).oids
    assert seen == ["GET", "POST"]


def test_a_host_of_one_connection_after_another_is_listed(host: GitHost) -> None:
    host.serial = True
    assert listed(host.url("x.git")) == in_order(host)


def test_an_answer_does_not_count_where_the_server_led_elsewhere() -> None:
    """Only the first of the two requests is redirected, and the refs at the old place are others."""

    def answer(request: Seen) -> Iterable[bytes]:
        old = request.target.startswith("/x.git")
        if request.method == "POST":
            return [reply(200, {"Content-Type": RESULT}, OTHERS if old else REFS)]
        if old:
            return [reply(301, {"Location": f"/new.git{DISCOVERY}"})]
        return [reply(200, {"Content-Type": ADVERTISEMENT}, advertisement(*AS_GIT))]

    with Scripted(answer) as server:
        assert dict(listed(server.url()).oids) == {b"refs/heads/main": f"{7:040d}"}


def test_an_answer_to_nobody_does_not_count_for_who_had_to_sign_in() -> None:
    """The server shows a stranger other refs."""

    def answer(request: Seen) -> Iterable[bytes]:
        known = "authorization" in request.headers
        if request.method == "POST":
            return [reply(200, {"Content-Type": RESULT}, REFS if known else OTHERS)]
        if not known:
            return [reply(401, {"WWW-Authenticate": "Basic"})]
        return [reply(200, {"Content-Type": ADVERTISEMENT}, advertisement(*AS_GIT))]

    with Scripted(answer) as server:
        connect = Connector(Asking())  # type: ignore[arg-type]
        assert dict(listed(server.url(), connect=connect).oids) == {b"refs/heads/main": f"{7:040d}"}


def test_a_host_of_one_connection_that_comes_to_the_introduction_first() -> None:
    """Whose connection it then keeps, for another request."""

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.git"
        answered: list[str] = []

        def host() -> None:
            words, asked = advertisement(*AS_GIT), dict[str, tuple[Seen | None, socket.socket, Any]]()
            for _ in range(2):
                connection, _ = listener.accept()
                stream = connection.makefile("rb")
                request = read_request(stream)
                assert request is not None
                asked[request.method] = request, connection, stream
            for request, connection, stream in (asked["GET"], asked["POST"]):
                while request is not None:  # until the client hangs up
                    answered.append(request.method)
                    kind, body = (RESULT, REFS) if request.method == "POST" else (ADVERTISEMENT, words)
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
                    connection.sendall(b"%b%x\r\n%b\r\n0\r\n\r\n" % (head.encode(), len(body), body))
                    request = read_request(stream)
                stream.close()
                connection.close()

        serving, connect = started(host), Connector(GitCredentials({}), WireLimits(idle_seconds=PATIENCE))
        assert listed(url, connect=connect).oids
        connect.let_go()
        serving.result(PATIENCE)
    assert answered == ["GET", "POST"]
