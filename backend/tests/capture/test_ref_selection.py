"""Which refs a snapshot takes, and what else it is told to note."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapshotter.base.errors import UsageError
from snapshotter.capture.options import CaptureOptions
from tests.support.git import Origin, git
from tests.support.lab import Lab, check


def test_synthetic_merges_are_left_out_and_said_to_be(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    tip = origin.oid("main")
    for number in range(7):
        origin.ref(f"refs/pull/{number}/head", tip)
        origin.ref(f"refs/pull/{number}/merge", origin.commit(f"refs/pull/{number}/merge", parents=[tip]))
    origin.ref("refs/merge-requests/3/merge", tip)
    taken = lab.take(origin)
    (gap,) = taken.manifest.gaps
    assert (gap.kind, gap.count, len(gap.sample)) == ("refs-left-out", 8, 5)
    lab.restore(taken, tmp_path / "r.git")
    assert len(git(tmp_path / "r.git", "for-each-ref", "refs/pull").splitlines()) == 7
    origin.commit("refs/pull/1/merge")
    assert lab.take(origin).manifest.kind == "unchanged"
    everything = lab.take(origin, CaptureOptions(exclude_refs=()))
    assert everything.manifest.gaps == []
    check(lab, origin, everything, tmp_path)


def test_ref_patterns(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.ref("refs/tags/v1", origin.oid("main"))
    taken = lab.take(origin, CaptureOptions(refs=("refs/heads/ma*",)))
    assert taken.manifest.filters.refs == ["refs/heads/ma*"]
    lab.restore(taken, tmp_path / "r.git")
    assert git(tmp_path / "r.git", "for-each-ref", "--format=%(refname)") == b"refs/heads/main\n"
    with pytest.raises(UsageError):
        lab.take(origin, CaptureOptions(refs=("refs/nothing/*",)))
    wider = lab.take(origin)
    assert wider.manifest.kind == "increment"
    check(lab, origin, wider, tmp_path)


def test_labels(lab: Lab, origin: Origin) -> None:
    labels = {"team": "core", "ü": "✓", "empty": ""}
    taken = lab.take(origin, CaptureOptions(labels=labels))
    assert lab.catalog.manifest(taken.manifest.key).manifest.labels == labels
