"""Settings: their order, their forms, and credentials found by them."""

from __future__ import annotations

import shlex
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.base.settings import Settings, dotenv, load, parse_size, parse_span
from snapshotter.base.variables import DEFAULTS, SETTINGS
from snapshotter.git import program
from snapshotter.git.origin import Credential, parse
from snapshotter.transport.credentials import GitCredentials, host_variable

ORIGIN = parse("https://git.example.test/a/b")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("16777216", 16 << 20),
        ("16MiB", 16 << 20),
        ("16M", 16 << 20),
        (" 16 mib ", 16 << 20),
        ("64KiB", 65536),
        ("5GiB", 5 << 30),
        ("1B", 1),
        ("2GB", 2 << 30),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("90", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("8w", timedelta(weeks=8)),
        ("0.5s", timedelta(milliseconds=500)),
    ],
)
def test_spans(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5MiB", "16 TiB", "M", "1e3", "9" * 5000])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_size(text)
    assert raised.value.hint


@pytest.mark.parametrize("text", ["", "x", "-1s", "0", "0s", "1y", "1e3s", "99999999999w", "9" * 5000])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_span(text)
    assert raised.value.hint


@given(st.text(max_size=12))
@example("\u0661\u0666MiB")
@example("1 K")
def test_any_text_is_a_size_and_a_span_or_refused(text: str) -> None:
    for form in (parse_size, parse_span):
        try:
            form(text)
        except UsageError as error:
            assert error.message


def test_the_environment_goes_over_the_file_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "SNAPSHOTTER_STORE=file:from-file\nSNAPSHOTTER_UPLOADS='3'\nAWS_REGION=eu-west-1\nPATH=/evil\n"
        "SNAPSHOTTER_GIT_USER=${HOME}\nSNAPSHOTTER_REFS=\n"
    )
    settings = load({"SNAPSHOTTER_STORE": "file:from-env", "HOME": "/home/x"}, tmp_path)
    assert settings["SNAPSHOTTER_STORE"] == "file:from-env"
    assert settings.number("SNAPSHOTTER_UPLOADS") == 3
    assert settings["SNAPSHOTTER_GIT_USER"] == "${HOME}"  # a secret may hold a $
    assert settings["SNAPSHOTTER_MAX_REFS"] == DEFAULTS["SNAPSHOTTER_MAX_REFS"]
    assert dotenv(tmp_path).get("AWS_REGION") == "eu-west-1"
    assert "PATH" not in dotenv(tmp_path)
    assert load({}, tmp_path / "nowhere")["SNAPSHOTTER_STORE"] == "./snapshots"


@pytest.mark.parametrize(
    "name",
    [
        "SNAPSHOTTER_GIT_TOKEN_COMMAND",
        "SNAPSHOTTER_SSH_COMMAND",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_DATA_PATH",
    ],
)
def test_a_file_that_came_with_a_repository_runs_no_program(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"SNAPSHOTTER_UPLOADS=3\n{name}='touch /tmp/x'\n")
    with pytest.raises(UsageError, match=name) as raised:
        load({}, tmp_path)
    assert "environment" in raised.value.hint
    (tmp_path / ".env").write_text(f"SNAPSHOTTER_UPLOADS=3\n{name}=\n")
    assert load({name: "echo x"}, tmp_path).number("SNAPSHOTTER_UPLOADS") == 3


def test_a_setting_that_is_not_in_the_table_is_a_defect() -> None:
    settings = Settings({"SNAPSHOTTER_TYPO": "x", "OTHER": "y"})
    for name in ("SNAPSHOTTER_TYPO", "OTHER", "SNAPSHOTTER_GIT_TOKEN_NO_HOST"):
        with pytest.raises(KeyError):
            settings[name]
    assert set(settings) == {setting.name for setting in SETTINGS}
    assert all(setting.help for setting in SETTINGS)


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_yes(value: str) -> None:
    assert Settings({"SNAPSHOTTER_ALLOW_HTTP": value}).flag("SNAPSHOTTER_ALLOW_HTTP")


@pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
def test_no(value: str) -> None:
    assert not Settings({"SNAPSHOTTER_ALLOW_HTTP": value}).flag("SNAPSHOTTER_ALLOW_HTTP")


@pytest.mark.parametrize(("value", "least"), [("x", 1), ("0", 1), ("-3", 1), ("1.5", 1), ("1", 2)])
def test_what_is_no_number_or_flag_is_refused(value: str, least: int) -> None:
    with pytest.raises(UsageError):
        Settings({"SNAPSHOTTER_UPLOADS": value}).number("SNAPSHOTTER_UPLOADS", least)
    with pytest.raises(UsageError):
        Settings({"SNAPSHOTTER_ALLOW_HTTP": f"{value}?"}).flag("SNAPSHOTTER_ALLOW_HTTP")


def test_words() -> None:
    assert Settings({"SNAPSHOTTER_REFS": " a  b "}).words("SNAPSHOTTER_REFS") == ("a", "b")
    assert Settings({}).words("SNAPSHOTTER_REFS") == ()


# Credentials


def found(url: str = "https://git.example.test/a/b", **settings: str) -> Credential | None:
    names = {f"SNAPSHOTTER_GIT_{name}": value for name, value in settings.items()}
    return GitCredentials(Settings(names)).initial(parse(url))


def command(text: str) -> str:
    return shlex.join([sys.executable, "-S", "-c", f"print({text!r})"])


def test_where_credentials_come_from_in_order() -> None:
    every = {"TOKEN": "general", "TOKEN_GIT_EXAMPLE_TEST": "hosts", "TOKEN_COMMAND": command("commands")}
    assert found("https://me:urls@git.example.test/a/b", **every) == Credential("me", "urls")
    assert found(**every) == Credential("x-access-token", "hosts")
    assert found("https://other.test/a", **every) == Credential("x-access-token", "commands")
    assert found(TOKEN="general") == Credential("x-access-token", "general")
    assert found() is None


def test_a_host_called_command_gets_no_command_for_a_token() -> None:
    assert host_variable("command") == "SNAPSHOTTER_GIT_TOKEN_COMMAND"
    assert found("https://command/a", TOKEN_COMMAND=command("fresh")) == Credential("x-access-token", "fresh")


def test_forms_of_tokens() -> None:
    assert found(TOKEN="me:x:y") == Credential("me", "x:y")
    assert found(TOKEN="x", USER="oauth2") == Credential("oauth2", "x")
    assert found(TOKEN="a:b", AUTH="bearer") == Credential("", "a:b")


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
        found(TOKEN_COMMAND=argv)
    assert raised.value.hint
    assert "s3cr3t" not in str(raised.value.as_dict())


def test_a_user_without_a_secret_is_a_name_until_it_is_refused_and_then_a_token() -> None:
    origin, credentials = parse("https://name@h.test/a"), GitCredentials({})
    assert credentials.initial(origin) is None
    second = credentials.after_refusal(origin, None)
    assert second == Credential("x-access-token", "name")
    assert credentials.after_refusal(origin, second) is None
