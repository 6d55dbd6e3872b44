"""Smart HTTP. Hosts that are not there, that do not want us, or that are in trouble for a while."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from githost import Fault, GitHost
from snapshotter.base.errors import UsageError
from snapshotter.transport import Transport
from tests.support.wires import free_port
from tests.transport.support import DISCOVERY, SECRET, Hurried, error_listing, error_of, with_secret


def test_no_such_host(connect: Callable[..., Transport], monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    cancel = Hurried()
    error = error_listing(connect, f"https://user:{SECRET}@git.test/x.git", cancel=cancel)
    assert (error.code, error.exit_code) == ("no-such-host", 4)
    assert "git.test" in error.message
    assert cancel.naps == []  # no use in trying again


def test_connection_refused(connect: Callable[..., Transport]) -> None:
    cancel = Hurried()
    error = error_listing(connect, with_secret(f"http://127.0.0.1:{free_port()}/x.git"), cancel=cancel)
    assert (error.code, error.exit_code) == ("no-connection", 4)
    assert len(cancel.naps) == 3
    assert cancel.naps == sorted(cancel.naps)


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "origin-denied", 5),
        (403, "origin-denied", 5),
        (404, "origin-not-found", 4),
        (410, "origin-not-found", 4),
        (418, "origin-http", 4),
    ],
)
@pytest.mark.parametrize("path", [DISCOVERY, "#ls-refs"])
@pytest.mark.parametrize("credential", ["", f"user:{SECRET}@"])
def test_refusals_by_status(
    host: GitHost,
    connect: Callable[..., Transport],
    status: int,
    code: str,
    exit_code: int,
    path: str,
    credential: str,
) -> None:
    host.fault = lambda label: Fault(status=status, body=b"<html/>") if label.endswith(path) else None
    error = error_listing(connect, host.url("x.git").replace("//", f"//{credential}"))
    assert (error.code, error.exit_code) == (code, exit_code)
    assert "127.0.0.1" in error.message
    if status in (401, 403):
        assert ("was refused" if credential else "SNAPSHOTTER_GIT_TOKEN") in error.hint


def test_plain_http_to_another_machine_needs_leave(connect: Callable[..., Transport]) -> None:
    assert isinstance(error_of(connect, f"http://user:{SECRET}@git.test/x.git"), UsageError)


# Trying again


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_trouble_at_the_host_is_tried_again(
    host: GitHost, connect: Callable[..., Transport], status: int
) -> None:
    left = [Fault(status=status, body=b"busy"), Fault(status=status, body=b"busy")]
    host.fault = lambda _: left.pop() if left else None
    cancel = Hurried()
    assert len(connect(host.url("x.git"), cancel=cancel).ls_refs()) == 2
    assert len(cancel.naps) == 2
    assert 0.5 <= cancel.naps[0] <= 1 <= cancel.naps[1] <= 2


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("86400", 60, 60),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.5, 1),
        ("\xb2", 0.5, 1),
    ],
)
def test_retry_after_is_kept_within_reason(
    host: GitHost, connect: Callable[..., Transport], asked: str, least: float, most: float
) -> None:
    left = [Fault(status=503, headers={"Retry-After": asked})]
    host.fault = lambda _: left.pop() if left else None
    cancel = Hurried()
    connect(host.url("x.git"), cancel=cancel).ls_refs()
    (nap,) = cancel.naps
    assert least <= nap <= most


def test_it_gives_up_in_the_end(host: GitHost, connect: Callable[..., Transport]) -> None:
    host.fault = lambda _: Fault(status=503)
    cancel = Hurried()
    error = error_listing(connect, with_secret(host.url("x.git")), cancel=cancel)
    assert (error.code, len(host.requests), len(cancel.naps)) == ("origin-http", 4, 3)
