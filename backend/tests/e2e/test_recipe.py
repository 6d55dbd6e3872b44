"""The promise of docs/format.md: a chain restores with nothing but `cp`, `cat` and `git`."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from snapshotter.archive import layout
from snapshotter.git.bundle import DETACHED
from tests.support.git import git
from tests.support.recipe import FORMAT, Told, by_recipe, documented, refs


def deleted_refs(told: Told) -> None:
    told.origin.commit()
    told.origin.ref("refs/heads/gone", told.origin.oid("main"))
    told.origin.git("tag", "-a", "-m", "t", "gone", "main")
    told.take()
    told.origin.ref("refs/heads/gone", None)
    told.origin.ref("refs/tags/gone", None)
    told.origin.commit()
    told.take()


def forced_pushes(told: Told) -> None:
    first = told.origin.commit()
    told.origin.commit()
    told.take()
    told.origin.commit(parents=[first])
    told.origin.git("gc", "-q", "--prune=now")
    told.take()
    told.origin.commit(parents=[])
    told.take()
    told.origin.ref("refs/heads/main", first)
    told.take()


def tags_on_blobs_and_trees(told: Told) -> None:
    told.origin.commit(files={"a": b"a", "d/b": b"b"})
    told.origin.ref("refs/tags/blob", told.origin.blob(b"before the base"))
    told.take()
    told.origin.ref("refs/tags/blob", told.origin.blob(b"after the base"))
    told.origin.ref("refs/tags/tree", told.origin.oid("main^{tree}"))
    told.origin.git("tag", "-a", "-m", "t", "of-blob", told.origin.blob(b"tagged"))
    told.origin.git("tag", "-a", "-m", "t", "nested", "of-blob")
    told.take()
    told.origin.ref("refs/tags/blob", told.origin.oid("main"))
    told.origin.ref("refs/tags/tree", None)
    told.origin.commit()
    told.take()


def refs_only(told: Told) -> None:
    """Increments whose pack holds nothing: refs created, deleted, and moved back."""
    told.origin.commit()
    first = told.origin.commit()
    told.take()
    told.origin.ref("refs/heads/copy", first)
    told.take()
    told.origin.ref("refs/heads/copy", f"{first}~1")
    told.take()
    told.origin.ref("refs/heads/copy", None)
    told.take()
    assert [taken.manifest.history.objects for taken, _, _ in told.moments[1:]] == [0, 0, 0]  # type: ignore[union-attr]


def many_segments(told: Told) -> None:
    noise = random.Random(7)
    for number in range(3):
        told.origin.commit(files={f"f{number}": noise.randbytes(1_000_000 if not number else 300_000)})
        taken = told.take()
        assert len(taken.manifest.history.segments) > (10, 3, 3)[number]  # type: ignore[union-attr]


def detached_head(told: Told) -> None:
    """HEAD at a commit that no ref holds, which a fetch of refs/* would pass over: a ref of ours names it."""
    tip = told.origin.commit()
    told.take()
    for number in range(2):
        tree = told.origin.oid(f"{told.origin.commit('refs/heads/tmp', {f'n{number}': b'aside'})}^{{tree}}")
        told.origin.ref("refs/heads/tmp", None)
        aside = told.origin.git("commit-tree", "-p", tip, "-m", f"aside {number}", tree).decode().strip()
        told.origin.git("update-ref", "--no-deref", "HEAD", aside)
        told.take()
        told.origin.commit()
        taken = told.take()
        made = by_recipe(told.lab, taken, told.tmp_path / f"head-{number}")
        assert taken.manifest.head == aside
        assert git(made, "rev-parse", DETACHED).decode().strip() == aside
        git(made, "fetch", "-q", "../next.bundle", "HEAD")
        assert git(made, "rev-parse", "FETCH_HEAD").decode().strip() == aside
    told.origin.commit("refs/heads/on-it", parents=[aside])
    told.take()


def aliases_and_names(told: Told) -> None:
    told.origin.commit()
    told.origin.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    told.origin.git("update-ref", b"refs/heads/caf\xe9", "main")
    told.take()
    told.origin.commit()
    told.take()


CASES = [
    deleted_refs,
    forced_pushes,
    tags_on_blobs_and_trees,
    refs_only,
    many_segments,
    detached_head,
    aliases_and_names,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_chain_restores_by_cp_cat_and_git(tmp_path: Path, case: Callable[[Told], None]) -> None:
    told = Told(tmp_path)
    case(told)
    assert {taken.manifest.kind for taken, _, _ in told.moments[1:]} == {"increment"}
    told.check()


@pytest.mark.parametrize(
    "case",
    [forced_pushes, tags_on_blobs_and_trees, refs_only, many_segments, detached_head],
    ids=lambda case: case.__name__,
)
def test_the_same_in_sha256(tmp_path: Path, case: Callable[[Told], None]) -> None:
    told = Told(tmp_path, "sha256")
    case(told)
    assert told.moments[0][0].manifest.object_format == "sha256"
    told.check()


def test_the_bundle_itself_is_one_that_git_knows(tmp_path: Path) -> None:
    """A base's bundle can be cloned as it is."""
    told = Told(tmp_path)
    many_segments(told)
    base = told.moments[0][0]
    folder = told.lab.root / base.manifest.key.folder
    joined = b"".join(path.read_bytes() for path in sorted(folder.glob(f"{layout.HISTORY}.*")))
    (tmp_path / "x.bundle").write_bytes(joined)
    git(None, "clone", "-q", "--mirror", str(tmp_path / "x.bundle"), str(tmp_path / "clone"))
    assert refs(tmp_path / "clone") == told.moments[0][1]
    heads = git(None, "bundle", "list-heads", str(tmp_path / "x.bundle")).decode().splitlines()
    assert [head.split()[1] for head in heads] == ["HEAD", "refs/heads/bulk", "refs/heads/main"]


def test_both_pages_give_the_same_recipe() -> None:
    assert f"```sh\n{documented()}\n```" in FORMAT.read_text("utf-8")


def test_a_clone_of_a_bases_bundle_checks_out_the_default_branch(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.origin.commit("refs/heads/trunk", {"f": b"on trunk"})
    told.origin.commit("refs/heads/aaa")
    told.origin.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    taken = told.take()
    bundle_file = tmp_path / "base.bundle"
    folder = told.lab.root / taken.manifest.key.folder
    bundle_file.write_bytes(b"".join(path.read_bytes() for path in sorted(folder.glob(f"{layout.HISTORY}*"))))
    git(None, "clone", "-q", bundle_file, tmp_path / "clone")
    assert (tmp_path / "clone" / "f").read_bytes() == b"on trunk"
    assert git(tmp_path / "clone", "symbolic-ref", "HEAD") == b"refs/heads/trunk\n"
