"""The benchmark repository is the same on every machine, and grows the same way."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import generate as generator
import sources


def git(path: Path, *args: str) -> str:
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", "-C", path, *args], env=env, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = generator.PROFILES["small"]
    monkeypatch.setitem(generator.PROFILES, "tiny", replace(small, commits=450, files=40, binary_bytes=1000))


def test_two_generations_are_the_same_and_whole(tmp_path: Path) -> None:
    one, two = (generator.generate(tmp_path / name, "tiny") for name in "ab")
    other = generator.generate(tmp_path / "c", "tiny", seed=2)
    refs = git(one, "for-each-ref")
    assert git(two, "for-each-ref") == refs
    assert git(other, "for-each-ref") != refs
    assert git(one, "fsck", "--strict") == ""
    assert int(git(one, "rev-list", "--count", "--all")) >= 450
    assert git(one, "log", "--merges", "--oneline", "main")
    assert " tag\t" in refs or " commit\trefs/tags/" in refs
    assert [each.suffix for each in sorted((one / "objects/pack").glob("pack-*.bitmap"))] == [".bitmap"]


def test_a_finished_repository_is_kept_as_it_is(tmp_path: Path) -> None:
    made = generator.generate(tmp_path / "a", "tiny")
    grown = generator.grow(made, 1, 1)
    assert generator.generate(tmp_path / "a", "tiny") == made
    assert git(made, "rev-parse", "main").strip() == grown


def test_it_grows_the_same_way_each_time(tmp_path: Path) -> None:
    one, two = (generator.generate(tmp_path / name, "tiny") for name in "ab")
    before = git(one, "rev-parse", "main").strip()
    for commits, seed in ((1, 1), (10, 2)):
        assert generator.grow(one, commits, seed) == generator.grow(two, commits, seed)
    assert git(one, "rev-list", "--count", "--first-parent", f"{before}..main").strip() == "11"
    assert git(one, "fsck", "--strict") == ""


def test_the_tree_of_sources_is_the_same_each_time_and_changes_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "FILES", 60)
    monkeypatch.setattr(sources, "COMMITS", 3)
    one, two = (sources.repository(tmp_path / name) for name in "ab")
    assert git(one, "fsck", "--strict") == ""
    assert git(one, "for-each-ref") == git(two, "for-each-ref")
    before = git(one, "rev-parse", "main").strip()
    assert sources.change(one, 10, 1) == sources.change(two, 10, 1)
    assert len(git(one, "diff", "--name-only", before, "main").splitlines()) == 10
