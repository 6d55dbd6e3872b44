"""infra/requirements*.txt: what the image is built from, each release by its hashes, no host, and current."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.infra.pins import pinned

ROOT = Path(__file__).resolve().parents[3]
FILES = ("requirements.txt", "requirements-build.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_every_release_is_named_by_hashes_and_no_host_is(name: str) -> None:
    text = (ROOT / "infra" / name).read_text(encoding="utf-8")
    assert not re.search(r"https?:|//|index-url|find-links|@ ", text)
    for each in pinned(ROOT / "infra" / name).values():
        assert each.hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in each.hashes)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        (FILES[0], PROJECT["project"]["dependencies"]),
        (FILES[0], PROJECT["project"]["optional-dependencies"]["cluster"]),
        (FILES[0], PROJECT["project"]["optional-dependencies"]["fleet"]),
        (FILES[1], PROJECT["build-system"]["requires"]),
        (FILES[1], PROJECT["dependency-groups"]["build"]),
    ],
)
def test_what_the_project_asks_for_is_pinned_to_a_release_that_it_allows(name: str, asked: list[str]) -> None:
    pins = pinned(ROOT / "infra" / name)
    for wanted in map(Requirement, asked):
        assert pins[canonicalize_name(wanted.name)].version in wanted.specifier, wanted


def test_the_pins_are_what_the_project_resolves_to_today(tmp_path: Path) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "run the tests as the README says, by uv"
    done = subprocess.run(
        [ROOT / "infra" / "pin", tmp_path],
        env={**os.environ, "UV": uv},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in FILES:
        assert pinned(tmp_path / name) == pinned(ROOT / "infra" / name), (
            "run infra/pin, and read the difference"
        )
