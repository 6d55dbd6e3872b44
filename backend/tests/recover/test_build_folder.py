"""What a killed restore left behind is removed by the next one; what another is building is not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.recover import build_folder, restore
from snapshotter.recover.build_folder import Build
from tests.support.cli import BACKEND
from tests.support.git import Origin
from tests.support.lab import Lab, Words

BUILDER = """
import sys
from pathlib import Path
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.recover.build_folder import building
with building(Path(sys.argv[1]), Observer(), Cancel()) as build:
    (build.work / "objects").mkdir()
    print(build.work, flush=True)
    sys.stdin.read()
"""


def _builder(destination: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that builds a restore to `destination` until it is ended, and the folder that it builds in."""
    env = {"PYTHONPATH": str(BACKEND), "PATH": os.environ["PATH"]}
    argv = [sys.executable, "-c", BUILDER, str(destination)]
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    assert child.stdout is not None
    return child, Path(child.stdout.readline().strip())


def test_what_a_killed_restore_left_is_removed_and_said(tmp_path: Path) -> None:
    child, left = _builder(tmp_path / "out")
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert (left / "objects").is_dir()
    words = Words()
    build_folder.clear(tmp_path / "out", words)
    assert list(tmp_path.iterdir()) == []
    assert words.warnings == [f"removed {left}, which a killed restore left behind"]


def test_what_a_living_restore_builds_is_left_alone_and_said(tmp_path: Path) -> None:
    child, left = _builder(tmp_path / "out")
    words = Words()
    build_folder.clear(tmp_path / "out", words)
    assert (left / "objects").is_dir()
    assert "left alone" in words.warnings[0]
    assert str(left) in words.warnings[0]
    child.communicate()  # its stdin ends, and so does it
    assert not left.exists()


def test_only_folders_of_that_very_name_are_touched(tmp_path: Path) -> None:
    others = [
        ".out.partial-1234567",
        ".other.partial-12345678",
        "out.partial-12345678",
        ".out.partial-1234567g",
    ]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".out.partial-0000000a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".out.partial-0000000b").write_text("a file")
    before = sorted(tmp_path.iterdir())
    words = Words()
    build_folder.clear(tmp_path / "out", words)
    build_folder.clear(tmp_path / "absent" / "out", words)
    assert sorted(tmp_path.iterdir()) == before
    assert words.warnings == []


def test_a_cancelled_restore_takes_its_folder_along(tmp_path: Path) -> None:
    cancel = Cancel()
    out = tmp_path / "deep" / "deeper" / "out"
    with pytest.raises(Interrupted), build_folder.building(out, Words(), cancel):
        cancel.cancel()
        assert list(tmp_path.iterdir()) == []  # already now: the process may end
        cancel.check()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_restore_takes_the_folders_along_that_it_made(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(OSError, match="full"), _building(tmp_path / "there" / "a" / "b" / "out"):
        raise OSError(28, "full")
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_a_folder_above_that_holds_something_else_by_now_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), _building(tmp_path / "a" / "b" / "out"):
        (tmp_path / "a" / "somebody's").touch()
        raise OSError(28, "full")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "somebody's"]


def test_folders_above_of_which_one_cannot_be_made_go_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"), _building(tmp_path / "a" / ("b" * 300) / "out"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_folders_above_are_made_through_what_is_no_folder_yet(tmp_path: Path) -> None:
    with build_folder.building(tmp_path / "a" / ".." / "b" / "out", Words(), Cancel()) as build:
        (build.work / "HEAD").touch()
        build.place(lambda _: None)
    assert (tmp_path / "a" / ".." / "b" / "out" / "HEAD").exists()


def _building(destination: Path) -> AbstractContextManager[Build]:
    return build_folder.building(destination, Words(), Cancel())


def test_a_cancellation_in_the_moment_of_placing_takes_nothing_of_what_is_placed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal that has begun holds the folder, and goes on wherever it is moved to."""
    removing, remove = threading.Event(), shutil.rmtree

    def remove_slowly(path: Path, **options: bool) -> None:
        if not path.exists():
            return
        held = os.open(path, os.O_RDONLY)
        removing.set()
        for _ in range(1000):
            if not path.exists():
                break
            time.sleep(0.002)
        os.unlink("HEAD", dir_fd=held)
        os.close(held)
        remove(path, **options)

    class Cancelled(Cancel):
        """Is cancelled by another thread just after it was looked at."""

        placing = False

        def check(self) -> None:
            super().check()
            if self.placing:
                canceller.start()
                removing.wait(0.5)

    cancel, out = Cancelled(), tmp_path / "out"
    canceller = threading.Thread(target=cancel.cancel)
    with build_folder.building(out, Words(), cancel) as build:
        (build.work / "HEAD").touch()
        monkeypatch.setattr(shutil, "rmtree", remove_slowly)
        cancel.placing = True
        build.place(lambda _: None)
        canceller.join()
    assert [path.name for path in out.iterdir()] == ["HEAD"]
    assert list(tmp_path.iterdir()) == [out]


def test_a_restore_clears_what_an_earlier_one_to_the_same_place_left(tmp_path: Path) -> None:
    origin, lab, words = Origin(tmp_path / "origin.git"), Lab(tmp_path / "store"), Words()
    origin.commit()
    run = lab.catalog.folder(lab.take(origin).manifest.key)
    (tmp_path / "to").mkdir()
    left = tmp_path / "to" / ".out.partial-0123abcd"
    (left / "objects").mkdir(parents=True)
    restore.restore(lab.catalog, run, tmp_path / "to" / "out", mode="bare", observer=words)
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["out"]
    assert words.warnings == [f"removed {left}, which a killed restore left behind"]
