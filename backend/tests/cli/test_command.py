"""One verb as a command: its flags, its help, its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import UsageError
from snapshotter.base.observer import Observer
from snapshotter.cli.command import command
from snapshotter.cli.flags import Flags
from snapshotter.cli.output import Output, report
from snapshotter.cli.session import Session, open_session


@dataclass(frozen=True)
class GreetFlags:
    """What a verb of this test is given."""

    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom to greet.")]
    loud: Annotated[bool, typer.Option("--loud", help="Greet aloud.")] = False


def greet(session: Session, given: GreetFlags) -> Output:
    """Greet somebody."""
    return Output({"name": given.name}, [given.name.upper() if given.loud else given.name])


def test_a_verb_s_help_has_its_own_flags_and_then_the_common_ones() -> None:
    app = typer.Typer()
    app.command()(command(greet, GreetFlags))
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).output
    words = ["Greet somebody.", "Whom to greet.", "--loud", "--store", "--json", "--quiet", "--verbose"]
    places = [shown.index(word) for word in words]
    assert places == sorted(places)


class Warnings(Observer):
    """What was warned of."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, what: str) -> None:
        self.texts.append(what)


def test_a_session_takes_the_environment_that_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNAPSHOTTER_STORE", "/not/this/one")
    (tmp_path / ".env").write_text("SNAPSHOTTER_STORE=/from/the/file\nAWS_REGION=eu-west-1\n")
    env, watcher = {"SNAPSHOTTER_TEMP": "/fast", "SNAPSHOTTER_STOER": "x"}, Warnings()
    session = open_session(Flags(), env, watcher, Cancel())
    assert (session.store_uri, session.temp) == ("/from/the/file", Path("/fast"))
    assert env["AWS_REGION"] == "eu-west-1", "botocore reads it there"
    assert [text.split()[0] for text in watcher.texts] == ["SNAPSHOTTER_STOER"]
    assert open_session(Flags(store="/flag"), env, watcher, Cancel()).store_uri == "/flag"


@pytest.mark.parametrize("as_json", [False, True])
def test_an_answer_that_the_verb_has_written_itself_is_not_printed_again(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    error = UsageError("half of it is missing", hint="look")
    assert report(Output(None, error=error), Flags(json=as_json)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "error: half of it is missing\n\nhint: look\n"
