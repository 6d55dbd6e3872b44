"""Measure whole processes: wall time, CPU of the process tree, memory of its largest process, bytes on disk.

ours, theirs = paired(lambda: run(["snapshotter", ...]), lambda: run(["git", "clone", ...]), rounds=5)
print(medians(ours).wall, ratio(ours, theirs))
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import IO, NamedTuple

Run = Callable[[], "Sample"]
Argv = Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Sample:
    """One run of a command, or the medians of several."""

    wall: float  # seconds from its start to its end
    cpu: float  # seconds, user and system, of the process and of all descendants, those that outlive it a little too
    max_rss_bytes: int  # of the largest single process among them; nothing below a launcher's 10 MB is seen
    returncode: int  # negative: the signal that ended it
    stdout: str = ""
    stderr: str = ""


# The kernel counts to a process's peak what its memory was just before exec: that of whoever forked it, or,
# after vfork and posix_spawn, of its parent itself. So a small process of its own starts the command. It becomes the
# parent of descendants whose own has ended, and waits for them: workers that were forked by a process beside ours.
_LAUNCHER = """
import ctypes, json, os, resource, sys, time
argv = sys.argv[1:]
report = int(argv.pop(0))
os.set_inheritable(report, False)
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
start = time.monotonic()
try:
    pid = os.posix_spawnp(argv[0], argv, os.environ)
except OSError as error:
    sys.exit(f"{argv[0]}: {error.strerror}")
_, status = os.waitpid(pid, 0)
wall = time.monotonic() - start
patience = time.monotonic() + 10
while time.monotonic() < patience:
    try:
        orphan, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        break
    if not orphan:
        time.sleep(0.005)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(report, json.dumps({
    "wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "max_rss_bytes": usage.ru_maxrss * 1024,
    "returncode": os.waitstatus_to_exitcode(status),
}).encode())
"""


def run(argv: Argv, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Sample:
    """Run a command to its end, with no input. Raises FileNotFoundError where it does not exist."""
    with ExitStack() as stack:
        out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        # -I and -S: neither this environment's variables nor site-packages may make the launcher larger
        launcher = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            _LAUNCHER,
            str(writer),
            *(os.fspath(each) for each in argv),
        ]
        try:
            subprocess.run(
                launcher,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=[writer],
                check=False,
            )
        finally:
            os.close(writer)
        report = os.read(reader, 4096)
        if not report:
            raise FileNotFoundError(_text(err).strip())
        return Sample(**json.loads(report), stdout=_text(out), stderr=_text(err))


def paired(
    first: Callable[[], Sample], second: Callable[[], Sample], rounds: int
) -> tuple[list[Sample], list[Sample]]:
    """Run two things in turn, A B A B, so that a machine that grows slower is slower for both."""
    pairs = [(first(), second()) for _ in range(rounds)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def medians(samples: Sequence[Sample]) -> Sample:
    """The median of every figure, with the last sample's output. Raises RuntimeError where a run failed."""
    for each in samples:
        if each.returncode:
            raise RuntimeError(f"a measured command ended with {each.returncode}: {each.stderr[-2000:]}")
    return replace(
        samples[-1],
        wall=median(each.wall for each in samples),
        cpu=median(each.cpu for each in samples),
        max_rss_bytes=int(median(each.max_rss_bytes for each in samples)),
    )


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], figure: str = "wall") -> float:
    """The median of a figure (wall, cpu, max_rss_bytes) of ours, over theirs."""
    return float(getattr(medians(ours), figure) / getattr(medians(theirs), figure))


class Written(NamedTuple):
    """What a command wrote to disk."""

    bytes: int
    files: dict[str, int]  # bytes by path


