"""Local repositories: what their configuration hides is taken, what only their reflogs and worktrees know is a gap."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.git import Origin, git
from tests.support.lab import Lab, check


@pytest.mark.parametrize(
    "settings",
    [
        [("transfer.hideRefs", "refs/internal")],
        [("uploadpack.hideRefs", "refs/internal")],
        [("transfer.hideRefs", "refs"), ("uploadpack.hideRefs", "!refs/heads")],
        [("uploadpack.hideRefs", "^refs/internal/x"), ("uploadpack.hideRefs", "HEAD")],
    ],
)
def test_refs_that_an_origin_hides_are_taken(
    lab: Lab, origin: Origin, tmp_path: Path, settings: list[tuple[str, str]]
) -> None:
    for key, value in settings:
        origin.git("config", "--add", key, value)
    origin.ref("refs/internal/x", origin.blob(b"hidden"))
    taken = lab.take(origin)
    origin.commit("refs/internal/y")
    assert taken.manifest.head == "refs/heads/main"
    check(lab, origin, lab.take(origin), tmp_path)


def test_a_dangling_head_is_told_though_the_origin_is_set_not_to(lab: Lab, origin: Origin) -> None:
    origin.git("symbolic-ref", "HEAD", "refs/heads/none")
    origin.git("config", "lsrefs.unborn", "ignore")
    assert lab.take(origin).manifest.head == "refs/heads/none"


def test_what_only_reflogs_and_worktrees_know_is_a_gap_of_every_snapshot(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "tree"
    git(None, "init", "-q", "-b", "main", path)
    origin = Origin.at(path)
    first = origin.commit_tree(ref="refs/heads/main", f=b"one")
    git(path, "reset", "-q", "--hard")
    for number in range(8):
        (path / "f").write_text(str(number))
        git(path, "stash", "-q")
    git(path, "worktree", "add", "-q", "--detach", tmp_path / "w", origin.commit_tree(first, f=b"aside"))
    for kind in ("base", "unchanged"):
        manifest = lab.take(path).manifest
        assert manifest.kind == kind
        heads, stashes = manifest.gaps
        assert (heads.kind, heads.count, heads.sample) == ("worktree-heads", 1, [str(tmp_path / "w")])
        assert (stashes.kind, stashes.count) == ("older-stashes", 7)
        assert stashes.sample == [f"stash@{{{number}}}" for number in range(1, 6)]


def test_what_git_cannot_tell_of_an_origin_is_a_warning(lab: Lab, origin: Origin) -> None:
    """upload-pack finds x.git where it is asked for x; nothing else of git does."""
    folder = origin.path.with_suffix("")
    folder.mkdir()
    assert lab.take(folder).manifest.kind == "base"
    assert any("older stashes cannot be told" in warning for warning in lab.observer.warnings)
