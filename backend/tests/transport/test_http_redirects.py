"""Smart HTTP. Redirects: followed where it is safe, and without credentials to another host."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from githost import GitHost
from snapshotter.git.pack_frame import pack_objects
from snapshotter.transport import FetchRequest, Transport
from tests.support.httpservers import RESULT, Proxy, Scripted, Seen, reply, v2_server
from tests.support.wires import pack_of
from tests.transport.support import DISCOVERY, SECRET, error_listing, tip, with_secret


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
        ("", "redirects"),
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
