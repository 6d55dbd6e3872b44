"""Repositories that are out of the ordinary, and come back as they were."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.transport import ShallowOrigin
from tests.support.git import Origin, git
from tests.support.lab import Lab, check


def test_sha256(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git", object_format="sha256")
    assert lab.take(origin).manifest.kind == "empty"
    origin.commit(files={"a": b"a" * 9000})
    origin.git("tag", "-a", "-m", "t", "v1", "main")
    base = lab.take(origin)
    origin.commit()
    taken = lab.take(origin)
    assert [base.manifest.object_format, taken.manifest.object_format] == ["sha256", "sha256"]
    assert [base.manifest.kind, taken.manifest.kind] == ["base", "increment"]
    assert len(taken.manifest.history.pack_checksum) == 64  # type: ignore[union-attr]
    check(lab, origin, taken, tmp_path)


def test_refs_that_lie_in_one_another_come_back_both(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    """git itself cannot clone such an origin: its packed-refs hold what no folder of refs could."""
    tip = origin.oid("main")
    lines = [f"{tip} refs/heads/a", f"{tip} refs/heads/a/b", f"{tip} refs/heads/main"]
    head = "# pack-refs with: peeled fully-peeled sorted \n"
    for name in ("main", "bulk"):
        (origin.path / "refs" / "heads" / name).unlink(missing_ok=True)
    (origin.path / "packed-refs").write_text(head + "\n".join(lines) + "\n")
    mirror = subprocess.run(["git", "clone", "-q", "--mirror", origin.path, tmp_path / "mirror"], check=False)
    assert mirror.returncode != 0
    check(lab, origin, lab.take(origin), tmp_path)
    (origin.path / "packed-refs").write_text(head + "\n".join([*lines, f"{tip} refs/heads/main/c"]) + "\n")
    taken = lab.take(origin)
    assert taken.manifest.kind == "increment"
    check(lab, origin, taken, tmp_path)
    assert lab.restore(taken, tmp_path / "tree", "worktree").refs == 4


def test_fifty_thousand_refs(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    tip = origin.oid("main")
    kinds = ("tags", "heads/many")
    held = {f"refs/{kind}/r{n:05}": tip for n in range(25_000) for kind in kinds}

    def write() -> None:  # as git packs them; one by one they would take it half a minute
        lines = [f"{oid} {name}\n" for name, oid in sorted(held.items())]
        (origin.path / "packed-refs").write_text("# pack-refs with: sorted \n" + "".join(lines))

    held["refs/heads/bulk"] = origin.oid("bulk")
    write()
    taken = lab.take(origin)
    assert taken.manifest.refs.count == 50_002
    moved = origin.commit()
    held |= {name: moved for name in held if name.startswith("refs/heads/many/")}
    write()
    taken = lab.take(origin)
    assert taken.manifest.kind == "increment"
    changes = taken.manifest.ref_changes
    assert changes is not None
    assert changes.moved.count == 25_001  # with main
    assert len(changes.moved.refs) == 1000
    assert changes.unknown.count == changes.rewritten.count == 0  # they moved alike, by one commit
    check(lab, origin, taken, tmp_path)


def test_head_that_shares_its_commit_with_other_branches(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    """git guesses the default branch by commit, and guesses wrong; the ledger knows it."""
    origin.ref("refs/heads/zz", origin.oid("main"))
    origin.ref("refs/heads/aa", origin.oid("main"))
    origin.git("symbolic-ref", "HEAD", "refs/heads/zz")
    taken = lab.take(origin)
    assert taken.manifest.head == "refs/heads/zz"
    check(lab, origin, taken, tmp_path)


def test_dangling_head(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.git("symbolic-ref", "HEAD", "refs/heads/none")
    taken = lab.take(origin)
    assert taken.manifest.head == "refs/heads/none"
    check(lab, origin, taken, tmp_path)
    lab.restore(taken, tmp_path / "tree", mode="worktree")
    assert sorted(path.name for path in (tmp_path / "tree").iterdir()) == [".git"]


def test_only_head_moves(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    lab.take(origin)
    origin.git("symbolic-ref", "HEAD", "refs/heads/bulk")
    taken = lab.take(origin)
    assert taken.manifest.kind == "increment"
    assert taken.manifest.ref_changes.moved.refs[0].ref == "HEAD"  # type: ignore[union-attr]
    check(lab, origin, taken, tmp_path)


def test_detached_head_whose_commit_no_ref_holds(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    tip = origin.oid("main")
    for number in range(3):
        aside = (
            origin.git("commit-tree", "-p", tip, "-m", f"aside {number}", f"{tip}^{{tree}}").decode().strip()
        )
        origin.git("update-ref", "--no-deref", "HEAD", aside)
        if number == 2:
            origin.commit()
        taken = lab.take(origin)
        assert taken.manifest.head == aside
        check(lab, origin, taken, tmp_path)
    assert taken.manifest.kind == "increment"
    lab.restore(taken, tmp_path / "tree", mode="worktree")
    assert git(tmp_path / "tree", "rev-parse", "HEAD").decode().strip() == aside
    assert git(tmp_path / "tree", "status", "--porcelain") == b""


def test_branch_aliases(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    origin.git("symbolic-ref", "refs/heads/deep/alias", "refs/heads/main")
    lab.take(origin)
    origin.commit()
    origin.git("symbolic-ref", "refs/heads/alias", "refs/heads/bulk")
    taken = lab.take(origin)
    assert taken.manifest.kind == "increment"
    check(lab, origin, taken, tmp_path)
    assert (
        git(tmp_path / f"r-{taken.manifest.run_id}.git", "symbolic-ref", "refs/heads/alias")
        == b"refs/heads/bulk\n"
    )


def test_names_that_are_not_utf8(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    latin, tip = b"refs/heads/caf\xe9", origin.oid("main")
    origin.git("update-ref", latin, tip)
    origin.git("update-ref", "refs/tags/ü-✓".encode(), tip)
    origin.commit(files={b"na\xefve/\xff\xfe.txt": b"x", b'quo"te\\\n': b"y"})
    origin.git("symbolic-ref", b"HEAD", latin)
    taken = lab.take(origin)
    assert taken.manifest.head == "refs/heads/caf\\xe9"
    assert taken.manifest.head_bytes is not None
    check(lab, origin, taken, tmp_path)
    assert lab.restore(taken, tmp_path / "tree", mode="worktree").head == "refs/heads/caf\\xe9"
    origin.git("update-ref", "-d", latin)
    changed = lab.take(origin)
    gone = changed.manifest.ref_changes.deleted.refs[0]  # type: ignore[union-attr]
    assert gone.ref == "refs/heads/caf\\xe9"
    assert gone.ref_bytes == "cmVmcy9oZWFkcy9jYWbp"
    check(lab, origin, changed, tmp_path)
    ledger = lab.file(changed.manifest.refs.artifact).read_bytes()
    assert b"@refs/heads/caf\xe9 HEAD\n" in ledger


def test_a_parent_without_branches_makes_a_base(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.ref("refs/tags/v1", origin.oid("main"))
    for branch in ("refs/heads/main", "refs/heads/bulk"):
        origin.ref(branch, None)
    first = lab.take(origin)
    check(lab, origin, first, tmp_path)
    origin.ref("refs/tags/v2", origin.blob(b"x"))
    second = lab.take(origin)
    assert [first.manifest.kind, second.manifest.kind] == ["base", "base"]
    assert "no branches" in second.manifest.reason
    check(lab, origin, second, tmp_path)


def test_an_empty_repository(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git")
    first, second = lab.take(origin), lab.take(origin)
    for taken in (first, second):
        assert taken.manifest.kind == "empty"
        assert taken.manifest.history is None
        made = tmp_path / f"{taken.manifest.run_id}.git"
        lab.restore(taken, made)
        assert git(made, "symbolic-ref", "HEAD") == b"refs/heads/main\n"
        assert git(made, "for-each-ref") == b""
    origin.commit()
    third = lab.take(origin)
    assert third.manifest.kind == "base"
    check(lab, origin, third, tmp_path)
    origin.ref("refs/heads/main", None)
    assert lab.take(origin).manifest.kind == "empty"
    lab.assert_whole(first)


def test_a_local_origins_grafts_do_not_cut_its_history(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    """git's upload-pack would send what the grafts leave of it, which is no whole repository."""
    origin.commit()
    (origin.path / "info").mkdir(exist_ok=True)
    (origin.path / "info" / "grafts").write_text(f"{origin.oid('main')}\n")
    taken = lab.take(origin)
    (origin.path / "info" / "grafts").unlink()
    check(lab, origin, taken, tmp_path)


def test_a_shallow_origin_is_refused(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    origin.commit()
    git(
        None,
        "clone",
        "-q",
        "--bare",
        "--depth=1",
        f"file://{origin.path}",
        str(tmp_path / "srv" / "shallow.git"),
    )
    with GitHost(tmp_path / "srv") as host, GitHost(tmp_path / "srv", v0=True) as old:
        for place in (str(tmp_path / "srv" / "shallow.git"), host.url("shallow.git"), old.url("shallow.git")):
            with pytest.raises(ShallowOrigin) as caught:
                lab.take(place)
            assert "unshallow" in caught.value.hint
    assert lab.store.list("") == []
