"""Private folders: gone when their owner is done or cancelled, swept when it was killed, never before."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.base.folders import Leftover, locked_folder, sweep

OWNER = """
import sys
from pathlib import Path
from snapshotter.base.folders import locked_folder
with locked_folder(Path(sys.argv[1]), "work-") as folder:
    (folder / "inside").mkdir()
    print(folder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner(place: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a folder in `place` until its stdin ends, and the folder."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", OWNER, str(place)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout is not None
        yield child, Path(child.stdout.readline().strip())


def test_a_folder_is_private_and_goes_at_the_end(tmp_path: Path) -> None:
    with locked_folder(tmp_path, "work-") as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith("work-")
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "inside").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_renamed_stays(tmp_path: Path) -> None:
    with locked_folder(tmp_path, "work-") as folder:
        folder.rename(tmp_path / "result")
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_a_cancellation_removes_it_at_once(tmp_path: Path) -> None:
    cancel = Cancel()
    with pytest.raises(Interrupted), locked_folder(tmp_path, "work-", cancel=cancel) as folder:
        cancel.cancel()
        assert not folder.exists()
        cancel.check()


def test_what_cannot_be_made_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked_folder(tmp_path / "absent", "work-"):
        pass


def test_a_killed_owner_s_folder_is_swept_and_a_living_one_s_is_not(tmp_path: Path) -> None:
    with owner(tmp_path) as (living, kept), owner(tmp_path) as (killed, left):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert set(sweep(tmp_path, "work-")) == {Leftover(kept, "in use"), Leftover(left, "removed")}
        assert [path.name for path in kept.iterdir()] == ["inside"]
        assert not left.exists()
        living.communicate()
    assert sweep(tmp_path, "work-") == []


def test_only_folders_of_the_very_name_are_met(tmp_path: Path) -> None:
    for name in ("work-0123abc", "work-0123abcg", "other-0123abcd", "0123abcd"):
        (tmp_path / name).mkdir()
    (tmp_path / "work-0123abcd").write_text("a file")
    (tmp_path / "work-1123abcd").symlink_to(tmp_path / "other-0123abcd")
    before = sorted(tmp_path.iterdir())
    assert sweep(tmp_path, "work-") == []
    assert sorted(tmp_path.iterdir()) == before
    assert sweep(tmp_path / "absent", "work-") == []


def test_another_user_s_folder_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work-0123abcd").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert sweep(tmp_path, "work-") == [Leftover(tmp_path / "work-0123abcd", "stuck")]
    assert (tmp_path / "work-0123abcd").is_dir()


def test_without_locks_a_folder_can_be_made_and_nothing_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked_folder(tmp_path, "work-") as folder:
        assert sweep(tmp_path, "work-") == [Leftover(folder, "in use")]
        assert folder.is_dir()


def test_what_is_written_while_a_folder_is_removed_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, written = shutil.rmtree, []

    def remove_beside_a_writer(path: Path, **options: bool) -> None:
        remove(path, **options)
        if not written:
            written.append(path)
            (path / "late").mkdir(parents=True)

    with locked_folder(tmp_path, "work-") as folder:
        monkeypatch.setattr(shutil, "rmtree", remove_beside_a_writer)
    assert written == [folder] and list(tmp_path.iterdir()) == []