def disk_written(
    argv: Argv, exclude: Iterable[Path] = (), env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Written:
    """Bytes that a command and its descendants wrote to regular files outside the excluded folders.

    As strace sees it: plain, vectored and positioned writes, copies inside the kernel, and the length of
    every writable shared mapping; a file moved out of an excluded folder counts too (relative names are taken
    from `cwd`). Pipes, sockets, terminals, devices and memory (memfd, /dev/shm) are no disk. Raises
    RuntimeError where the command fails, or uses io_uring, whose writes strace does not see.
    """
    with tempfile.TemporaryDirectory(prefix="disk-written-") as folder:
        strace = ["strace", "-ff", "-y", "-s", "0", "--seccomp-bpf", "-e", f"trace={','.join(_TRACED)}"]
        done = subprocess.run(
            [*strace, "-o", f"{folder}/trace", *(os.fspath(each) for each in argv)],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the traced command ended with {done.returncode}: {done.stdout[-2000:]}")
        lines = (line for trace in sorted(Path(folder).iterdir()) for line in _lines(trace))
        return _add_up(lines, [f"{path.resolve()}/" for path in exclude], Path(cwd or Path.cwd()).resolve())


# For each call the position of the argument that is written to; a descriptor is followed by its path in <>.
_TARGET = {
    "write": 0,
    "writev": 0,
    "pwrite64": 0,
    "pwritev": 0,
    "pwritev2": 0,
    "sendfile": 0,
    "splice": 2,
    "copy_file_range": 2,
    "mmap": 4,
}
_RENAMES = ("rename", "renameat", "renameat2")
_TRACED = (*_TARGET, *_RENAMES, "io_uring_setup")
_CALL = re.compile(r"(\w+)\((.*)\) += (0x[0-9a-f]+|\d+)")
_NO_DISK = ("/dev/", "/proc/", "/sys/", "/memfd:")


def _add_up(lines: Iterable[str], excluded: list[str], cwd: Path) -> Written:
    files: dict[str, int] = {}
    moves: list[tuple[str, str]] = []
    for name, args, result in (call.groups() for line in lines if (call := _CALL.match(line))):
        if name == "io_uring_setup":
            raise RuntimeError("the traced command writes by io_uring, which strace cannot see")
        if name in _RENAMES:
            moves.append(_paths_of_rename(args, cwd))
            continue
        parts = args.split(", ")
        if name == "mmap":
            shared = "MAP_SHARED" in args and "PROT_WRITE" in args
            path, size = _path(parts[_TARGET[name]]), int(parts[1]) if shared else 0
        else:
            path, size = _path(parts[_TARGET[name]]), int(result, 0)
        if path and size:
            files[path] = files.get(path, 0) + size

    def outside(path: str) -> bool:
        return not path.startswith(tuple(excluded))

    moved = {new: files[old] for old, new in moves if old in files and not outside(old) and outside(new)}
    counted = {path: size for path, size in files.items() if outside(path)} | moved
    return Written(sum(counted.values()), counted)


def _path(argument: str) -> str:
    """The path of a descriptor as `strace -y` writes it, `3</a/b>`, or "" for what is no file on a disk."""
    _, _, rest = argument.partition("<")
    path = _unescaped(rest.rpartition(">")[0])
    return path if path.startswith("/") and not path.startswith(_NO_DISK) else ""


def _paths_of_rename(args: str, cwd: Path) -> tuple[str, str]:
    """Both paths, made absolute by the folder that the call names, or by `cwd`."""
    paths = re.findall(r'(?:AT_FDCWD|\d+)?(?:<([^>]*)>, )?"((?:[^"\\]|\\.)*)"', args)
    old, new = (str(cwd / _unescaped(folder) / _unescaped(name)) for folder, name in paths[:2])
    return old, new


def _unescaped(text: str) -> str:
    """strace writes bytes that are not printable ASCII in octal, `\\303\\251`."""
    return re.sub(r"(?:\\[0-7]{1,3})+", _octal, text) if "\\" in text else text


def _octal(escapes: re.Match[str]) -> str:
    return os.fsdecode(bytes(int(each, 8) for each in escapes[0].split("\\")[1:]))


def _lines(trace: Path) -> Iterator[str]:
    with trace.open(encoding="utf-8", errors="surrogateescape") as lines:
        yield from lines


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
