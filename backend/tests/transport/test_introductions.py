"""What a host's server told once is not asked again for its other repositories, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from githost import Fault, GitHost
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable
from snapshotter.git.origin_parsing import parse
from snapshotter.git.pack_frame import pack_objects
from snapshotter.git.refs import RefListing
from snapshotter.transport import FetchRequest, OriginBusy, OriginNotFound, Transport, v2
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from snapshotter.transport.introductions import HeardServers, Introduction
from tests.support.git import Origin
from tests.transport.support import DISCOVERY, Hurried

FETCH = "/git-upload-pack#fetch"
LS_REFS = "/git-upload-pack#ls-refs"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    for name in ("a", "b", "c"):
        Origin(tmp_path / "srv" / f"{name}.git").commit(message=name)
    with GitHost(tmp_path / "srv") as host:
        yield host


@pytest.fixture
def opened(host: GitHost) -> Iterator[Callable[[str], Transport]]:
    """Opens transports to the host's repositories, by one connector that has heard `a`."""
    connect, transports = Connector(GitCredentials({})), list[Transport]()

    def opened(name: str) -> Transport:
        transports.append(connect(parse(host.url(f"{name}.git")), Hurried()))
        return transports[-1]

    opened("a").ls_refs()
    host.requests.clear()
    yield opened
    for transport in transports:
        transport.close()
    connect.let_go()


def paths(host: GitHost) -> list[str]:
    return [request.path for request in host.requests]


def alone(host: GitHost, name: str) -> RefListing:
    """The refs as a transport lists them that has heard nothing."""
    with closing(Connector(GitCredentials({}))(parse(host.url(f"{name}.git")), Cancel())) as transport:
        return transport.ls_refs()


def test_the_next_repository_of_a_host_is_listed_by_one_request(
    host: GitHost, opened: Callable[[str], Transport]
) -> None:
    listed = opened("b").ls_refs()
    assert paths(host) == [f"/b.git{LS_REFS}"]
    assert listed == alone(host, "b")


def test_one_without_refs_is_listed_by_one_request(host: GitHost, opened: Callable[[str], Transport]) -> None:
    Origin(host.root / "empty.git")
    assert not opened("empty").ls_refs().oids
    assert paths(host) == [f"/empty.git{LS_REFS}"]


def test_what_one_connector_heard_another_knows_that_shares_its_connections(host: GitHost) -> None:
    first = Connector(GitCredentials({}))
    second = Connector(GitCredentials({})).beside(first)
    for connect, name in ((first, "a"), (second, "b")):
        with closing(connect(parse(host.url(f"{name}.git")), Cancel())) as transport:
            transport.ls_refs()
    assert len(host.requests) == 3
    first.let_go()


def test_a_pack_that_is_not_filtered_is_asked_for_without_more(
    host: GitHost, opened: Callable[[str], Transport]
) -> None:
    transport = opened("b")
    tip, pack = next(iter(transport.ls_refs().oids.values())), bytearray()
    transport.fetch(FetchRequest([tip]), pack.extend)
    with closing(transport.fork()) as fork:
        fork.fetch(FetchRequest([tip]), lambda _: None)
    assert paths(host) == [f"/b.git{LS_REFS}", *[f"/b.git{FETCH}"] * 2]
    mirror = Origin(host.root / "mirror.git")
    mirror.index(bytes(pack))
    assert mirror.objects(tip) == Origin.at(host.root / "b.git").objects(tip)


def test_its_server_is_asked_what_it_can_do_before_a_filtered_fetch_once_for_all_forks(
    host: GitHost, opened: Callable[[str], Transport]
) -> None:
    transport = opened("b")
    tip = next(iter(transport.ls_refs().oids.values()))
    transports = [transport, *(transport.fork() for _ in range(4))]

    def fetched(each: Transport) -> int:
        pack = bytearray()
        each.fetch(FetchRequest([tip], filter="blob:none"), pack.extend)
        return len(pack)

    with ThreadPoolExecutor(5) as pool:
        assert all(size > 100 for size in pool.map(fetched, transports))
    assert paths(host).count(f"/b.git{DISCOVERY}") == 1
    assert len(host.requests) == 1 + 1 + 5
    for each in transports[1:]:
        each.close()


def test_listing_again_after_an_error_is_as_sound(host: GitHost, opened: Callable[[str], Transport]) -> None:
    transport = opened("b")
    transport.ls_refs()
    with pytest.raises(SnapshotterError):
        transport.fetch(FetchRequest(["1" * 40]), lambda _: None)
    tip = Origin.at(host.root / "b.git").commit()
    host.requests.clear()
    transport.fetch(FetchRequest([tip]), lambda _: None)
    assert paths(host) == [f"/b.git{DISCOVERY}", f"/b.git{FETCH}"], "nothing is presumed any more"
    assert transport.ls_refs() == alone(host, "b")


@pytest.mark.parametrize("old", [True, False])
def test_what_is_fetched_from_a_server_unlike_its_host_s_others(
    host: GitHost, opened: Callable[[str], Transport], *, old: bool
) -> None:
    """Another object format, or one behind the same name that speaks v0."""
    origin = Origin(host.root / "other.git", object_format="sha1" if old else "sha256")
    origin.commit()
    host.v0 = old
    transport, pack = opened("other"), bytearray()
    tip = next(iter(transport.ls_refs().oids.values()))
    with closing(transport.fork()) as fork:
        for each in (transport, fork):
            pack.clear()
            each.fetch(FetchRequest([tip]), pack.extend)
            assert pack_objects(pack) == 3


