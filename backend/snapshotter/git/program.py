"""The only module that runs git on a repository of ours, isolated from everybody's configuration.

No hooks, no replace refs, no lazy fetches, no prompts, no colour; children die with a cancellation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable
from snapshotter.base.text import decode_name, printable
from snapshotter.base.urls import redact
from snapshotter.git.refs import RefsLedger

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


class Repository:
    """A repository that we made: `path` is its git directory."""

    def __init__(self, path: Path, cancel: Cancel) -> None:
        self.path = path
        self._cancel = cancel

    @classmethod
    def create(cls, path: Path, object_format: str, cancel: Cancel) -> Repository:
        """A new, empty, bare repository at `path`, without templates and so without hooks."""
        repository = cls(path, cancel)
        run(
            ["init", "--quiet", "--bare", "--template=", f"--object-format={object_format}", str(path)],
            cancel,
        )
        return repository

    def index_pack(self, chunks: Iterable[memoryview]) -> None:
        """Add a pack, given in pieces, completing deltas against objects held before it.

        Hashes every object. Raises Unavailable (code `git`) with git's own words if the pack is not whole.
        """
        process = self._popen(["index-pack", "--stdin", "--fix-thin"], stdin=subprocess.PIPE)
        assert process.stdin is not None  # noqa: S101 - it is PIPE
        with self._cancel.ending(process.kill):
            try:
                for chunk in chunks:
                    process.stdin.write(chunk)
            except BrokenPipeError:
                pass  # git has said why on stderr
            except BaseException:
                process.kill()
                process.communicate()
                raise
            self._finish(process, "index-pack")

    def write_refs(self, ledger: RefsLedger) -> None:
        """Set every ref at once, symbolic refs and HEAD too, in place of those before.

        One `packed-refs` file, as `git clone` writes, instead of a file for each ref.
        """
        shutil.rmtree(self.path / "refs")
        (self.path / "refs" / "heads").mkdir(parents=True)  # without it git sees no repository
        lines = [b"# pack-refs with: peeled fully-peeled sorted \n"]
        for ref in ledger:
            if ref.symref is None:
                lines.append(b"%b %b\n" % (ref.oid.encode(), ref.name))
                if ref.peeled:
                    lines.append(b"^%b\n" % ref.peeled.encode())
        (self.path / "packed-refs").write_bytes(b"".join(lines))
        for ref in ledger:
            if ref.symref is not None:
                place = Path(os.fsdecode(os.path.join(os.fsencode(self.path), ref.name)))  # noqa: PTH118 - names are bytes
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(b"ref: %b\n" % ref.symref)
        if ledger.head_target is not None:
            (self.path / "HEAD").write_bytes(b"ref: %b\n" % ledger.head_target)
        elif ledger.head_oid:
            (self.path / "HEAD").write_bytes(b"%b\n" % ledger.head_oid.encode())

    def missing(self, tips: Iterable[str], known: Iterable[str] = ()) -> str | None:
        """git's words about the first object that cannot be reached from `tips`, or None if all are there.

        What is reachable from `known` is taken as checked before.
        """
        feed = "".join(f"{oid}\n" for oid in tips) + "".join(f"^{oid}\n" for oid in known)
        done = self._git(["rev-list", "--objects", "--stdin", "--quiet"], stdin=feed.encode(), check=False)
        return None if done.returncode == 0 else _words(done.stderr) or "rev-list failed"

    def refs(self) -> dict[bytes, str]:
        """Object id by ref name, as git reads them."""
        done = self._git(["for-each-ref", "--format=%(objectname) %(refname)"])
        return {
            name: oid.decode() for oid, _, name in (line.partition(b" ") for line in done.stdout.splitlines())
        }

    def fsck(self) -> list[str]:
        """What `git fsck --strict` finds, as lines. Recorded, never a verdict: well-known projects have findings."""
        done = self._git(["fsck", "--strict", "--no-dangling", "--no-progress", "--no-reflogs"], check=False)
        return [printable(line) for line in decode_name(done.stdout + done.stderr).splitlines()][:1000]

    def configure(self, settings: Sequence[tuple[str, str]]) -> None:
        """Set configuration in the repository itself."""
        for key, value in settings:
            self._git(["config", "--add", "--", key, value])

    def checkout(self, tree: Path) -> None:
        """Fill the work tree from HEAD: no hooks, no filters but git's own, no submodules."""
        self._git(["read-tree", "-m", "-u", "HEAD"], work_tree=tree)

    def _git(
        self,
        argv: list[str],
        *,
        stdin: bytes | None = None,
        check: bool = True,
        work_tree: Path | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        process = self._popen(
            argv, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL, work_tree=work_tree
        )
        with self._cancel.ending(process.kill):
            out, err = process.communicate(stdin)
        self._cancel.check()
        if check and process.returncode:
            raise _failed(argv[0], process.returncode, err)
        if process.returncode < 0 or _of_the_machine(err):  # git gave no answer, so this is none
            raise _failed(argv[0], process.returncode, err)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def _popen(
        self, argv: list[str], *, stdin: int, work_tree: Path | None = None
    ) -> subprocess.Popen[bytes]:
        place = [f"--git-dir={self.path}"]
        if work_tree:
            place = ["-C", str(work_tree), *place, f"--work-tree={work_tree}"]
        return _start([*place, *argv], stdin)

    def _finish(self, process: subprocess.Popen[bytes], what: str) -> None:
        _, err = process.communicate()
        self._cancel.check()
        if process.returncode:
            raise _failed(what, process.returncode, err)


def run(argv: list[str], cancel: Cancel) -> bytes:
    """Run git isolated and return its stdout. Raises Unavailable (code `git`) with git's words."""
    process = _start(argv, subprocess.DEVNULL)
    with cancel.ending(process.kill):
        out, err = process.communicate()
    cancel.check()
    if process.returncode:
        raise _failed(argv[0], process.returncode, err)
    return out


def version() -> str:
    """The installed git's version, like ``2.39.5``."""
    return run(["version"], Cancel()).decode().split()[2]


def credential_fill(protocol: str, host: str, path: str) -> tuple[str, str] | None:
    """The user's git credential helpers' answer for a host, or None. Never prompts."""
    asked = f"protocol={protocol}\nhost={host}\npath={path.lstrip('/')}\n\n"
    env = os.environ | {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true"}
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "credential", "fill"],
            input=asked.encode(),
            capture_output=True,
            env=env,
            timeout=30,
            check=False,
        )
        answer = dict(
            line.partition("=")[::2] for line in done.stdout.decode("utf-8", "replace").splitlines()
        )
        if done.returncode == 0 and answer.get("password"):
            return answer.get("username", ""), answer["password"]
    return None


