"""Settings: their order and their forms."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snapshotter.base.errors import UsageError
from snapshotter.base.settings import Settings, dotenv, load, parse_size, parse_span
from snapshotter.base.variables import DEFAULTS, SETTINGS


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
