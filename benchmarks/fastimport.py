"""Bare repositories from a stream of `git fast-import`: the same bytes every time, wherever it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

GIT_ENV = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "TZ": "UTC"}


def build(path: Path, stream: Iterator[bytes], made_from: str) -> Path:
    """A bare repository of a fast-import stream at `path`, kept if it is there already and made from the same."""
    done = path / "benchmark-complete"
    if done.exists() and done.read_text() == made_from:
        return path
    shutil.rmtree(path, ignore_errors=True)  # of another profile, or interrupted
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--bare", "--initial-branch=main", ".")
    fast_import(path, stream)
    git(path, "repack", "-adbq")
    git(path, "pack-refs", "--all")
    done.write_text(made_from)
    return path


def commit_head(branch: str, when: int, message: str, again: bool) -> bytes:
    """A commit's head on a branch, at so many seconds since 1970; `again` names the branch's tip as its parent."""
    text = message.encode()
    start = f"from {branch}^0\n" if again else ""
    return (
        f"commit {branch}\ncommitter A U Thor <author@example.org> {when} +0000\ndata {len(text)}\n".encode()
        + text
        + b"\n"
        + start.encode()
    )


def inline_file(name: str, data: bytes) -> bytes:
    """A file of the commit whose head came before."""
    return f"M 100644 inline {name}\ndata {len(data)}\n".encode() + data + b"\n"


def fast_import(path: Path, stream: Iterator[bytes]) -> None:
    """Feed a stream to `git fast-import`, which may rewrite branches."""
    importer = subprocess.Popen(
        ["git", "fast-import", "--quiet", "--force"], cwd=path, stdin=subprocess.PIPE, env=GIT_ENV
    )
    assert importer.stdin is not None
    for piece in stream:
        importer.stdin.write(piece)
    importer.stdin.close()
    if importer.wait():
        raise SystemExit("git fast-import failed")


def git(path: Path, *argv: str, given: str = "") -> str:
    """What a git command in the repository prints, given a text on its standard input."""
    return subprocess.run(
        ["git", *argv], cwd=path, check=True, capture_output=True, text=True, env=GIT_ENV, input=given
    ).stdout


def default_branch(path: Path) -> str:
    """The full name of the ref that HEAD means: in a repository that was not made here it may be any."""
    return git(path, "symbolic-ref", "HEAD").strip()


def text_of(path: Path, branch: str, name: str) -> str:
    """A file's text at a branch's tip, whatever its encoding."""
    argv = ["git", "show", f"{branch}:{name}"]
    return subprocess.run(argv, cwd=path, check=True, capture_output=True, env=GIT_ENV).stdout.decode(
        "utf-8", "replace"
    )
