"""The memory of a command's processes, sampled from /proc while it runs."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

MIB = 1024 * 1024


class Watched:
    """The memory of a command's processes, sampled while it runs to its end.

    `peak` is bytes of PSS, `at_peak` what each process held then in MiB, `tmpfs` the most that /dev/shm grew.
    """

    def __init__(self) -> None:
        self.peak, self.tmpfs = 0, 0
        self.at_peak: dict[str, float] = {}

    def run(self, argv: list[str]) -> None:
        """Run a command. Ends the benchmark if it fails."""
        before = _shm()
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=stderr, env=os.environ)
            ended = threading.Event()
            sampler = threading.Thread(target=self._sample, args=(process.pid, before, ended))
            sampler.start()
            code = process.wait()
            ended.set()
            sampler.join()
            if code:
                stderr.seek(0)
                raise SystemExit(f"the watched command ended with {code}: {stderr.read().decode()[-2000:]}")

    def _sample(self, root: int, before: int, ended: threading.Event) -> None:
        while not ended.wait(0.02):
            held = {f"{_name(pid)} {pid}": size for pid in _family(root) if (size := _pss(pid))}
            if sum(held.values()) > self.peak:
                self.peak = sum(held.values())
                self.at_peak = {name: round(size / MIB, 1) for name, size in held.items()}
            self.tmpfs = max(self.tmpfs, _shm() - before)


def _family(root: int) -> list[int]:
    """A process and all of its descendants."""
    tree, at = [root], 0
    while at < len(tree):
        with suppress(OSError):  # it has ended since
            for task in Path(f"/proc/{tree[at]}/task").glob("*/children"):
                tree += map(int, (_read(task) or "").split())
        at += 1
    return tree


def _pss(pid: int) -> int:
    lines = (_read(Path(f"/proc/{pid}/smaps_rollup")) or "").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _name(pid: int) -> str:
    return (_read(Path(f"/proc/{pid}/comm")) or "gone").strip()


def _read(path: Path) -> str | None:
    """The text of a file that may go while it is read, as those of processes do."""
    try:
        return path.read_text()
    except OSError:
        return None


def _shm() -> int:
    room = os.statvfs("/dev/shm")
    return (room.f_blocks - room.f_bfree) * room.f_frsize