def command_output(argv: list[str], timeout: float = 60.0) -> str:
    """The first line that a user's own command prints, for SNAPSHOTTER_GIT_TOKEN_COMMAND.

    Raises Unavailable without the command's output in the message: it may hold a secret.
    """
    try:
        done = subprocess.run(
            argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = type(error).__name__
        raise Unavailable(
            f"the token command did not run ({reason})", code="token-command", hint="run it by hand"
        ) from None
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    if done.returncode or not lines or not lines[0].strip():
        raise Unavailable(
            f"the token command gave no token (exit {done.returncode})",
            code="token-command",
            hint="run it by hand",
        )
    return lines[0].strip()


def _start(argv: list[str], stdin: int) -> subprocess.Popen[bytes]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | _ISOLATED
    try:
        return subprocess.Popen(
            ["git", *_CONFIG, *argv],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(
            f"could not start git: {error.strerror}", code="no-git", hint="install git 2.34 or newer"
        ) from error


def _words(stderr: bytes) -> str:
    return printable(redact(decode_name(stderr.strip())))[:500]


def _failed(what: str, code: int, stderr: bytes) -> Unavailable:
    """Why git failed. The machine's trouble (code `machine`) is told from the repository's (code `git`)."""
    if code < 0:
        return Unavailable(
            f"git {what} was killed by signal {-code}",
            code="machine",
            hint="the machine may be out of memory; run again where there is more",
        )
    message = f"git {what} failed: {_words(stderr)}"
    if _of_the_machine(stderr):
        return Unavailable(
            message,
            code="machine",
            hint="check free space, memory and limits, then run again; SNAPSHOTTER_TEMP moves verify's",
        )
    return Unavailable(message, code="git", hint="run `snapshotter verify`")


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
