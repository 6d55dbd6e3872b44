"""Repositories made by real git, always in the same environment: fixed identity and dates, nothing of the user's."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ISOLATED = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
ENV = ISOLATED | {
    "LC_ALL": "C",
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
    """Run git in `folder` and return its stdout. Fails the test with git's words if git fails."""
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
    """A bare repository, written by `git fast-import` and plumbing; the same calls make the same ids.

    With `filters`, it serves partial fetches and any object by its id, as public hosts do.
    """

    def __init__(self, path: Path, *, object_format: str = "sha1", filters: bool = False) -> None:
        self.path = path
        self._commits = 0
        git(None, "init", "-q", "--bare", "-b", "main", f"--object-format={object_format}", path)
        for setting in ("allowFilter", "allowAnySHA1InWant") if filters else ():
            self.git("config", f"uploadpack.{setting}", "true")

    @classmethod
    def at(cls, path: Path) -> Self:
        """What is at `path` already, or nothing."""
        origin = cls.__new__(cls)
        origin.path, origin._commits = path, 0
        return origin

    def git(self, *argv: str | bytes, data: bytes = b"", check: bool = True) -> bytes:
        """git in this repository: its stdout."""
        return git(self.path, *argv, data=data, check=check)

    def text(self, *argv: str | bytes, data: bytes = b"") -> str:
        """git in this repository: its stdout as text, without the last newline."""
        return self.git(*argv, data=data).decode("utf-8", "backslashreplace").removesuffix("\n")

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
        stream = b"reset refs/import/tmp\n" + commit_command("refs/import/tmp", self._commits, message)
        stream += b"".join(
            b"%b %b\n" % (word, parent.encode())
            for word, parent in zip([b"from"] + [b"merge"] * len(parents), parents, strict=False)
        )
        for path, content in files.items():
            stream += file_command(path.encode() if isinstance(path, str) else path, content)
        self.git("fast-import", "--quiet", "--force", data=stream + b"\n")
        made = self.oid("refs/import/tmp")
        self.git("update-ref", "-d", "refs/import/tmp")
        self.git("update-ref", ref, made)
        return made

    def commit_tree(self, *parents: str, ref: str | bytes = "", message: str = "", **files: bytes) -> str:
        """A commit of exactly `files` upon exactly `parents`, and `ref` set to it if one is named."""
        tree = self.tree(**(files or {"f": message.encode()}))
        options = [word for parent in parents for word in ("-p", parent)]
        oid = self.text("commit-tree", tree, *options, data=message.encode())
        if ref:
            self.ref(ref, oid)
        return oid

    def blob(self, content: bytes) -> str:
        """Write a blob that no ref holds yet."""
        return self.text("hash-object", "-w", "--stdin", data=content)

    def tree(self, **files: bytes) -> str:
        """Write a tree that no ref holds yet."""
        lines = [f"100644 blob {self.blob(content)}\t{name}" for name, content in files.items()]
        return self.text("mktree", data="\n".join(lines).encode() + b"\n")

    def ref(self, name: str | bytes, oid: str | None) -> None:
        """Point a ref at an object, or delete it."""
        if oid is None:
            self.git("update-ref", "-d", name)
        else:
            self.git("update-ref", name, oid)

    def oid(self, name: str) -> str:
        """What a revision means."""
        return self.text("rev-parse", "--verify", name)

    def refs(self) -> dict[bytes, str]:
        """Every ref, and the object that it names."""
        listed = self.git("for-each-ref", "--format=%(objectname) %(refname)")
        return {name: oid.decode() for oid, _, name in (line.partition(b" ") for line in listed.splitlines())}

    def objects(self, *tips: str) -> set[str]:
        """Every object that `tips` (default: all refs) reach."""
        listed = self.text("rev-list", "--objects", *(tips or ("--all",)))
        return {line.split()[0] for line in listed.splitlines()}

    def index(self, pack: bytes) -> None:
        """Add a pack, a thin one too. Fails the test if it is not whole."""
        self.git("index-pack", "--stdin", "--fix-thin", data=pack)

    def count(self) -> int:
        """How many objects are stored, reachable or not."""
        return len(self.git("cat-file", "--batch-all-objects", "--batch-check").splitlines())

    @property
    def state(self) -> State:
        """See State."""
        return state_of(self.path)


def commit_command(ref: str, number: int, message: str = "") -> bytes:
    """How a commit begins in a stream for fast-import; its `number` gives it a second of its own."""
    text = (message or f"commit {number}").encode()
    head = b"commit %b\ncommitter C <c@example.com> %d +0000\n" % (ref.encode(), 1_700_000_000 + number)
    return head + b"data %d\n%b\n" % (len(text), text)


def file_command(path: bytes, content: bytes, mode: bytes = b"100644") -> bytes:
    """A file in a stream for fast-import."""
    return b"M %b inline %b\ndata %d\n%b\n" % (mode, quoted(path), len(content), content)


def quoted(path: bytes) -> bytes:
    """A path as fast-import reads it, whatever bytes it holds."""
    escaped = b"".join(b"\\%03o" % byte if byte in b'"\\\n' or byte > 126 else bytes([byte]) for byte in path)
    return b'"%b"' % escaped
