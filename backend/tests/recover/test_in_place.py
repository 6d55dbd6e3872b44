"""A restore into an empty folder: the folder stays what it is, whatever becomes of the restore."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snapshotter.archive import layout
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, SnapshotterError, UsageError
from snapshotter.base.observer import Observer
from snapshotter.recover import in_place, restore
from tests.support.cli import BACKEND
from tests.support.git import Origin, git
from tests.support.lab import Lab, Words

# A build that says where it is and waits: before anything is moved, when all but the last is, and at the end.
BUILDER = """
import sys
from pathlib import Path
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.recover.in_place import building
def wait(stage):
    if stage == sys.argv[2]:
        print(stage, flush=True)
        sys.stdin.read()
with building(Path(sys.argv[1]), Observer(), Cancel()) as build:
    for name in ("objects", "refs"):
        (build.work / name).mkdir()
        (build.work / name / "inside").write_text(name)
    (build.work / "HEAD").write_text("ref: refs/heads/main")
    wait("made")
    build.place(lambda _: wait("moving"))
    wait("placed")
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


@pytest.fixture
def taken(lab: Lab, tmp_path: Path) -> Sealed:
    origin = Origin(tmp_path / "origin.git")
    origin.commit(files={"a": b"a" * 100, "deep/b": b"b", ".hidden": b"", "HEAD": b"no git file"})
    return lab.take(origin)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "place"
    made.mkdir(0o2750)
    made.chmod(0o2750)
    return made


@contextmanager
def builder(place: Path, stage: str) -> Iterator[subprocess.Popen[str]]:
    """A process that builds in `place` and has come to `stage`."""
    env = {"PYTHONPATH": str(BACKEND), "PATH": os.environ["PATH"]}
    argv = [sys.executable, "-c", BUILDER, str(place), stage]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == stage
        yield child


def killed(place: Path, stage: str) -> None:
    with builder(place, stage) as child:
        child.send_signal(signal.SIGKILL)


def identity(place: Path) -> tuple[int, int]:
    return place.stat().st_ino, place.stat().st_mode


def contents(place: Path) -> list[Path]:
    return sorted(place.rglob("*"))


@pytest.mark.parametrize("mode", ["worktree", "bare", "mirror"])
def test_the_folder_stays_the_folder_that_it_is(lab: Lab, taken: Sealed, place: Path, mode: str) -> None:
    before = identity(place)
    lab.restore(taken, place, mode)
    assert identity(place) == before
    lab.restore(taken, place.parent / "beside", mode)
    assert sorted(p.name for p in place.iterdir()) == sorted(
        p.name for p in (place.parent / "beside").iterdir()
    )
    assert git(place, "rev-parse", "HEAD") == git(place.parent / "beside", "rev-parse", "HEAD")
    if mode == "worktree":
        assert git(place, "status", "--porcelain") == b""


def test_the_index_knows_the_files_where_they_are(lab: Lab, taken: Sealed, place: Path) -> None:
    """A move is a new ctime, which git's index keeps to the second."""

    slept: list[None] = []

    class NextSecond(Cancel):
        def check(self) -> None:
            super().check()
            if not slept and any(listed.stat().st_size for listed in place.glob("*/moved")):
                slept.append(time.sleep(1.1))

    run = lab.catalog.folder(taken.manifest.key)
    restore.restore(lab.catalog, run, place, cancel=NextSecond())
    git(place, "diff-files", "--exit-code")


def test_the_working_directory_can_be_restored_into(
    lab: Lab, taken: Sealed, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    lab.restore(taken, Path(), "worktree")
    assert Path("deep/b").read_bytes() == b"b"


def test_a_failed_restore_leaves_the_folder_empty(lab: Lab, taken: Sealed, place: Path) -> None:
    before = identity(place)
    bundle = lab.file(taken.manifest.key.key(layout.HISTORY))
    bundle.write_bytes(bundle.read_bytes()[:-30] + random.Random(0).randbytes(30))
    with pytest.raises(SnapshotterError):
        lab.restore(taken, place)
    assert (identity(place), contents(place)) == (before, [])


def test_a_failure_in_mid_move_leaves_the_folder_empty(place: Path) -> None:
    def fail(destination: Path) -> None:
        assert (destination / "file").exists()
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), in_place.building(place, Observer(), Cancel()) as build:
        (build.work / "file").touch()
        (build.work / "link").symlink_to(place.parent)
        (build.work / ".git").mkdir()
        build.place(fail)
    assert contents(place) == []
    assert place.parent.is_dir()