def test_another_object_format_is_seen_and_the_host_then_asked_each_time(
    host: GitHost, opened: Callable[[str], Transport]
) -> None:
    Origin(host.root / "long.git", object_format="sha256").commit()
    Origin(host.root / "empty.git", object_format="sha256")
    for name in ("long", "empty"):
        listed = opened(name).ls_refs()
        assert listed.object_format == "sha256"
        assert listed == alone(host, name)
    host.requests.clear()
    opened("b").ls_refs()
    assert paths(host) == [f"/b.git{DISCOVERY}", f"/b.git{LS_REFS}"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, AccessDenied), (404, OriginNotFound), (410, OriginNotFound), (400, Unavailable)],
)
def test_a_refusal_is_the_same_error(
    host: GitHost, opened: Callable[[str], Transport], status: int, error: type[SnapshotterError]
) -> None:
    host.fault = lambda path: Fault(status=status) if path.startswith("/b.git") else None
    with pytest.raises(error) as heard:
        opened("b").ls_refs()
    with pytest.raises(error) as unheard:
        alone(host, "b")
    assert heard.value.as_dict() == unheard.value.as_dict()
    host.requests.clear()
    opened("c").ls_refs()
    assert paths(host) == [f"/c.git{LS_REFS}"], "it was the repository, not the host"


def test_a_redirect_is_followed_where_it_is_for_the_first_request(
    host: GitHost, opened: Callable[[str], Transport]
) -> None:
    def moved(path: str) -> Fault | None:
        if not path.startswith("/old.git"):
            return None
        return Fault(status=301, headers={"Location": host.url("b.git" + path.removeprefix("/old.git"))})

    host.fault = moved
    transport = opened("old")
    assert transport.ls_refs() == alone(host, "b")
    host.requests.clear()
    transport.ls_refs()
    assert paths(host) == [f"/b.git{LS_REFS}"], "and the redirect is not asked for again"


def test_a_host_is_not_known_by_a_server_that_it_redirected_to(host: GitHost) -> None:
    connect = Connector(GitCredentials({}))
    with GitHost(host.root) as front:
        front.fault = lambda path: Fault(status=302, headers={"Location": host.url(path[1:])})
        for name in ("a", "b"):
            with closing(connect(parse(front.url(f"{name}.git")), Cancel())) as transport:
                transport.ls_refs()
        assert paths(front) == [f"/a.git{DISCOVERY}", f"/b.git{DISCOVERY}"]
    connect.let_go()


@pytest.mark.parametrize("spoilt", [Fault(flip_at=2), Fault(status=200, body=b"hello")])
def test_an_answer_that_breaks_the_protocol_is_asked_for_in_order(
    host: GitHost, opened: Callable[[str], Transport], spoilt: Fault
) -> None:
    left = [spoilt]
    host.fault = lambda _: left.pop() if left else None
    assert opened("b").ls_refs() == alone(host, "b")
    assert paths(host)[:3] == [f"/b.git{LS_REFS}", f"/b.git{DISCOVERY}", f"/b.git{LS_REFS}"]


def test_a_host_that_is_busy_is_not_asked_in_another_way(
    host: GitHost, opened: Callable[[str], Transport]
) -> None:
    host.fault = lambda _: Fault(status=429, headers={"Retry-After": "0"})
    with pytest.raises(OriginBusy):
        opened("b").ls_refs()
    assert {*paths(host)} == {f"/b.git{LS_REFS}"}


def test_a_host_of_the_old_protocol_is_asked_as_before(host: GitHost) -> None:
    host.v0 = True
    connect = Connector(GitCredentials({}))
    for name in ("a", "b"):
        with closing(connect(parse(host.url(f"{name}.git")), Cancel())) as transport:
            assert transport.ls_refs().oids
    assert paths(host) == [f"/a.git{DISCOVERY}", f"/b.git{DISCOVERY}"]
    connect.let_go()


def test_what_a_host_tells_of_itself_is_not_kept() -> None:
    heard = HeardServers()
    told = {
        "agent": "x" * 60_000,
        "object-format": "sha1",
        "ls-refs": "unborn " + "y" * 60_000,
        "fetch": "filter",
    }
    heard.heard("https://h", v2.Server(told))
    kept = heard.of("https://h")
    assert kept is not None
    assert sum(map(len, (*kept.capabilities, *kept.capabilities.values()))) < 100
    assert v2.ls_refs(kept, b"a") == v2.ls_refs(v2.Server(told), b"a")
    assert heard.of("https://other") is None
    assert heard.of(None) is None


def test_an_introduction_that_failed_is_asked_for_by_the_next() -> None:
    introduction, server = Introduction(), v2.Server({"fetch": ""})

    def fail() -> v2.Server:
        raise Unavailable("no", hint="none")

    with pytest.raises(Unavailable):
        introduction.had_from(fail)
    assert introduction.had_from(lambda: server) is server
    assert introduction.had_from(fail) is server
