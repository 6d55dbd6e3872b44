"""Children of git/: git itself, isolated from everybody's configuration, and the user's own helpers for secrets.

On repositories of ours git runs without hooks, replace refs, lazy fetches, prompts and colour. Only
`credential_fill` runs it with the user's configuration, which is what it asks. Children die with a cancellation.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from snapshotter.base import environment
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable, Unusable
from snapshotter.base.text import decode_name, printable
from snapshotter.base.urls import redact

_ISOLATED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_DEFAULT_REF_FORMAT": "files",
    "LC_ALL": "C",
}
_SETTINGS = (
    f"core.hooksPath={os.devnull}",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.fsmonitor=false",
    "safe.directory=*",
    "core.quotePath=false",
    "protocol.allow=never",
)
_CONFIG = [word for setting in _SETTINGS for word in ("-c", setting)]


class GitFailed(Unusable):
    """git refused what it was given (a pack, a tree) and said why. The machine's trouble is another error."""

    default_code = "git"


class GitCrashed(Unavailable):
    """git crashed on what it was given, so nobody can tell whether that is in order."""

    default_code = "git-crash"


@dataclass(frozen=True)
class Answer:
    """What a git that ran to its end said: its exit code, its stdout and stderr."""

    code: int
    out: bytes
    err: bytes


def ask(argv: list[str], cancel: Cancel, *, place: Sequence[str] = (), stdin: bytes | None = None) -> Answer:
    """Run git isolated and return its answer, whatever its exit code.

    `place` are git's own options before the command, which say where the repository is. Raises Unavailable (code
    `machine`) if a signal or the machine kept git from answering.
    """
    answer = _communicate(argv, cancel, place, stdin)
    if answer.code < 0 or _of_the_machine(answer.err):  # git gave no answer, so this is none
        raise _failed(argv[0], answer)
    return answer


def run(argv: list[str], cancel: Cancel, *, place: Sequence[str] = (), stdin: bytes | None = None) -> bytes:
    """As `ask`, and return the stdout. Raises GitFailed with git's words if it failed."""
    answer = ask(argv, cancel, place=place, stdin=stdin)
    if answer.code:
        raise _failed(argv[0], answer)
    return answer.out


def feed(argv: list[str], chunks: Iterable[memoryview], cancel: Cancel, *, place: Sequence[str] = ()) -> None:
    """Run git isolated on a stdin that comes in pieces. Raises as `run` does, and whatever `chunks` raises."""
    process = _start([*place, *argv], subprocess.PIPE)
    assert process.stdin is not None  # noqa: S101 - it is PIPE
    with cancel.ending(process.kill):
        try:
            for chunk in chunks:
                process.stdin.write(chunk)
        except BrokenPipeError:
            pass  # git has said why on stderr
        except BaseException:
            process.kill()
            process.communicate()
            raise
        _, err = process.communicate()
    cancel.check()
    if process.returncode:
        raise _failed(argv[0], Answer(process.returncode, b"", err))


def words(stderr: bytes) -> str:
    """git's last words on stderr, in one line and safe to show: without credentials and control characters.

    git says the cause before what follows from it, so as many lines as fit into 500 characters are taken from the end.
    """
    said = [printable(line.strip()) for line in redact(decode_name(stderr)).splitlines() if line.strip()]
    while len(said) > 1 and sum(len(line) + 2 for line in said) > 500:
        said.pop(0)
    return "; ".join(said)[:500]


def version() -> str:
    """The installed git's version, like ``2.39.5``."""
    return run(["version"], Cancel()).decode().split()[2]


def credential_fill(protocol: str, host: str, path: str) -> tuple[str, str] | None:
    """The user and secret that the user's own git credential helpers know for a host, or None. Never prompts."""
    request = f"protocol={protocol}\nhost={host}\npath={path.lstrip('/')}\n\n"
    silent = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true"}
    with suppress(OSError, subprocess.SubprocessError):
        helper = subprocess.run(
            ["git", "credential", "fill"],
            input=request.encode(),
            capture_output=True,
            env=environment.for_users_own(silent),
            timeout=30,
            check=False,
        )
        answer = dict(
            line.partition("=")[::2] for line in helper.stdout.decode("utf-8", "replace").splitlines()
        )
        if helper.returncode == 0 and answer.get("password"):
            return answer.get("username", ""), answer["password"]
    return None


def command_output(argv: list[str], timeout: float = 60.0) -> str:
    """The first line that a user's own command prints, for SNAPSHOTTER_GIT_TOKEN_COMMAND.

    Raises Unavailable without the command's output in the message: it may hold a secret.
    """
    try:
        command = subprocess.run(
            argv,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environment.for_users_own({}),
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = type(error).__name__
        raise Unavailable(
            f"the token command did not run ({reason})", code="token-command", hint="run it by hand"
        ) from None
    lines = command.stdout.decode("utf-8", "replace").splitlines()
    if command.returncode or not lines or not lines[0].strip():
        raise Unavailable(
            f"the token command gave no token (exit {command.returncode})",
            code="token-command",
            hint="run it by hand",
        )
    return lines[0].strip()


def _start(argv: list[str], stdin: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            ["git", *_CONFIG, *argv],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment.for_child(_ISOLATED),
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(
            f"could not start git: {error.strerror}", code="no-git", hint="install git 2.34 or newer"
        ) from error


def _communicate(argv: list[str], cancel: Cancel, place: Sequence[str], stdin: bytes | None) -> Answer:
    process = _start([*place, *argv], subprocess.DEVNULL if stdin is None else subprocess.PIPE)
    with cancel.ending(process.kill):
        out, err = process.communicate(stdin)
    cancel.check()
    return Answer(process.returncode, out, err)


def _failed(command: str, answer: Answer) -> Unavailable:
    """Why git failed. The machine's trouble (code `machine`) is told from the repository's (GitFailed)."""
    if answer.code < 0:
        return _ended(command, -answer.code)
    message = f"git {command} failed: {words(answer.err)}"
    if _of_the_machine(answer.err):
        return Unavailable(
            message,
            code="machine",
            hint="check free space, memory and limits, then run again; SNAPSHOTTER_TEMP moves verify's",
        )
    return GitFailed(message, hint="run `snapshotter verify`")


def _ended(command: str, number: int) -> Unavailable:
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


_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE})


def _of_the_machine(stderr: bytes) -> bool:
    """Whether the C library's words for an error say that this machine, not the repository, is in trouble."""
    return any(word in stderr for word in _MACHINE)


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
