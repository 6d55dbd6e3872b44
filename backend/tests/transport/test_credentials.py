"""Where a credential for an origin comes from, in which order, and what is tried after a refusal."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.base.settings import Settings
from snapshotter.git import program
from snapshotter.git.origin import Credential
from snapshotter.git.origin_parsing import parse
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials, host_variable

ORIGIN = parse("https://git.example.test/a/b")


def initial(url: str = "https://git.example.test/a/b", **settings: str) -> Credential | None:
    names = {f"SNAPSHOTTER_GIT_{name}": value for name, value in settings.items()}
    return GitCredentials(Settings(names)).initial(parse(url))


def command(text: str) -> str:
    return shlex.join([sys.executable, "-S", "-c", f"print({text!r})"])


def test_where_credentials_come_from_in_order() -> None:
    every = {"TOKEN": "general", "TOKEN_GIT_EXAMPLE_TEST": "hosts", "TOKEN_COMMAND": command("commands")}
    assert initial("https://me:urls@git.example.test/a/b", **every) == Credential("me", "urls")
    assert initial(**every) == Credential("x-access-token", "hosts")
    assert initial("https://other.test/a", **every) == Credential("x-access-token", "commands")
    assert initial(TOKEN="general") == Credential("x-access-token", "general")
    assert initial() is None


def test_a_host_called_command_gets_no_command_for_a_token() -> None:
    assert host_variable("command") == "SNAPSHOTTER_GIT_TOKEN_COMMAND"
    assert initial("https://command/a", TOKEN_COMMAND=command("fresh")) == Credential(
        "x-access-token", "fresh"
    )


def test_forms_of_tokens() -> None:
    assert initial(TOKEN="me:x:y") == Credential("me", "x:y")
    assert initial(TOKEN="x", USER="oauth2") == Credential("oauth2", "x")
    assert initial(TOKEN="a:b", AUTH="bearer") == Credential("", "a:b")


def test_a_credential_hides_its_secret() -> None:
    assert "s3cr3t" not in repr(Credential("me", "s3cr3t")) + str(Credential("me", "s3cr3t"))


def test_after_a_refusal_helpers_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def helper(*about: str) -> tuple[str, str]:
        asked.append(about)
        return "me", "helpers"

    monkeypatch.setattr(program, "credential_fill", helper)
    credentials = GitCredentials(Settings({}))
    first = credentials.after_refusal(ORIGIN, None)
    assert first == Credential("me", "helpers")
    assert credentials.after_refusal(ORIGIN, first) is None
    assert asked == [("https", "git.example.test", "/a/b")]


def test_gits_own_helper_is_asked_without_a_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    config.write_text("")
    assert program.credential_fill("https", "git.example.test", "/a/b") is None
    config.write_text('[credential]\n\thelper = "!f() { echo username=me; echo password=s3cr3t; }; f"\n')
    assert program.credential_fill("https", "git.example.test", "/a/b") == ("me", "s3cr3t")


@pytest.mark.parametrize(
    "argv", ["no-such-program-here", "false", "true", "sh -c 'echo s3cr3t; exit 3'", "'"]
)
def test_a_command_without_a_token_is_told_without_its_words(argv: str) -> None:
    with pytest.raises(SnapshotterError) as raised:
        initial(TOKEN_COMMAND=argv)
    assert raised.value.hint
    assert "s3cr3t" not in str(raised.value.as_dict())


def test_a_user_without_a_secret_is_a_name_until_it_is_refused_and_then_a_token() -> None:
    origin, credentials = parse("https://name@h.test/a"), GitCredentials({})
    assert credentials.initial(origin) is None
    second = credentials.after_refusal(origin, None)
    assert second == Credential("x-access-token", "name")
    assert credentials.after_refusal(origin, second) is None


def test_a_transport_is_made_without_running_the_command(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    settings = Settings({"SNAPSHOTTER_GIT_TOKEN_COMMAND": f"sh -c 'touch {trace}; exit 1'"})
    transport = Connector(GitCredentials(settings))(ORIGIN, Cancel())
    assert not trace.exists()
    with pytest.raises(SnapshotterError) as raised:
        transport.ls_refs()
    assert raised.value.code == "token-command"
    assert trace.exists()
