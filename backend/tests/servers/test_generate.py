"""The benchmark repository is the same on every machine, and grows the same way."""

from dataclasses import replace
from pathlib import Path

import pytest

import generate as generator
import sources
from tests.support.git import Origin


def text(path: Path, *args: str) -> str:
    return Origin.at(path).text(*args)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    small = generator.PROFILES["small"]
    monkeypatch.setitem(generator.PROFILES, "tiny", replace(small, commits=450, files=40, binary_bytes=1000))


def test_two_generations_are_the_same_and_whole(tmp_path: Path) -> None:
    one, two = (generator.generate(tmp_path / name, "tiny") for name in "ab")
    other = generator.generate(tmp_path / "c", "tiny", seed=2)
    refs = text(one, "for-each-ref")
    assert text(two, "for-each-ref") == refs
    assert text(other, "for-each-ref") != refs
    assert text(one, "fsck", "--strict") == ""
    assert int(text(one, "rev-list", "--count", "--all")) >= 450
    assert text(one, "log", "--merges", "--oneline", "main")
    assert " tag\t" in refs or " commit\trefs/tags/" in refs
    assert [each.suffix for each in sorted((one / "objects/pack").glob("pack-*.bitmap"))] == [".bitmap"]


def test_a_finished_repository_is_kept_as_it_is(tmp_path: Path) -> None:
    made = generator.generate(tmp_path / "a", "tiny")
    grown = generator.grow(made, 1, 1)
    assert generator.generate(tmp_path / "a", "tiny") == made
    assert text(made, "rev-parse", "main").strip() == grown


def test_it_grows_the_same_way_each_time(tmp_path: Path) -> None:
    one, two = (generator.generate(tmp_path / name, "tiny") for name in "ab")
    before = text(one, "rev-parse", "main").strip()
    for commits, seed in ((1, 1), (10, 2)):
        assert generator.grow(one, commits, seed) == generator.grow(two, commits, seed)
    assert text(one, "rev-list", "--count", "--first-parent", f"{before}..main").strip() == "11"
    assert text(one, "fsck", "--strict") == ""


def test_the_tree_of_sources_is_the_same_each_time_and_changes_the_same_way(tmp_path: Path) -> None:
    scale = sources.Scale(files=60, commits=3)
    one, two = (sources.repository(tmp_path / name, scale=scale) for name in "ab")
    assert text(one, "fsck", "--strict") == ""
    assert text(one, "for-each-ref") == text(two, "for-each-ref")
    before = text(one, "rev-parse", "main").strip()
    assert sources.change(one, 10, 1) == sources.change(two, 10, 1)
    assert len(text(one, "diff", "--name-only", before, "main").splitlines()) == 10
