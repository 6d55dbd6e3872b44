"""Origins made by real git, and what a test needs to snapshot, restore and compare them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from snapshotter.archive.catalog import Catalog, Run
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.capture import snapshot
from snapshotter.git.origin import parse
from snapshotter.recover import restore
from snapshotter.recover.replays import Verdict
from snapshotter.recover.restore import Restored
from snapshotter.recover.verify import Options as VerifyOptions
from snapshotter.recover.verify import verify
from snapshotter.store.objects import Store, open_store
from snapshotter.transport import Transport, WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials

BACKEND = Path(__file__).parents[2]
START = datetime(2024, 3, 1, 12, tzinfo=UTC)
ENV = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "LC_ALL": "C",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "A U Thor",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_AUTHOR_DATE": "1700000000 +0000",
    "GIT_COMMITTER_NAME": "C O Mitter",
    "GIT_COMMITTER_EMAIL": "committer@example.com",
    "GIT_COMMITTER_DATE": "1700000000 +0000",
}
_OID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def git(folder: Path | None, *argv: str | bytes | Path, data: bytes = b"", check: bool = True) -> bytes:
    """Run git in `folder`, isolated, and return its stdout."""
    place = ["-C", folder] if folder else []
    done = subprocess.run(["git", *place, *argv], input=data, env=ENV, capture_output=True, check=False)
    assert not check or done.returncode == 0, (argv, done.stderr.decode(errors="replace"))
    return done.stdout


@dataclass(frozen=True)
class State:
    """All that a restore must bring back: refs with what they hold, HEAD, and every reachable object."""

    refs: bytes
    aliases: bytes
    head: bytes
    objects: frozenset[bytes]


def state_of(folder: Path) -> State:
    """The state of the repository in `folder`, read by git."""
    symbolic = git(folder, "symbolic-ref", "-q", "HEAD", check=False)
    head = symbolic or git(folder, "rev-parse", "--verify", "HEAD")
    objects = git(folder, "rev-list", "--all", "--objects")
    if not symbolic:
        objects += git(folder, "rev-list", "--objects", "HEAD")
    return State(
        git(folder, "for-each-ref", "--format=%(objectname) %(objecttype) %(*objectname) %(refname)"),
        b"\n".join(
            line
            for line in git(folder, "for-each-ref", "--format=%(refname) %(symref)").splitlines()
            if not line.endswith(b" ")
        ),
        head,
        frozenset(match.group() for line in objects.splitlines() if (match := _OID.match(line))),
    )


class Origin:
    """A bare repository to take snapshots of, changed by `git fast-import` and plumbing."""

    def __init__(self, path: Path, *, object_format: str = "sha1") -> None:
        self.path = path
        self._commits = 0
        git(None, "init", "-q", "--bare", "-b", "main", f"--object-format={object_format}", path)

    def git(self, *argv: str | bytes, data: bytes = b"", check: bool = True) -> bytes:
        """git in this repository."""
        return git(self.path, *argv, data=data, check=check)

    def commit(
        self,
        ref: str = "refs/heads/main",
        files: Mapping[str | bytes, bytes] | None = None,
        *,
        parents: Sequence[str] | None = None,
        message: str = "",
    ) -> str:
        """Add a commit to `ref` and return it. Without `parents` it follows the ref's tip, if any."""
        self._commits += 1
        if parents is None:
            tip = self.git("rev-parse", "-q", "--verify", ref, check=False).decode().strip()
            parents = [tip] if tip else []
        files = files if files is not None else {"file": b"content %d\n" % self._commits}
        text = (message or f"commit {self._commits}").encode()
        stream = b"commit refs/import/tmp\ncommitter C <c@example.com> %d +0000\n" % (
            1_700_000_000 + self._commits
        )
        stream += b"data %d\n%b\n" % (len(text), text)
        stream += b"".join(
            b"%b %b\n" % (word, parent.encode())
            for word, parent in zip([b"from"] + [b"merge"] * len(parents), parents, strict=False)
        )
        for path, content in files.items():
            name = path.encode() if isinstance(path, str) else path
            stream += b"M 100644 inline %b\ndata %d\n%b\n" % (_quoted(name), len(content), content)
        self.git("fast-import", "--quiet", "--force", data=b"reset refs/import/tmp\n" + stream + b"\n")
        made = self.git("rev-parse", "refs/import/tmp").decode().strip()
        self.git("update-ref", "-d", "refs/import/tmp")
        self.git("update-ref", ref, made)
        return made

    def blob(self, content: bytes) -> str:
        """Write a blob that no ref holds yet."""
        return self.git("hash-object", "-w", "--stdin", data=content).decode().strip()

    def ref(self, name: str | bytes, oid: str | None) -> None:
        """Point a ref at an object, or delete it."""
        if oid is None:
            self.git("update-ref", "-d", name)
        else:
            self.git("update-ref", name, oid)

    def oid(self, name: str) -> str:
        """What a revision means."""
        return self.git("rev-parse", "--verify", name).decode().strip()

    @property
    def state(self) -> State:
        """See State."""
        return state_of(self.path)


