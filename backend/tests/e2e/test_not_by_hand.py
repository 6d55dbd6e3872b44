"""What `git fetch` cannot write is a declared gap: by hand all else comes back, and by `restore` everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.faults import NoFilters
from tests.support.git import Origin
from tests.support.recipe import Told, by_recipe


def odd_branches(origin: Origin) -> dict[str, str]:
    """Branches that hold no commit, as git itself would not write them."""
    origin.git("tag", "-a", "-m", "t", "annotated", "main")
    origin.git("tag", "-a", "-m", "t", "of-blob", origin.blob(b"tagged"))
    odd = {
        "blob": origin.blob(b"in a branch"),
        "tree": origin.tree(x=b"in a branch's tree"),
        "tag": origin.oid("annotated"),
        "tag-of-blob": origin.oid("of-blob"),
    }
    for name, oid in odd.items():
        (origin.path / "refs" / "heads" / name).write_text(oid + "\n")
    return {f"refs/heads/{name}": oid for name, oid in odd.items()}


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_branches_that_hold_no_commits_cost_the_others_nothing(tmp_path: Path, object_format: str) -> None:
    told = Told(tmp_path, object_format)
    told.origin.commit()
    odd = odd_branches(told.origin)
    for _ in range(3):
        taken = told.take()
        gap = {gap.kind: gap for gap in taken.manifest.gaps}["refs-not-by-hand"]
        assert gap.sample == sorted(odd)
        history = taken.manifest.history
        assert history is not None and not set(history.prerequisites) & set(odd.values())
        assert (taken.manifest.kind == "base") == (history.prerequisites == [])
        made = by_recipe(told.lab, taken, tmp_path / taken.manifest.run_id, whole=False)
        then = told.origin.refs()
        assert Origin.at(made).refs() == {name: oid for name, oid in then.items() if name.decode() not in odd}
        assert told.lab.restored(taken, tmp_path / f"r-{taken.manifest.run_id}") == told.origin.state
        told.origin.commit()
    told.take()
    unchanged = told.lab.take(told.origin).manifest
    assert unchanged.kind == "unchanged"
    assert [gap.kind for gap in unchanged.gaps] == ["refs-not-by-hand"]
    told.lab.assert_whole(taken)


def test_an_increment_whose_origin_cannot_be_asked_requires_what_the_pack_told(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.origin.commit()
    odd_branches(told.origin)
    before: list[str] = []
    for number in range(3):
        tip = told.origin.commit()
        taken = told.lab.take(told.origin, wrap=NoFilters)
        assert taken.manifest.kind == ("increment" if number else "base")
        assert taken.manifest.history is not None and taken.manifest.history.prerequisites == before
        before = [tip]
    made = by_recipe(told.lab, taken, tmp_path / "by-hand", whole=False)
    assert Origin.at(made).oid("main") == told.origin.oid("main")
    assert told.lab.restored(taken, tmp_path / "r.git") == told.origin.state
    told.origin.commit()
    told.take()
    told.origin.commit()
    again = told.take().manifest.history
    assert again is not None and again.prerequisites != []


@pytest.mark.parametrize("name", ["n" * 251, "n" * 300, "d" * 300 + "/n", "/".join(["n" * 100] * 12)])
def test_a_name_too_long_for_a_file_is_a_gap_and_comes_back(tmp_path: Path, name: str) -> None:
    told = Told(tmp_path)
    tip = told.origin.commit()
    told.origin.git("pack-refs", "--all")
    with (told.origin.path / "packed-refs").open("a") as packed:
        packed.write(f"{tip} refs/tags/{name}\n")
    taken = told.lab.take(told.origin)
    assert [(gap.kind, gap.sample) for gap in taken.manifest.gaps] == [
        ("refs-not-by-hand", [f"refs/tags/{name}"])
    ]
    told.lab.restore(taken, tmp_path / "r.git")
    assert Origin.at(tmp_path / "r.git").refs() == told.origin.refs()
    told.lab.assert_whole(taken)
