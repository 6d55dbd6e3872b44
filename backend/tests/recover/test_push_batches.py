"""A push in batches: each ref ends where it should, and no batch weighs more than it may unless nothing is smaller."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.git.revisions import Revisions
from snapshotter.recover import push_batches
from snapshotter.recover.push_plan import RefUpdate
from tests.support.git import Origin

LIMIT = 150 * 1024


def history_of(path: Path, seed: int) -> Origin:
    """Branches of some 40 KiB a commit that start anywhere, and tags."""
    rng = random.Random(seed)
    made = Origin(path)
    commits = [made.commit(files={"f": rng.randbytes(40_000)})]
    for number in range(20):
        branch = rng.choice(["main", "a", "b"])
        parent = rng.choice(commits[-4:])
        size = rng.choice([40_000, 40_000, 200_000])
        commits.append(
            made.commit(f"refs/heads/{branch}", {f"f{number}": rng.randbytes(size)}, parents=[parent])
        )
        if rng.random() < 0.3:
            made.git("tag", "-a", "-m", "x", f"t{number}", commits[-1])
    return made


@pytest.mark.parametrize("seed", range(4))
def test_every_ref_arrives_in_batches_of_which_none_could_be_smaller(tmp_path: Path, seed: int) -> None:
    made = history_of(tmp_path / "x.git", seed)
    revisions = Revisions(made.path, Cancel())
    lines = made.text("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    refs = dict(line.split(" ") for line in lines)
    updates = [RefUpdate(name.encode(), "create", None, oid) for name, oid in refs.items()]
    there: dict[bytes, str] = {}
    count = 0
    for batch in push_batches.batches(updates, revisions, (), LIMIT):
        count += 1
        assert all(there.get(each.name) == each.old for each in batch)
        tips = [each.new for each in batch if each.new]
        weight = revisions.weight(tips, {*there.values()})
        assert weight <= LIMIT or len(batch) == 1
        if weight > LIMIT and batch[0].name.startswith(b"refs/heads/"):
            line = revisions.first_parents(tips[0], {*there.values()})
            assert len(line) == 1, "a single commit, with what it merges, is the smallest step"
        there |= {each.name: each.new for each in batch if each.new}
    assert {name.decode(): oid for name, oid in there.items()} == refs
    assert count > 5


def test_there_are_no_more_refs_in_a_push_than_git_takes_as_arguments(tmp_path: Path) -> None:
    made = Origin(tmp_path / "x.git")
    oid = made.commit()
    updates = [RefUpdate(b"refs/tags/%d" % number, "create", None, oid) for number in range(1201)]
    sizes = [len(batch) for batch in push_batches.batches(updates, Revisions(made.path, Cancel()), (), LIMIT)]
    assert sizes == [500, 500, 201]