def _quoted(name: bytes) -> bytes:
    escaped = b"".join(b"\\%03o" % byte if byte in b'"\\\n' or byte > 126 else bytes([byte]) for byte in name)
    return b'"%b"' % escaped


class Words(Observer):
    """An observer that keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, what: str) -> None:
        """See Observer."""
        self.warnings.append(what)


@dataclass
class Lab:
    """A folder store and a clock of its own, an hour to each snapshot."""

    root: Path
    now: datetime = START
    limits: WireLimits = field(default_factory=WireLimits)
    observer: Words = field(default_factory=Words)

    @cached_property
    def store(self) -> Store:
        """The store under test."""
        return open_store(f"file:{self.root}")

    @property
    def catalog(self) -> Catalog:
        """The store's catalog."""
        return Catalog(self.store)

    def take(
        self,
        origin: Path | str | Origin,
        options: snapshot.Options | None = None,
        *,
        wrap: Callable[[Transport], Transport] | None = None,
        store: Store | None = None,
        advance: timedelta = timedelta(hours=1),
    ) -> Sealed:
        """One snapshot, in this process; `wrap` may put something around its transport."""
        self.now += advance
        cancel = Cancel()
        parsed = parse(str(origin.path if isinstance(origin, Origin) else origin))
        transport = Connector(GitCredentials({}), self.limits)(parsed, cancel)
        used = wrap(transport) if wrap else transport
        try:
            return snapshot.take(
                parsed,
                used,
                store or self.store,
                options or snapshot.Options(),
                observer=self.observer,
                cancel=cancel,
                now=self.now,
            )
        finally:
            transport.close()

    def restore(self, taken: Sealed | RunKey, destination: Path, mode: str = "bare") -> Restored:
        """Restore a snapshot."""
        key = taken if isinstance(taken, RunKey) else taken.manifest.key
        return restore.restore(self.catalog, self.catalog.folder(key), destination, mode=mode)

    def restored(self, taken: Sealed | RunKey, destination: Path) -> State:
        """The state of a snapshot once restored."""
        self.restore(taken, destination)
        return state_of(destination)

    def verify(self, repo: str | Sealed, options: VerifyOptions | None = None) -> list[Verdict]:
        """Verify every snapshot of a repo."""
        name = repo if isinstance(repo, str) else repo.manifest.repo
        return verify(self.catalog, name, self.catalog.snapshots(name), options or VerifyOptions())

    def assert_whole(self, repo: str | Sealed) -> None:
        """Every snapshot of the repo verifies, and there is at least one."""
        verdicts = self.verify(repo, VerifyOptions(receipts=False))
        assert verdicts
        assert [problem for verdict in verdicts for problem in verdict.problems] == []

    def runs(self, taken: Sealed) -> list[Run]:
        """The runs of a snapshot's repo, complete or not."""
        return self.catalog.runs(taken.manifest.repo)

    def file(self, key: str) -> Path:
        """Where an object lies."""
        return self.root / key


def cli_env(**more: str) -> dict[str, str]:
    """The environment of a `snapshotter` process: isolated, with ours to import."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(BACKEND),
        "LC_ALL": "C.UTF-8",
        "HOME": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "SNAPSHOTTER_SCAN": "0",
    } | more


def command(*argv: str | Path) -> list[str]:
    """The argv of a `snapshotter` process."""
    return [sys.executable, "-m", "snapshotter", *map(str, argv)]
