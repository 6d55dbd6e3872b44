"""Smart HTTP. Redirects: followed where it is safe, and without credentials to another host."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

import pytest

from githost import Fault, GitHost
from snapshotter.git.pack_frame import pack_objects
from snapshotter.transport import FetchRequest, Transport, WireLimits
from snapshotter.transport.zones import Zone, zone_of
from tests.support.httpservers import RESULT, Proxy, Scripted, Seen, reply, v2_server
from tests.support.wires import pack_of
from tests.transport.support import DISCOVERY, SECRET, Silence, error_listing, error_of, tip, with_secret


def redirecting(to: str, status: int = 302) -> Callable[[Seen], Iterable[bytes]]:
    return lambda _: [reply(status, {"Location": to})]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_requests_go_to_its_end(
    host: GitHost, connect: Callable[..., Transport], status: int
) -> None:
    with Scripted(redirecting(host.url("x.git") + DISCOVERY, status)) as old:
        transport = connect(old.url("old.git"))
        assert len(transport.ls_refs()) == 2
        assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
    assert len(old.seen) == 1


def test_a_redirect_on_one_host_takes_no_other_connection(
    host: GitHost, connect: Callable[..., Transport]
) -> None:
    new = host.url("x.git") + DISCOVERY
    host.fault = lambda path: (
        Fault(status=301, headers={"Location": new}, body=b"moved\n" * 100)
        if path.startswith("/old")
        else None
    )
    assert len(connect(host.url("old.git")).ls_refs()) == 2
    assert (len(host.requests), host.connections) == (3, 1)


def test_a_redirect_that_says_much_is_not_heard_out(host: GitHost, connect: Callable[..., Transport]) -> None:
    new = host.url("x.git") + DISCOVERY
    host.fault = lambda path: (
        Fault(status=301, headers={"Location": new}, body=b"x" * 100_000) if path.startswith("/old") else None
    )
    assert len(connect(host.url("old.git")).ls_refs()) == 2
    assert (len(host.requests), host.connections) == (3, 2)


def test_a_redirect_that_does_not_end_is_not_heard_out(
    host: GitHost, connect: Callable[..., Transport]
) -> None:
    silence = Silence()

    def answer(_: Seen) -> Iterable[bytes]:
        yield reply(301, {"Location": host.url("x.git") + DISCOVERY}, b"x" * 10)[:-5]
        yield from silence.of(old.closing)

    with Scripted(answer) as old:
        assert len(connect(old.url(), limits=WireLimits(idle_seconds=60)).ls_refs()) == 2
    assert silence.begun.is_set()
    assert not silence.broken


def test_credentials_stay_on_their_host(connect: Callable[..., Transport]) -> None:
    with Scripted(v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, b"0000")])) as other:
        with Scripted(redirecting(other.url() + DISCOVERY)) as own:
            connect(with_secret(own.url())).ls_refs()
        assert "authorization" in own.seen[0].headers
        assert [request.method for request in other.seen] == ["GET", "POST"]
        assert all("authorization" not in request.headers for request in other.seen)
        other.answer = lambda _: [reply(401, {"WWW-Authenticate": "Basic"})]
        other.seen.clear()
        with Scripted(redirecting(other.url() + DISCOVERY)) as own:
            error_listing(connect, with_secret(own.url()))
        assert [dict(request.headers).get("authorization") for request in other.seen] == [None]


def test_a_redirect_on_its_own_host_keeps_the_credentials(connect: Callable[..., Transport]) -> None:
    def answer(request: Seen) -> Iterable[bytes]:
        if request.target.startswith("/old"):
            return [reply(301, {"Location": f"/new.git{DISCOVERY}"})]
        return v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, b"0000")])(request)

    with Scripted(answer) as server:
        connect(with_secret(server.url("old.git"))).ls_refs()
    assert [request.target.split("/")[1] for request in server.seen] == ["old.git", "new.git", "new.git"]
    assert all("authorization" in request.headers for request in server.seen)


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://git.test/x.git" + DISCOVERY, "unsafe-redirect"),  # plain http to another machine
        ("file:///etc/passwd", "unsafe-redirect"),
        ("ftp://127.0.0.1/x" + DISCOVERY, "unsafe-redirect"),
        (f"http://user:{SECRET}@127.0.0.1/x.git" + DISCOVERY, "unsafe-redirect"),
        (f"http://:{SECRET}@127.0.0.1/x.git" + DISCOVERY, "unsafe-redirect"),
        ("http://[::1/x.git" + DISCOVERY, "unsafe-redirect"),
        ("http://127.0.0.1:99999/x.git" + DISCOVERY, "unsafe-redirect"),
        ("https:///x.git" + DISCOVERY, "unsafe-redirect"),
        ("/login?next=x", "origin-denied"),
        ("", "origin-http"),  # to nowhere: there is nothing to follow
    ],
)
def test_redirects_that_are_not_followed(connect: Callable[..., Transport], location: str, code: str) -> None:
    with Scripted(redirecting(location)) as server:
        error = error_listing(connect, with_secret(server.url()))
    assert error.code == code
    assert len(server.seen) <= 6


def test_a_redirect_of_a_post_is_not_followed(connect: Callable[..., Transport]) -> None:
    with Scripted(v2_server(redirecting("/elsewhere"))) as server:
        assert error_listing(connect, server.url()).code == "origin-http"
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "inward",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "169.254.169.254",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[fe80::1]",
        "10.1.2.3",
        "192.168.0.1",
        "[fd00:ec2::254]",
        "LOCALHOST.",
    ],
)
def test_a_redirect_inwards_is_not_followed(
    connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, inward: str
) -> None:
    with Scripted(redirecting(f"http://{inward}/x.git{DISCOVERY}")) as outside, Proxy(outside.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        error = error_listing(connect, "http://git.test/x.git", allow_http=True)
    assert error.code == "unsafe-redirect"
    assert len(proxy.seen) == 1


# Where a name leads


def looked_up(zone: str) -> Callable[..., list[tuple[object, ...]]]:
    """A resolver by which every name is at `zone` when it is asked where it is, and at this machine to connect to."""

    def lookup(host: str, port: int | None, *_: object, **__: object) -> list[tuple[object, ...]]:
        address = zone if port is None else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))]

    return lookup


@pytest.mark.parametrize(
    ("origin", "followed"),
    [("93.184.216.34", False), ("10.1.2.3", False), ("169.254.9.9", False), ("127.0.0.9", True)],
)
def test_a_redirect_to_a_name_of_this_machine_is_followed_only_from_it(
    connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, origin: str, followed: bool
) -> None:
    """What counts is the address that is connected to: another lookup may have another answer."""
    monkeypatch.setattr(socket, "getaddrinfo", looked_up(origin))
    with Scripted(v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, b"0000")])) as inside:
        with Scripted(redirecting(inside.url(host="inward.test") + DISCOVERY)) as outside:
            transport = connect(outside.url(host="origin.test"), allow_http=True)
            if followed:
                assert len(transport.ls_refs()) == 0
            else:
                error = error_of(transport.ls_refs)
                assert error.code == "unsafe-redirect"
                assert "inward.test is 127.0.0.1" in error.message
        assert bool(inside.seen) is followed


def test_an_origin_may_redirect_within_its_own_host(
    connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", looked_up("93.184.216.34"))
    new = Scripted(v2_server(lambda _: [reply(200, {"Content-Type": RESULT}, b"0000")]))
    with new, Scripted(redirecting(new.url(host="origin.test") + DISCOVERY)) as old:
        assert len(connect(old.url(host="origin.test"), allow_http=True).ls_refs()) == 0


@pytest.mark.parametrize("inward", ["127.0.0.1", "localhost", "169.254.169.254"])
def test_a_private_origin_is_not_let_into_this_machine_or_its_link(
    connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, inward: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", looked_up("10.1.2.3"))
    with Scripted(redirecting(f"http://{inward}/x.git{DISCOVERY}")) as outside:
        error = error_listing(connect, outside.url(host="origin.test"), allow_http=True)
    assert error.code == "unsafe-redirect"


@pytest.mark.parametrize(
    ("host", "zone"),
    [
        ("93.184.216.34", Zone.WORLD),
        ("2606:2800:220:1::1", Zone.WORLD),
        ("10.0.0.1", Zone.PRIVATE),
        ("100.64.0.1", Zone.PRIVATE),
        ("fd00::1", Zone.PRIVATE),
        ("169.254.169.254", Zone.LINK),
        ("fe80::1%eth0", Zone.LINK),
        ("127.1", Zone.MACHINE),
        ("::", Zone.MACHINE),
        ("::ffff:127.0.0.1", Zone.MACHINE),
        ("x.localhost", Zone.MACHINE),
        ("git.test", None),
    ],
)
def test_the_zone_of_an_address(host: str, zone: Zone | None) -> None:
    assert zone_of(host) is zone
