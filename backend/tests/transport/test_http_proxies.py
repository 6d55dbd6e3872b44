"""Smart HTTP. Proxies and TLS."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from githost import Fault, GitHost
from snapshotter.git.pack_frame import pack_objects
from snapshotter.transport import FetchRequest, Transport, WireLimits
from tests.support.httpservers import Proxy, Scripted, Seen, reply
from tests.support.wires import free_port, pack_of
from tests.transport.support import DISCOVERY, SECRET, Hurried, Silence, error_listing, tip, with_secret


@pytest.fixture
def tls_host(root: Path, tls: Path) -> Iterator[GitHost]:
    with GitHost(root, tls=tls) as host:
        yield host


def test_a_private_ca_is_trusted_when_named_and_only_then(
    tls_host: GitHost, tls: Path, connect: Callable[..., Transport]
) -> None:
    transport = connect(tls_host.url("x.git"), ca_bundle=str(tls / "ca.crt"))
    assert len(transport.ls_refs()) == 2
    assert pack_objects(pack_of(transport, FetchRequest([tip(tls_host)]))) == 6
    cancel = Hurried()
    error = error_listing(connect, with_secret(tls_host.url("x.git")), cancel=cancel)
    assert error.code == "tls"
    assert "SNAPSHOTTER_CA_BUNDLE" in error.hint
    assert cancel.naps == []


def test_a_redirect_from_https_to_http_is_not_followed(
    tls_host: GitHost, host: GitHost, tls: Path, connect: Callable[..., Transport]
) -> None:
    target = host.url("x.git") + DISCOVERY
    tls_host.fault = lambda _: Fault(status=302, headers={"Location": target})
    error = error_listing(
        connect, with_secret(tls_host.url("x.git")), ca_bundle=str(tls / "ca.crt"), allow_http=True
    )
    assert error.code == "unsafe-redirect"
    assert host.requests == []


def port_of(host: GitHost) -> int:
    return int(host.url().rpartition(":")[2])


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_http_goes_through_the_proxy_of_the_environment(
    host: GitHost, connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with Proxy(port_of(host)) as proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        transport = connect("http://git.test/x.git", allow_http=True)
        assert len(transport.ls_refs()) == 2
        assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
        assert {request.target.split("/")[2] for request in proxy.seen} == {"git.test"}
        proxy.seen.clear()
        connect(host.url("x.git")).ls_refs()  # this machine needs no proxy
        assert proxy.seen == []


def test_a_proxy_that_opens_a_tunnel_to_nobody_is_given_up(
    connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who answers the proxy's side of the connection, and not TLS, is waited for as long as for any other."""
    silence = Silence()

    def tunnel(_: Seen) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 Connection established\r\n\r\n"
        yield from silence.of(proxy.closing)

    with Scripted(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        limits = WireLimits(connect_seconds=0.5, idle_seconds=0.5)
        assert error_listing(connect, "https://git.test/x.git", limits=limits).code == "stalled"
    assert silence.begun.is_set()
    assert not silence.broken


def test_https_goes_through_the_proxy_in_a_tunnel_with_the_proxys_own_credentials(
    tls_host: GitHost, tls: Path, connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(port_of(tls_host), auth=f"me:{SECRET}@/") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}%40%2F@127.0.0.1:{proxy.port}")
        transport = connect("https://token@git.test/x.git", ca_bundle=str(tls / "ca.crt"))
        assert len(transport.ls_refs()) == 2
        assert {(request.method, request.target) for request in proxy.seen} == {("CONNECT", "git.test:443")}
        assert all("authorization" not in request.headers for request in proxy.seen)
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:wrong-{SECRET}@127.0.0.1:{proxy.port}")
        error = error_listing(connect, "https://token@git.test/x.git", ca_bundle=str(tls / "ca.crt"))
    assert error.code == "proxy"


def test_a_dead_proxy_is_named(connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}@127.0.0.1:{free_port()}")
    error = error_listing(connect, "https://git.test/x.git")
    assert error.code == "proxy"
    assert "HTTPS_PROXY" in error.hint


@pytest.mark.parametrize("secret", [SECRET, "", "x-oauth-basic"])
def test_a_proxy_that_says_its_credential_back_is_hidden_too(
    connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    headers = {"Content-Type": "text/plain", "Proxy-Authenticate": "Basic"}
    body = f"unknown: {SECRET}, {base64.b64encode(f'{SECRET}:{secret}'.encode()).decode()}".encode()
    with Scripted(lambda _: [reply(407, headers, body)]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{SECRET}:{secret}@127.0.0.1:{proxy.port}")
        error = error_listing(connect, "http://git.test/x.git", allow_http=True)
        assert "proxy-authorization" in proxy.seen[0].headers
    assert error.code == "proxy"
    assert error.details[0].startswith("remote: unknown: ***, ***")


def test_no_proxy_is_honoured(connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "git.test")
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    assert error_listing(connect, "https://git.test/x.git").code == "no-such-host"
