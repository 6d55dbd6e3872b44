"""What lies among the receipts and is none costs a sound snapshot nothing, and a receipt that was altered is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from snapshotter.archive import layout, receipts
from snapshotter.archive.canonical import canonical
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.recover.verify import VerifyOptions, verify
from tests.support.git import Origin
from tests.support.lab import Lab, Words

LATE = "receipts/20990101T000000Z-{}0000000.json"
STRANGERS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": lambda path: (path / "x").mkdir(parents=True),
    "list": lambda path: path.write_bytes(b"[]"),
    "zeroes": lambda path: path.write_bytes(bytes(4096)),
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    origin = Origin(tmp_path / "origin.git")
    origin.commit()
    return origin


@pytest.fixture
def taken(lab: Lab, origin: Origin) -> Sealed:
    return lab.take(origin)


def warnings(lab: Lab, taken: Sealed, *, ok: bool = True) -> list[str]:
    """What a verification of the repo warns of."""
    words, repo = Words(), taken.manifest.repo
    verdicts = verify(
        lab.catalog, repo, lab.catalog.snapshots(repo), VerifyOptions(quick=True), observer=words
    )
    assert [verdict.ok for verdict in verdicts] == [ok] * len(verdicts)
    return words.warnings


def beside(lab: Lab, taken: Sealed, name: str) -> Path:
    path = lab.file(taken.manifest.key.key(name))
    path.parent.mkdir(exist_ok=True)
    return path


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("verdict", "0f")
def test_a_stranger_among_the_receipts_is_passed_over_and_what_its_name_says_is_overruled(
    lab: Lab, origin: Origin, taken: Sealed, stranger: str, verdict: str
) -> None:
    STRANGERS[stranger](beside(lab, taken, LATE.format(verdict)))
    lone_folder = stranger == "folder"  # without a file in it no listing shows it
    for _ in range(2):
        assert [LATE.format(verdict) in line for line in warnings(lab, taken)] == [True] * (not lone_folder)
    assert lab.catalog.folder(taken.manifest.key).verified is True
    assert lab.take(origin).manifest.kind == "unchanged"


def test_many_strangers_are_told_in_one_line(lab: Lab, taken: Sealed) -> None:
    for digit in "01f":
        beside(lab, taken, LATE.format(digit)).write_bytes(b"[]")
    (line,) = warnings(lab, taken)
    assert line.endswith("; and 2 more")


def test_a_stranger_hides_no_receipt_that_pins_the_manifest(lab: Lab, taken: Sealed) -> None:
    beside(lab, taken, "receipts/20000101T000000Z-00000000.json").write_bytes(b"[]")
    assert len(warnings(lab, taken)) == 1
    forged = seal(structs.replace(taken.manifest, labels={"a": "b"}))
    lab.file(taken.manifest.key.key(layout.MANIFEST)).write_bytes(forged.data)
    assert len(warnings(lab, taken, ok=False)) == 1


@pytest.mark.parametrize("renamed", [True, False])
def test_a_receipt_of_ours_that_was_altered_is_a_problem(lab: Lab, taken: Sealed, renamed: bool) -> None:
    (verdict,) = lab.verify(taken, VerifyOptions(quick=True))
    path = lab.file(verdict.receipt)
    if renamed:
        path.rename(path.with_name(path.name.replace("-0", "-f")))
    else:
        good = receipts.read(lab.store, verdict.run, verdict.receipt.removeprefix(verdict.run.key("")))
        path.write_bytes(canonical(structs.replace(good, ok=False)))
    assert warnings(lab, taken, ok=False) == []
    (verdict,) = lab.verify(taken, VerifyOptions(quick=True, receipts=False))
    assert [problem.what for problem in verdict.problems] == ["the receipt does not say what its name says"]
