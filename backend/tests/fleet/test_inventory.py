"""An inventory: what is read, and where what is refused stands. The schema in docs judges as the code does."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.fleet.inventory import FolderTable, GitHubTable, GitLabTable, Inventory, json_schema
from snapshotter.fleet.inventory_reading import read

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "docs" / "fleet.schema.json").read_text(encoding="utf-8"))
HERE = Path("/srv/fleets")

WHOLE = """
name = "all-of-ours"

[[repo]]
origin = "https://git.example.org/a.git"
labels = { team = "core" }
options = { scan = false, max_chain_age = "30d" }

[[repo]]
origin = "mirrors/b.git"

[[github]]
organisation = "psf"
include = ["req*"]
exclude = ["*-old"]
archived = false

[[github]]
user = "ada"
url = "https://github.example.org:8443"
wikis = true

[[gitlab]]
group = "company/platform"
subgroups = false

[[folder]]
path = "/srv/git"
"""


def inventory(text: str, name: str = "fleet.toml", folder: Path | None = HERE) -> Inventory:
    return read(text.encode(), name, folder)


def refusal(text: str | bytes, folder: Path | None = HERE) -> UsageError:
    with pytest.raises(UsageError) as raised:
        read(text if isinstance(text, bytes) else text.encode(), "fleet.toml", folder)
    assert raised.value.code == "inventory"
    assert raised.value.hint
    assert "hunter2" not in str(raised.value.as_dict())
    return raised.value


def test_the_schema_in_docs_is_the_code_s() -> None:
    assert json_schema() == SCHEMA


def test_a_whole_inventory_is_read() -> None:
    found = inventory(WHOLE)
    assert found.name == "all-of-ours"
    a, b = found.repos
    assert (a.origin.canonical, a.labels, a.options.scan) == ("git.example.org/a", {"team": "core"}, False)
    assert (b.origin.path, b.options.scan) == ("/srv/fleets/mirrors/b.git", None)
    psf, ada, platform, folder = found.sources
    assert isinstance(psf, GitHubTable) and isinstance(ada, GitHubTable)
    assert isinstance(platform, GitLabTable) and isinstance(folder, FolderTable)
    assert (psf.archived, ada.archived, ada.forks, ada.wikis) == (False, True, False, True)
    assert [source.title for source in found.sources] == [
        "github github.com/psf",
        "github github.example.org:8443/ada",
        "gitlab gitlab.com/company/platform",
        "folder /srv/git",
    ]


def test_an_inventory_without_a_name_has_its_file_s() -> None:
    assert inventory('[[github]]\nuser = "ada"\n', "/etc/Night Run.toml").name == "night-run"


REFUSED = {
    'a = "\n': "line 1, column 6: not TOML",
    "[[repo]]\norigin = ": "line 2, column 10: not TOML",
    "": "line 1, column 1: it names no repository and no source",
    "[[repo]]\norign = 'x'": "line 2, column 1: unknown key `orign`",
    "[[repo]]\norigin = 'x'\n[repo.options]\nscans = true": "line 4, column 1: unknown key `scans`",
    "webhook = 'x'": "line 1, column 1: unknown key `webhook`",
    "[[github]]\nuser = 'a'\ntoken = 'hunter2'": "line 3, column 1: unknown key `token`",
    "\n  [[repo]]\nlabels = {}": "line 2, column 3: `origin` is missing",
    "[[repo]]\norigin = 3": "line 2, column 10: expected `str`, got `int`",
    "repo = [{origin = 'x', labels = {a = 'b', c = 1}}]": "line 1, column 47: expected `str`, got `int`",
    "[[repo]]\norigin = 'x'\noptions = {max_chain_age = 'soon'}": "line 3, column 28: `max_chain_age`",
    "[[repo]]\norigin = 'x'\noptions.refs = ['']": "line 3, column 16: an empty pattern",
    "[[repo]]\norigin = 'x'\nlabels.a = \"\\u001b\"": "line 3, column 12: a label holds control",
    "[[repo]]\norigin = 'ext::sh'": "line 2, column 10: remote helpers",
    "[[repo]]\norigin = 'https://u:hunter2@h.example/x'": "line 2, column 10: the origin holds",
    "[[repo]]\norigin = 'https://hunter2@h.example/x'": "line 2, column 10: the origin holds",
    "[[github]]\nforks = true": "line 1, column 1: either `organisation` or `user`",
    "[[github]]\nuser = 'a'\norganisation = 'b'": "line 1, column 1: either `organisation` or `user`",
    "[[github]]\nuser = '../x'": "line 2, column 8: expected `str`",
    "[[gitlab]]\ngroup = 'a'\nurl = 'ssh://h.example'": "line 3, column 7: not the URL",
    "[[gitlab]]\ngroup = 'a'\nurl = 'https://hunter2@h.example'": "line 3, column 7: not the URL",
    "[[gitlab]]\ngroup = 'a'\ninclude = []": "line 3, column 11: expected `array`",
    "[[github]]\nuser = 'a'\n[[github]]\nuser = 'A'": "line 3, column 1: this source is at line 1, column 1",
    "[[repo]]\norigin = 'git@github.com:PSF/x.git'\n[[repo]]\norigin = 'https://github.com/psf/x'": (
        "line 4, column 10: this origin is at line 2, column 10"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_wrong_is_told_with_its_line_and_column(text: str) -> None:
    assert f"fleet.toml, {REFUSED[text]}" in refusal(text).message


def test_what_is_not_utf_8_is_told_with_its_line_and_column() -> None:
    assert "line 2, column 3: not UTF-8" in refusal(b"a = 1\n# \xff\n").message


STORED_REFUSED = {
    "[[folder]]\npath = '/srv'": "line 1, column 1",
    "[[repo]]\norigin = '/srv/git/a.git'": "line 2, column 10",
    "[[repo]]\norigin = 'a.git'": "line 2, column 10",
    "[[repo]]\norigin = 'file:///srv/a.git'": "line 2, column 10",
    "[[repo]]\norigin = 'http://h.example/a'\noptions.allow_http = true": "line 3, column 22",
}


@pytest.mark.parametrize("text", STORED_REFUSED)
def test_one_from_the_store_may_not_say_what_is_the_operator_s_to_say(text: str) -> None:
    inventory(text)
    assert STORED_REFUSED[text] in refusal(text, None).message


@pytest.mark.parametrize("text", [WHOLE, *REFUSED])
def test_the_schema_judges_as_the_code_does(text: str) -> None:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    if any(word in REFUSED.get(text, "") for word in _BEYOND_A_SCHEMA):
        return
    try:
        inventory(text)
        fits = True
    except SnapshotterError:
        fits = False
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid(tables) == fits


# What compares texts, or reads into one.
_BEYOND_A_SCHEMA = (
    "is at",
    "the origin holds",
    "remote helpers",
    "not the URL",
    "max_chain_age",
    "a label",
    "an empty",
)
