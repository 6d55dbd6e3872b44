"""Smart HTTP. Credentials: sent as the host wants them, asked for again, and never shown."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from githost import Fault, GitHost
from snapshotter.base.errors import AccessDenied
from snapshotter.base.settings import Settings
from snapshotter.git.pack_frame import pack_objects
from snapshotter.transport import FetchRequest, Transport
from snapshotter.transport.credentials import GitCredentials
from tests.support.wires import pack_of
from tests.transport.support import SECRET, error_listing, error_of, tip, with_secret


def token_command(folder: Path, *tokens: str) -> str:
    """A command that prints one token after the other, the last one for ever; and how often it was asked."""
    script = folder / "tokens.py"
    script.write_text(
        "import pathlib, sys\n"
        f"at = pathlib.Path({str(folder / 'asked')!r})\n"
        "n = int(at.read_text()) if at.exists() else 0\n"
        "at.write_text(str(n + 1))\n"
        f"tokens = {tokens!r}\n"
        "print(tokens[min(n, len(tokens) - 1)])\n"
    )
    return shlex.join([sys.executable, "-S", str(script)])


def asked(folder: Path) -> int:
    return int((folder / "asked").read_text())


def test_signing_in_and_trying_again_take_no_other_connection(
    root: Path, connect: Callable[..., Transport]
) -> None:
    busy = [False, True, False]
    with GitHost(root, bearer=SECRET) as host:
        host.fault = lambda _: Fault(status=503, body=b"busy") if busy.pop() else None
        credentials = GitCredentials({"SNAPSHOTTER_GIT_TOKEN": SECRET})
        assert len(connect(host.url("x.git"), credentials=credentials).ls_refs()) == 2
        assert [request.status for request in host.requests] == [401, 200, 503, 200]
        assert host.connections == 1


@pytest.mark.parametrize(
    ("server", "settings"),
    [
        ({"basic": ("x-access-token", SECRET)}, {"SNAPSHOTTER_GIT_TOKEN": SECRET}),
        ({"basic": ("me", SECRET)}, {"SNAPSHOTTER_GIT_TOKEN": f"me:{SECRET}"}),
        ({"basic": ("oauth2", SECRET)}, {"SNAPSHOTTER_GIT_TOKEN": SECRET, "SNAPSHOTTER_GIT_USER": "oauth2"}),
        ({"bearer": SECRET}, {"SNAPSHOTTER_GIT_TOKEN": SECRET, "SNAPSHOTTER_GIT_AUTH": "bearer"}),
        ({"bearer": SECRET}, {"SNAPSHOTTER_GIT_TOKEN": SECRET}),  # as the server's challenge asks
        (
            {"basic": ("x-access-token", SECRET)},
            {"SNAPSHOTTER_GIT_TOKEN_127_0_0_1": SECRET, "SNAPSHOTTER_GIT_TOKEN": "another host's"},
        ),
    ],
)
def test_tokens_are_sent_as_the_host_wants_them(
    root: Path,
    connect: Callable[..., Transport],
    server: dict[str, object],
    settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    with GitHost(root, **server) as host:  # type: ignore[arg-type]
        transport = connect(host.url("x.git"), credentials=GitCredentials(Settings(settings)))
        assert len(transport.ls_refs()) == 2
        assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
    assert SECRET not in caplog.text


def test_a_credential_in_the_url_is_used_and_not_shown(root: Path, connect: Callable[..., Transport]) -> None:
    with GitHost(root, basic=("user", SECRET)) as host:
        assert len(connect(with_secret(host.url("x.git"))).ls_refs()) == 2
        host.basic = ("user", "another")
        error = error_listing(connect, with_secret(host.url("x.git")))
    assert isinstance(error, AccessDenied)


def test_the_token_command_is_asked_again_when_its_token_expires(
    root: Path, connect: Callable[..., Transport], tmp_path: Path
) -> None:
    command = token_command(tmp_path, "first", "second")
    credentials = GitCredentials(Settings({"SNAPSHOTTER_GIT_TOKEN_COMMAND": command}))
    with GitHost(root, basic=("x-access-token", "first")) as host:
        transport = connect(host.url("x.git"), credentials=credentials)
        transport.ls_refs()
        connect(host.url("x.git"), credentials=credentials).ls_refs()
        assert asked(tmp_path) == 1
        host.basic = ("x-access-token", "second")
        assert pack_objects(pack_of(transport, FetchRequest([tip(host)]))) == 6
        assert asked(tmp_path) == 2
        host.basic = ("x-access-token", "third")
        assert isinstance(error_of(transport.ls_refs), AccessDenied)


def test_a_command_with_ever_new_tokens_is_not_asked_for_ever(
    root: Path, connect: Callable[..., Transport], tmp_path: Path
) -> None:
    command = token_command(tmp_path, *(f"{SECRET}-{n}" for n in range(30)))
    credentials = GitCredentials(Settings({"SNAPSHOTTER_GIT_TOKEN_COMMAND": command}))
    with GitHost(root, basic=("x-access-token", "none of them")) as host:
        error = error_listing(connect, host.url("x.git"), credentials=credentials)
        assert isinstance(error, AccessDenied)
        assert len(host.requests) < 8


@pytest.mark.parametrize("code", ["exit 3", "true", "echo", f"echo {SECRET}; exit 1"])
def test_a_token_command_that_fails_is_told_without_its_words(
    host: GitHost, connect: Callable[..., Transport], code: str
) -> None:
    settings = Settings({"SNAPSHOTTER_GIT_TOKEN_COMMAND": shlex.join(["sh", "-c", code])})
    error = error_of(lambda: connect(host.url("x.git"), credentials=GitCredentials(settings)).ls_refs())
    assert error.code == "token-command"
