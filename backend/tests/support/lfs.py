"""Repositories with LFS: pointers without a client, and real git-lfs."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from lfshost import LfsHost
from snapshotter.archive.manifest import Lfs
from snapshotter.archive.sealed import Sealed
from snapshotter.scan import lfs_table
from snapshotter.scan.lfs_rows import LfsRow
from tests.servers import need
from tests.support.git import ENV, Origin
from tests.support.lab import Lab


def pointer_to(data: bytes, size: int | None = None) -> bytes:
    """A pointer to an object, or one that lies about its size."""
    oid = hashlib.sha256(data).hexdigest().encode()
    stated = len(data) if size is None else size
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize %d\n" % (oid, stated)


def add(host: LfsHost, origin: Origin, *contents: bytes, ref: str = "refs/heads/main") -> list[str]:
    """A commit with a pointer to each content, which the host holds; the ids."""
    number = origin.count()
    files = {f"dir/{number}-{index}.bin": pointer_to(data) for index, data in enumerate(contents)}
    origin.commit(ref, files)
    return [host.put(data) for data in contents]


def lfs_of(taken: Sealed) -> Lfs:
    """What a manifest says of LFS."""
    assert isinstance(taken.manifest.lfs, Lfs)
    return taken.manifest.lfs


def table(lab: Lab, taken: Sealed) -> dict[str, LfsRow]:
    """The rows of a snapshot's table, by id."""
    artifact = lfs_of(taken).table
    assert artifact
    return {row.oid: row for row in lfs_table.read(lab.catalog.artifact(artifact), artifact.key)}


def git_lfs(folder: Path | None, *argv: str | Path, check: bool = True) -> bytes:
    """Run git with git-lfs as a user would, in an environment of its own."""
    need("git-lfs")
    place = ["-C", str(folder)] if folder else []
    done = subprocess.run(["git", *place, *map(str, argv)], env=ENV, capture_output=True, check=False)
    assert not check or done.returncode == 0, (argv, done.stderr.decode(errors="replace"))
    return done.stdout


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a work tree."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts[:1]
    }
