"""Processes of this machine, as a test looks at them: any of them may end, and be waited for, while it is looked at."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.batches import until


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for yet does not."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def parent_of(pid: int) -> int:
    """The process that one was started by, or that has taken it over. Returns 0 if it is gone."""
    stat = _stat(pid)
    return int(stat[1]) if stat else 0


def children_of(pid: int) -> list[int]:
    """The processes that one has started, and that nobody has waited for yet."""
    return _children()[pid]


def descendants_of(pid: int) -> list[int]:
    """The processes below one, at whatever depth."""
    children = _children()
    found = list(children[pid])
    for each in found:
        found += children[each]
    return found


def command_line(pid: int) -> bytes:
    """What a process was started as, its words ended by NUL; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def heeds(pid: int, number: signal.Signals) -> bool:
    """Whether a process has made ready for a signal, which would else end it as the kernel does."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> number - 1 & 1)


def open_files(pid: int | str = "self") -> list[Path]:
    """What a process, by default this one, has open, by its links in /proc; what is closed meanwhile is left out."""
    found = []
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.append(link.readlink())
    return found


def until_gone(pid: int) -> None:
    """Wait until a process has ended."""
    until(lambda: not alive(pid))


def kill_one(pids: Sequence[int], choose: Callable[[Sequence[int]], int] = random.choice) -> bool:
    """Kill one of the processes, any of which may end before it. Returns whether that was done."""
    there = [pid for pid in pids if alive(pid)]
    if not there:
        return False
    try:
        os.kill(choose(there), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a run, and it alone, and wait for its other processes to end by themselves."""
    below = descendants_of(process.pid)
    process.kill()
    process.wait()
    for pid in below:
        until_gone(pid)


def _children() -> defaultdict[int, list[int]]:
    """The processes of this machine by their parents."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc"):  # noqa: PTH208 - names, not paths
        if name.isdigit() and (stat := _stat(int(name))):
            children[int(stat[1])].append(int(name))
    return children


def _stat(pid: int) -> list[str] | None:
    """A process's state, its parent, and what follows them in /proc's `stat`; None if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
