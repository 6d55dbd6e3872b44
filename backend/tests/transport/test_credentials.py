"""Where a credential for an origin comes from, in which order, and what is tried after a refusal."""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.base.settings import Settings
from snapshotter.git import program
from snapshotter.git.origin import Credential
from snapshotter.git.origin_parsing import parse
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials, host_variable

ORIGIN = parse("https://git.example.test/a/b")


def initial(url: str = "https://git.example.test/a/b", **settings: str) -> Credential | None:
    names = {f"SNAPSHOTTER_GIT_{name}": value for name, value in settings.items()}
    return GitCredentials.of(Settings(names)).initial(parse(url))


def command(text: str) -> str:
    return shlex.join([sys.executable, "-S", "-c", f"print({text!r})"])


def test_where_credentials_come_from_in_order() -> None:
    every = {"TOKEN": "general", "TOKEN_GIT_EXAMPLE_TEST": "hosts", "TOKEN_COMMAND": command("commands")}
    mapped = every | {"TOKENS": '{"git.example.test": "maps"}'}
    assert initial("https://me:urls@git.example.test/a/b", **mapped) == Credential("me", "urls")
    assert initial(**mapped) == Credential("x-access-token", "maps")
    assert initial("https://other.test/a", **mapped) == Credential("x-access-token", "commands")
    assert initial(**every) == Credential("x-access-token", "hosts")
    assert initial("https://other.test/a", **every) == Credential("x-access-token", "commands")
    assert initial(TOKEN="general") == Credential("x-access-token", "general")
    assert initial() is None


def test_a_host_called_command_gets_no_command_for_a_token() -> None:
    assert host_variable("command") is None
    assert initial("https://command/a", TOKEN_COMMAND=command("fresh")) == Credential(
        "x-access-token", "fresh"
    )


TOKENS = json.dumps(
    {
        "Git.Example.test": "plain",
        "git.example.test:8443": "ports",
        "git.example.test/Team": "teams",
        "git.example.test/Team/a/": "deep",
        "github.com/PSF": "me:psfs",
        "[::1]:8443": "sixes",
        "other.test:443": "default port",
        "plain.test:80": "in plain text",
        "Dotted.test.": "dotted",
        "bücher.test": "idna",
        "[0:0::2]:0443": "spelt out",
    }
)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://git.example.test/x", "plain"),
        ("https://git.example.test:443/x", "plain"),
        ("https://git.example.test:8443/x", "ports"),
        ("https://git.example.test:8444/x", None),
        ("https://git.example.test/Team/x", "teams"),
        ("https://git.example.test/Team/a", "deep"),
        ("https://git.example.test/Team/a/b/c.git", "deep"),
        ("https://git.example.test/Team/ab", "teams"),
        ("https://git.example.test/team/x", "plain"),  # to this host, another path
        ("https://GitHub.com/psf/requests", "psfs"),
        ("https://github.com/Psf", "psfs"),
        ("https://github.com/psfx/requests", None),
        ("https://github.com.example.test/psf/requests", None),
        ("https://xgit.example.test/x", None),
        ("https://[::1]:8443/x", "sixes"),
        ("https://other.test/x", "default port"),
        ("http://git.example.test/x", None),
        ("http://git.example.test:443/x", None),
        ("http://plain.test/x", "in plain text"),
        ("https://dotted.test/x", "dotted"),
        ("https://dotted.test./x", "dotted"),
        ("https://BÜCHER.test/x", "idna"),
        ("https://xn--bcher-kva.test/x", "idna"),
        ("https://[::2]/x", "spelt out"),
    ],
)
def test_a_token_is_for_the_place_that_it_names(url: str, secret: str | None) -> None:
    found = initial(url, TOKENS=TOKENS)
    assert (found and found.secret) == secret


@pytest.mark.parametrize(
    "text",
    [
        "s3cr3t",
        "[]",
        '{"a.test": 1}',
        '{"a.test": ""}',
        '{"a.test": " "}',
        '{"https://a.test": "s3cr3t"}',
        '{"s3cr3t_t": "a.test"}',
        '{"": "s3cr3t"}',
        '{"*.test": "s3cr3t"}',
        '{"a.test:99999": "s3cr3t"}',
        '{"u@a.test": "s3cr3t"}',
        '{"a.test": "s3cr3t", "a.test.": "s3cr3t"}',
        '{"a.test": "s3cr3t", "A.test:443": "s3cr3t"}',
        '{"a.test": "s3cr3t", "a.test": "s3cr3t"}',
        '{"a.test": "s3cr3t"',
        "[" * 100_000,
    ],
)
def test_tokens_that_cannot_be_read_are_refused_without_their_text(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        initial(TOKENS=text)
    assert (raised.value.code, "SNAPSHOTTER_GIT_TOKENS" in raised.value.message) == ("tokens", True)
    assert "s3cr3t" not in "".join(traceback.format_exception(raised.value))


def test_no_two_hosts_share_a_variable() -> None:
    hosts = ["a-b.c", "a.b-c", "a.b.c", "ab.c", "a--b.c", "a-b-c"]
    assert len({host_variable(host) for host in hosts}) == len(hosts)
    assert initial("https://a-b.test/x", TOKEN_A_B_TEST="another host's") is None
    assert initial("https://a-b.test/x", TOKEN_A__B_TEST="its own") == Credential("x-access-token", "its own")
    assert host_variable("::1") is None


def test_of_threads_that_were_refused_one_token_each_gets_the_next(tmp_path: Path) -> None:
    script = tmp_path / "tokens.sh"
    script.write_text(f"echo x >>{tmp_path}/asked; echo me:$(wc -l <{tmp_path}/asked)\n")
    credentials = GitCredentials(Settings({"SNAPSHOTTER_GIT_TOKEN_COMMAND": f"sh {script}"}))
    first = credentials.initial(ORIGIN)
    assert first == Credential("me", "1")
    assert credentials.after_refusal(ORIGIN, first) == Credential("me", "2")
    assert credentials.after_refusal(ORIGIN, first) == Credential("me", "2"), "another thread's refusal"
    assert credentials.after_refusal(ORIGIN, Credential("me", "2")) == Credential("me", "3")


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
