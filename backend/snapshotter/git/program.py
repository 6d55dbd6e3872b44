"""Children of git/: git itself, isolated from everybody's configuration, and the user's own helpers for secrets.

On repositories of ours git runs without hooks, replace refs, lazy fetches, prompts and colour. Only
`credential_fill` runs it with the user's configuration, which is what it asks. Children die with a cancellation.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress

from snapshotter.base import children, environment, runbook
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.git.errors import GitResult, failure, machine_failed

_ISOLATED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # else a ref could have another object checked in place of the stored one
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "none",  # nothing in a repository makes git reach out
    "GIT_DEFAULT_REF_FORMAT": "files",  # `Repository.write_refs` writes packed-refs by itself
    "LC_ALL": "C",
}
_SETTINGS = (
    f"core.hooksPath={os.devnull}",
    "gc.auto=0",
    "maintenance.auto=false",
    "core.fsmonitor=false",
    "safe.directory=*",  # the repositories are ours, also where a folder is shared with other users
    "core.quotePath=false",
    "protocol.allow=never",
)
_CONFIG = [word for setting in _SETTINGS for word in ("-c", setting)]


def ask(
    argv: list[str], cancel: Cancel, *, where: Sequence[str] = (), stdin: bytes | None = None
) -> GitResult:
    """Run git isolated and return what came of it, whatever its exit code.

    `where` are git's own options before the command, which say where the repository is. Raises Unavailable (code
    `machine`) if a signal or the machine kept git from answering.
    """
    result = _communicate(argv, cancel, where, stdin)
    if result.code < 0 or machine_failed(result.err):  # git did not finish, so its code tells nothing
        raise failure(argv[0], result)
    return result


def run(argv: list[str], cancel: Cancel, *, where: Sequence[str] = (), stdin: bytes | None = None) -> bytes:
    """As `ask`, and return the stdout. Raises GitFailed with git's words if it failed."""
    result = ask(argv, cancel, where=where, stdin=stdin)
    if result.code:
        raise failure(argv[0], result)
    return result.out


def feed(
    argv: list[str],
    chunks: Iterable[memoryview],
    cancel: Cancel,
    *,
    where: Sequence[str] = (),
    success: Container[int] = (0,),
) -> None:
    """Run git isolated on a stdin that comes in pieces. Raises as `run` does where its exit status is no `success`, and
    whatever `chunks` raises."""
    process = _start([*where, *argv], subprocess.PIPE)
    assert process.stdin is not None  # noqa: S101 - it is PIPE
    with cancel.ending(lambda: children.end_group(process)):
        try:
            for chunk in chunks:
                process.stdin.write(chunk)
        except BrokenPipeError:
            pass  # git has said why on stderr
        except BaseException:
            children.end_group(process)
            process.communicate()
            raise
        _, err = process.communicate()
    cancel.check()
    if process.returncode not in success:
        raise failure(argv[0], GitResult(process.returncode, b"", err))


def push(argv: list[str], cancel: Cancel, *, scheme: str, own: dict[str, str]) -> GitResult:
    """Run `git push` with `argv`, which may reach out by `scheme` alone, and return what came of it.

    `own` are variables for this child, such as those that hold a credential. Raises as `ask` does.
    """
    reach = {"GIT_ALLOW_PROTOCOL": scheme}
    process = _start(argv, subprocess.DEVNULL, environment.for_child(_ISOLATED | reach | own, network=True))
    with cancel.ending(lambda: children.end_group(process)):
        out, err = process.communicate()
    cancel.check()
    result = GitResult(process.returncode, out, err)
    if result.code < 0:
        raise failure("push", result)
    return result


def version() -> str:
    """The installed git's version, like ``2.39.5``. Raises Unavailable (code `git`) if it does not tell."""
    result = ask(["version"], Cancel())
    words = result.out.decode("utf-8", "replace").split()
    if result.code or len(words) < 3:
        raise Unavailable(
            "git does not tell its version: `git version` fails",
            code="git",
            hint=f"install git 2.34 or newer, and see what `git version` says {runbook.see(runbook.GIT)}",
        )
    return words[2]


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
            timeout=30,  # seconds: a helper may wait for a window that nobody sees
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
        late = isinstance(error, subprocess.TimeoutExpired)
        why = f"took longer than {timeout:.0f} s" if late else f"did not run ({type(error).__name__})"
        raise Unavailable(f"the token command {why}", code="token-command", hint="run it by hand") from None
    lines = command.stdout.decode("utf-8", "replace").splitlines()
    if command.returncode or not lines or not lines[0].strip():
        raise Unavailable(
            f"the token command gave no token (exit {command.returncode})",
            code="token-command",
            hint="run it by hand",
        )
    return lines[0].strip()


def _start(argv: list[str], stdin: int, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            ["git", *_CONFIG, *argv],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment.for_child(_ISOLATED) if env is None else env,
            start_new_session=True,  # a terminal's Ctrl-C reaches us alone, and we end the child in order
        )
    except OSError as error:
        raise Unavailable(
            f"could not start git: {error.strerror}", code="no-git", hint="install git 2.34 or newer"
        ) from error


def _communicate(argv: list[str], cancel: Cancel, where: Sequence[str], stdin: bytes | None) -> GitResult:
    process = _start([*where, *argv], subprocess.DEVNULL if stdin is None else subprocess.PIPE)
    with cancel.ending(lambda: children.end_group(process)):
        out, err = process.communicate(stdin)
    cancel.check()
    return GitResult(process.returncode, out, err)
