"""What a local repository holds beside its refs, in worktrees and reflogs made by real git."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.git.refs import Ref, RefsLedger
from snapshotter.git.unlisted import Unlisted, unlisted
from tests.support.git import Origin, git


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with a work tree, a branch of two commits and a tag of a blob."""
    path = tmp_path / "tree"
    git(None, "init", "-q", "-b", "main", path)
    origin = Origin.at(path)
    for content in (b"one", b"two"):
        origin.commit_tree(*_tip(path), ref="refs/heads/main", f=content)
    origin.ref("refs/tags/blob", origin.blob(b"x"))
    git(path, "reset", "-q", "--hard")
    return path


def _tip(path: Path) -> list[str]:
    return git(path, "rev-parse", "-q", "--verify", "main", check=False).decode().split()


def _told(path: Path) -> Unlisted:
    head = git(path, "rev-parse", "HEAD").decode().strip()
    refs = [Ref(name, oid) for name, oid in Origin.at(path).refs().items()]
    return unlisted(str(path), RefsLedger.build(refs, None, head), Cancel())


def _aside(path: Path) -> str:
    """A commit on top of main that no ref holds."""
    return Origin.at(path).commit_tree(*_tip(path), f=b"aside")


def test_a_repository_of_refs_alone_has_nothing_beside_them(tree: Path, tmp_path: Path) -> None:
    assert _told(tree) == Unlisted()
    git(None, "clone", "-q", "--bare", str(tree), tmp_path / "bare.git")
    assert _told(tmp_path / "bare.git") == Unlisted()


def test_worktrees_count_where_no_ref_reaches_their_commit(tree: Path, tmp_path: Path) -> None:
    git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / "at-a-tip"), "main")
    git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / "at-an-old-one"), "main^")
    git(tree, "worktree", "add", "-q", "-b", "side", str(tmp_path / "on-a-branch"))
    assert _told(tree) == Unlisted()
    git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / "b"), _aside(tree))
    git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / "a"), _aside(tree))
    (tmp_path / "b" / ".git").unlink()  # a worktree that is gone keeps its HEAD until it is pruned
    paths = tuple(str(tmp_path / name).encode() for name in "ab")
    assert _told(tree) == Unlisted(worktree_heads=paths)
    assert _told(tmp_path / "a") == Unlisted()  # its own HEAD is in the ledger, and both stand at one commit


def test_of_a_linked_worktree_the_main_one_is_another(tree: Path, tmp_path: Path) -> None:
    git(tree, "worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    git(tree, "checkout", "-q", "--detach", _aside(tree))
    assert _told(tmp_path / "linked") == Unlisted(worktree_heads=(str(tree).encode(),))


def test_stashes_before_the_newest_are_told(tree: Path) -> None:
    for text in ("1", "2", "3"):
        (tree / "f").write_text(text)
        git(tree, "stash", "-q")
    assert _told(tree) == Unlisted(stashes=(b"stash@{1}", b"stash@{2}"))
    git(tree, "branch", "kept", "stash@{1}")
    git(tree, "stash", "drop", "-q", "stash@{2}")
    assert _told(tree) == Unlisted()


def test_a_folder_that_is_no_repository_is_an_error_and_its_parents_are_not_asked(tree: Path) -> None:
    (tree / "folder").mkdir()
    with pytest.raises(Unavailable):
        unlisted(str(tree / "folder"), RefsLedger(), Cancel())
