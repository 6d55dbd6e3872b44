"""The measurements that the benchmarks report are what they say: of the whole tree, and of it alone."""

import os
import sys
from pathlib import Path

import pytest

from measure import Sample, disk_written, medians, paired, ratio, run

PYTHON = [sys.executable, "-I", "-S", "-c"]
SPIN = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_wall_cpu_and_output() -> None:
    slept = run([*PYTHON, "import time, sys; time.sleep(0.3); print('out'); sys.exit('err')"])
    assert (slept.returncode, slept.stdout, slept.stderr) == (1, "out\n", "err\n")
    assert 0.3 <= slept.wall < 2
    assert slept.cpu < 0.2
    assert 0.3 <= run([*PYTHON, SPIN]).cpu < 1


def test_descendants_count() -> None:
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-I', '-S', '-c', {SPIN!r}])"
    assert run([*PYTHON, child]).cpu >= 0.3
    fat = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'bytearray(b\"x\") * 200_000_000'])"
    assert 200e6 < run([*PYTHON, fat]).max_rss_bytes < 260e6


def test_descendants_that_outlive_their_parent_count_and_it_alone_is_timed() -> None:
    child = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-I', '-S', '-c', {SPIN!r}])"
    left = run([*PYTHON, child])
    assert left.cpu >= 0.3
    assert left.returncode == 0


def test_a_fat_parent_does_not_count() -> None:
    ballast = bytearray(b"x") * 400_000_000
    assert run(["true"]).max_rss_bytes < 20e6
    assert len(ballast) == 400_000_000


def test_environment_folder_signals_and_missing_commands(tmp_path: Path) -> None:
    assert run(["/bin/sh", "-c", "pwd; echo $X"], {"X": "y"}, tmp_path).stdout == f"{tmp_path}\ny\n"
    assert run(["/bin/sh", "-c", "kill -9 $$"]).returncode == -9
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        run(["no-such-command"])


def test_pairs_medians_and_ratio() -> None:
    order: list[str] = []

    def sample(name: str, wall: float) -> Sample:
        order.append(name)
        return Sample(wall, wall / 2, 100, 0)

    walls = iter([1.0, 9.0, 2.0])
    ours, theirs = paired(lambda: sample("a", next(walls)), lambda: sample("b", 4.0), 3)
    assert order == ["a", "b"] * 3
    assert medians(ours).wall == 2.0
    assert ratio(ours, theirs) == ratio(ours, theirs, "cpu") == 0.5
    with pytest.raises(RuntimeError, match="boom"):
        medians([Sample(1, 1, 1, 4, stderr="boom")])


WRITES = """
import mmap, os, socket, subprocess, sys
os.write(os.open("plain é", os.O_CREAT | os.O_WRONLY), b"x" * 1000)
fd = os.open("positioned", os.O_CREAT | os.O_RDWR)
os.pwrite(fd, b"x" * 100, 5000); os.writev(fd, [b"x" * 10, b"y" * 10])
fd = os.open("copied", os.O_CREAT | os.O_WRONLY)
os.sendfile(fd, os.open("positioned", os.O_RDONLY), 0, 300)
fd = os.open("mapped", os.O_CREAT | os.O_RDWR); os.ftruncate(fd, 8192); mmap.mmap(fd, 8192)
subprocess.run(["dd", "if=/dev/zero", "of=by-child", "bs=7", "count=3", "status=none"])
open("gone", "w").write("z" * 50); os.unlink("gone")
print("to a pipe"); open("/dev/null", "w").write("nowhere")
os.write(os.memfd_create("m"), b"memory")
a, b = socket.socketpair(); a.send(b"s"); os.write(a.fileno(), b"s")
open("store/kept", "w").write("k" * 500)
open("store/left", "w").write("l" * 70); os.rename("store/left", "left")
"""


def test_bytes_written_to_disk_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    written = disk_written([*PYTHON, WRITES], exclude=[tmp_path / "store"], cwd=tmp_path)
    expected = {"plain é": 1000, "positioned": 120, "copied": 300, "mapped": 8192, "by-child": 21, "gone": 50}
    expected["left"] = 70
    assert {Path(path).name: size for path, size in written.files.items()} == expected
    assert written.bytes == sum(expected.values())


def test_a_command_that_writes_nothing_or_fails() -> None:
    assert disk_written(["true"]) == (0, {})
    with pytest.raises(RuntimeError, match="ended with 3"):
        disk_written(["/bin/sh", "-c", "exit 3"], env={"PATH": os.environ["PATH"]})
