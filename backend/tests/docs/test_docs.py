"""Documentation is tested: what exists is described, and what is described exists."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from snapshotter import __version__
from snapshotter.archive.manifest import Manifest, json_schema
from snapshotter.base import errors
from snapshotter.base.variables import SETTINGS
from snapshotter.cli.app import app

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FORMAT = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
APP = app()
# A group's verbs, by both words.
COMMANDS = {
    f"{name} {verb}" if verb else name: leaf
    for name, command in typer.main.get_command(APP).commands.items()  # type: ignore[attr-defined]
    for verb, leaf in getattr(command, "commands", {"": command}).items()
}


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_every_verb_is_in_the_readme_and_teaches_by_example(verb: str) -> None:
    assert f"| `snapshotter {verb}" in README
    assert "Example" in (COMMANDS[verb].help or ""), f"`snapshotter {verb} --help` has no example"


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_no_line_of_the_help_is_broken_by_a_terminal_of_80_columns(verb: str) -> None:
    _, *lines = (COMMANDS[verb].help or "").splitlines()  # the first is the list's too, and may be wrapped
    assert [line for line in lines if len(line) > 78] == []


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_the_help_shows_every_word_of_every_flag(verb: str) -> None:
    """Text in brackets would be taken for markup, and vanish."""
    shown = CliRunner().invoke(APP, [*verb.split(), "--help"], env={"COLUMNS": "400"}).output
    for option in COMMANDS[verb].params:
        assert (getattr(option, "help", "") or "") in shown


def test_the_readme_names_no_verb_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `snapshotter ([a-z]+(?: [a-z]+\b)?)", README, re.M)) == set(COMMANDS)


@pytest.mark.parametrize("verb", sorted(COMMANDS))
def test_the_common_flags_are_the_same_everywhere(verb: str) -> None:
    flags = {flag for option in COMMANDS[verb].params for flag in option.opts}
    assert {"--json", "--quiet", "-q", "--verbose", "-v"} <= flags


def test_the_settings_table_is_the_code_s() -> None:
    table = dict(re.findall(r"^\| `(SNAPSHOTTER_[A-Z_<>]+)` \| `?([^|`]*)`? \|", README, re.M))
    assert {name: default.strip() for name, default in table.items()} == {s.name: s.default for s in SETTINGS}


def test_every_exit_code_is_described() -> None:
    classes = [
        c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.SnapshotterError)
    ]
    described = re.findall(r"^\| ([\d, ]+) \|", README, re.M)
    numbers = {int(number) for row in described for number in row.split(",")}
    assert {c.exit_code for c in classes} | {0} == numbers


def test_every_manifest_field_is_described() -> None:
    rows = re.findall(r"^\| ([a-z0-9_, ]+) \|", FORMAT, re.M)
    described = {field.strip() for row in rows for field in row.split(",")}
    missing = set(Manifest.__struct_fields__) - described
    assert not missing


def test_the_manifest_schema_in_docs_is_the_code_s() -> None:
    stored = json.loads((ROOT / "docs" / "manifest.schema.json").read_text(encoding="utf-8"))
    assert stored == json_schema()


def test_the_two_places_of_the_version_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))], ids=lambda p: p.name
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
