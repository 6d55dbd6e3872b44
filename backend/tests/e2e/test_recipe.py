"""The promise of docs/format.md: a chain restores with nothing but `cp`, `cat` and `git`."""

from __future__ import annotations

import random
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snapshotter.archive import layout
from snapshotter.archive.manifest import Sealed
from snapshotter.capture.options import CaptureOptions
from tests.support.git import ENV, Origin, git
from tests.support.lab import Lab

SMALL = CaptureOptions(segment_bytes=64 * 1024)


def by_recipe(lab: Lab, taken: Sealed, folder: Path) -> Path:
    """Restore as the recipe says, by a shell script and the manifest's own fields."""
    repository = folder / "x.git"
    format_flag = f"--object-format={taken.manifest.object_format}"
    script = [
        "set -eu",
        f"mkdir -p {q(folder)}",
        f"cd {q(folder)}",
        f"git init -q --bare {format_flag} x.git",
    ]
    for number, key in enumerate(taken.manifest.chain_keys):
        script += [
            f"cp -r {q(lab.root / key.folder)} {number}",
            f"cat {number}/history.bundle* > {number}.bundle",
            f"git -C x.git fetch -q --prune ../{number}.bundle '+refs/*:refs/*'",
        ]
    done = subprocess.run(["sh", "-c", "\n".join(script)], env=ENV, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return repository


def q(path: Path) -> str:
    return shlex.quote(str(path))


def refs(folder: Path) -> bytes:
    return git(folder, "for-each-ref", "--format=%(objectname) %(objecttype) %(*objectname) %(refname)")


def objects(folder: Path) -> set[bytes]:
    return {line[:40] for line in git(folder, "rev-list", "--all", "--objects").splitlines()}


class Told:
    """An origin whose every step is snapshotted and remembered."""

    def __init__(self, tmp_path: Path, object_format: str = "sha1") -> None:
        self.tmp_path = tmp_path
        self.origin = Origin(tmp_path / "x.git", object_format=object_format)
        # So heavy that no increment outweighs the base.
        self.origin.commit("refs/heads/bulk", {"bulk": random.Random(3).randbytes(40_000)})
        self.lab = Lab(tmp_path / "store")
        self.moments: list[tuple[Sealed, bytes, set[bytes]]] = []

    def take(self, options: CaptureOptions = SMALL) -> Sealed:
        taken = self.lab.take(self.origin, options)
        # `rev-list --all` counts a detached HEAD in; the recipe's refs do not hold it.
        seen = git(
            self.origin.path,
            "rev-list",
            "--objects",
            "--stdin",
            data=b"\n".join(line.split()[0] for line in refs(self.origin.path).splitlines()),
        )
        self.moments.append((taken, refs(self.origin.path), {line[:40] for line in seen.splitlines()}))
        return taken

    def check(self) -> None:
        for number, (taken, then, reachable) in enumerate(self.moments):
            made = by_recipe(self.lab, taken, self.tmp_path / f"recipe-{number}")
            assert refs(made) == then, taken.manifest.run_id
            assert objects(made) == reachable
            assert git(made, "fsck", "--full", "--no-dangling", check=False) == b""


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
    """HEAD at a commit that no ref holds. A fetch of refs/* passes over it, and where only HEAD moved git
    does not even read the bundle: so later bundles may not rest on it, and each brings it along."""
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
        git(made, "fetch", "-q", f"../{len(taken.manifest.chain) - 1}.bundle", "HEAD")
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
    "case", [forced_pushes, tags_on_blobs_and_trees, refs_only, many_segments], ids=lambda case: case.__name__
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
    assert [head.split()[1] for head in heads] == ["refs/heads/bulk", "refs/heads/main"]
