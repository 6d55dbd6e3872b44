"""Which of a tree's submodules the store holds, by its listings and the ledgers of newest snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapshotter.archive import layout
from snapshotter.archive.manifest import Submodule
from snapshotter.archive.submodule_states import states
from tests.support.git import Origin
from tests.support.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


def at(origin: Origin | str, commit: str) -> Submodule:
    return Submodule(path="x", commit=commit, url=origin if isinstance(origin, str) else str(origin.path))


def test_a_commit_is_held_where_a_ref_of_the_newest_snapshot_ends_at_it(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "lib.git")
    old, branch = origin.commit(), origin.commit()
    released = origin.commit("refs/heads/release")
    origin.git("tag", "-a", "-m", "1.0", "v1", released)
    origin.git("update-ref", "-d", "refs/heads/release")
    lab.take(origin)
    taken = lab.take(origin).manifest
    tag = origin.oid("refs/tags/v1")
    found = states(lab.catalog, [at(origin, commit) for commit in (branch, released, tag, old)])
    assert [each.held for each in found] == [True, True, True, None]
    assert {each.snapshot for each in found} == {taken.key}


def test_a_snapshot_that_does_not_read_is_named_and_holds_nothing_for_sure(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "lib.git")
    tip = origin.commit()
    taken = lab.take(origin).manifest
    for name in (layout.REFS, layout.MANIFEST):
        lab.file(taken.key.key(name)).write_bytes(b"{}")
        (found,) = states(lab.catalog, [at(origin, tip)])
        assert (found.snapshot, found.held) == (taken.key, None)


def test_what_a_forged_manifest_calls_a_url_is_looked_for_nowhere(lab: Lab) -> None:
    for url in ("ext::sh -c x", "-x", "https://", "", "https://h/../x"):
        (found,) = states(lab.catalog, [at(url, "1" * 40)])
        assert (found.snapshot, found.held) == (None, False)