@pytest.mark.parametrize("stage", ["made", "moving"])
def test_a_cancelled_restore_leaves_the_folder_empty(place: Path, stage: str) -> None:
    """Already when the cancellation returns: the process may end then."""
    cancel = Cancel()

    def stop(_: Path | None = None) -> None:
        canceller = threading.Thread(target=cancel.cancel)
        canceller.start()
        canceller.join(10)
        assert contents(place) == []

    with pytest.raises(Interrupted), in_place.building(place, Observer(), cancel) as build:
        (build.work / "file").touch()
        (build.work / ".git").mkdir()
        if stage == "made":
            stop()
            cancel.check()
        build.place(stop)
    assert contents(place) == []


@pytest.mark.parametrize("stage", ["made", "moving"])
def test_what_a_killed_restore_left_is_removed_by_the_next(
    lab: Lab, taken: Sealed, place: Path, stage: str
) -> None:
    killed(place, stage)
    assert contents(place)
    words = Words()
    restore.restore(lab.catalog, lab.catalog.folder(taken.manifest.key), place, mode="bare", observer=words)
    assert not list(place.rglob("inside"))
    assert not list(place.glob(".snapshotter-restore-*"))
    git(place, "fsck", "--strict")
    (warning,) = words.warnings
    assert "which a killed restore left behind" in warning


@pytest.mark.parametrize("left", [[], ["tree"], ["tree/.git/objects"]])
def test_a_restore_that_was_killed_at_its_begin_or_while_it_cleared_up_is_removed_too(
    lab: Lab, taken: Sealed, place: Path, left: list[str]
) -> None:
    folder = place / ".snapshotter-restore-0123abcd"
    for name in [".", *left]:
        (folder / name).mkdir(parents=True, exist_ok=True)
    lab.restore(taken, place)
    assert not folder.exists()


@pytest.mark.parametrize("stage", ["made", "moving", "placed"])
def test_what_is_somebody_s_keeps_all_that_is_there(lab: Lab, taken: Sealed, place: Path, stage: str) -> None:
    """A file put there since, one in a moved one's place, and a repository that was whole before the kill."""
    killed(place, stage)
    if stage == "made":
        (place / "mine").touch()
    elif stage == "moving":
        shutil.copytree(place / "objects", place / "copy")
        shutil.rmtree(place / "objects")
        (place / "copy").rename(place / "objects")
    before = contents(place)
    with pytest.raises(UsageError, match="not an empty folder"):
        lab.restore(taken, place)
    assert contents(place) == before


@pytest.mark.parametrize("names", [b"", None, b"12 ../../x\0", b"nonsense\0", b"x y\0"])
def test_a_folder_that_only_has_such_a_name_is_somebody_s(
    lab: Lab, taken: Sealed, place: Path, names: bytes | None
) -> None:
    folder = place / ".snapshotter-restore-0123abcd"
    folder.mkdir()
    if names is None:
        (folder / "somebody's").touch()
    else:
        (folder / "moved").write_bytes(names)
    if names == b"":
        (place / "other").touch()
    before = contents(place)
    with pytest.raises(UsageError):
        lab.restore(taken, place)
    assert contents(place) == before


def test_two_restores_to_one_place_do_not_meet(lab: Lab, taken: Sealed, place: Path) -> None:
    with builder(place, "made") as child:
        before = contents(place)
        with pytest.raises(UsageError, match="another restore"):
            lab.restore(taken, place)
        assert contents(place) == before
        child.communicate()
    assert (place / "HEAD").exists()
    assert not list(place.glob(".snapshotter-restore-*"))


def test_a_link_to_a_folder_is_no_destination(lab: Lab, taken: Sealed, place: Path) -> None:
    (place.parent / "link").symlink_to(place)
    with pytest.raises(UsageError):
        lab.restore(taken, place.parent / "link")
    assert contents(place) == []
