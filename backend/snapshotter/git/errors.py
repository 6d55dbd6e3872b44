"""Why git failed, told by its exit code and its words: what it was given, this machine, or a crash."""

from __future__ import annotations

import signal

from msgspec import Struct

from snapshotter.base.errors import Unavailable, Unusable
from snapshotter.base.text import decode_name, printable
from snapshotter.base.urls import redact

_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE})
_LENGTH = 500  # characters of git's words in a message
# strerror(3) under LC_ALL=C, and git's own words when memory or threads run out.
_MACHINE = (
    b"No space left on device",
    b"Disk quota exceeded",
    b"Read-only file system",
    b"Input/output error",
    b"Cannot allocate memory",
    b"Out of memory",
    b"out of memory",
    b"Too many open files",
    b"File too large",
    b"Permission denied",
    b"unable to create thread",
    b"Resource temporarily unavailable",
)


class GitFailed(Unusable):
    """git refused what it was given (a pack, a tree) and said why. The machine's trouble is another error."""

    default_code = "git"


class GitCrashed(Unavailable):
    """git crashed on what it was given, so nobody can tell whether that is in order."""

    default_code = "git-crash"


class GitResult(Struct, frozen=True):
    """What came of a git that ran to its end: exit code (negative: the signal that ended it), stdout and stderr."""

    code: int
    out: bytes
    err: bytes


def words(stderr: bytes) -> str:
    """git's last words on stderr, in one line and safe to show: without credentials and control characters.

    git says the cause before what follows from it, so the last lines are kept, as many as fit into a message.
    """
    lines = [printable(line.strip()) for line in redact(decode_name(stderr)).splitlines() if line.strip()]
    while len(lines) > 1 and sum(len(line) + 2 for line in lines) > _LENGTH:
        lines.pop(0)
    return "; ".join(lines)[:_LENGTH]


def failure(command: str, result: GitResult) -> Unavailable:
    """Why git failed. The machine's trouble (code `machine`) is told from the repository's (GitFailed)."""
    if result.code < 0:
        return _by_signal(command, -result.code)
    message = f"git {command} failed: {words(result.err)}"
    if machine_failed(result.err):
        return Unavailable(
            message,
            code="machine",
            hint="check free space, memory and limits, then run again; SNAPSHOTTER_TEMP moves verify's",
        )
    return GitFailed(message, hint="run `snapshotter verify`")


def _by_signal(command: str, number: int) -> Unavailable:
    """Why a signal ended git."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number in _CRASHES:
        return GitCrashed(
            f"git {command} crashed ({name})",
            hint="a tree that is nested too deeply for git's stack does that: raise it with `ulimit -s unlimited`, and "
            "run again",
        )
    if number == signal.SIGKILL:
        return Unavailable(
            f"git {command} was killed ({name})",
            code="machine",
            hint="the machine may be out of memory; run again where there is more",
        )
    return Unavailable(
        f"git {command} was ended ({name})",
        code="machine",
        hint="a limit of this machine, or somebody, ended it: run again without",
    )


def machine_failed(stderr: bytes) -> bool:
    """Whether the C library's words for an error say that this machine, not the repository, is in trouble."""
    return any(word in stderr for word in _MACHINE)
