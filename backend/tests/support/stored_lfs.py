"""A repository whose snapshots hold LFS objects, and what is done to these."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lfshost import LfsHost
from snapshotter.archive.sealed import Sealed
from snapshotter.capture.options import CaptureOptions, LfsOptions
from tests.support import fixtures
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.lfs import add, pointer_to, table

WITH = CaptureOptions(lfs=LfsOptions(), segment_bytes=64 * 1024)
SMALL, LARGE = b"small", b"large" * 50_000
host = fixtures.lfs_host


@pytest.fixture
def taken(lab: Lab, host: LfsHost) -> Sealed:
    """A base with a small object, an increment with a large one, and one that is missing."""
    origin = Origin(host.root / "x.git")
    add(host, origin, SMALL)
    lab.take(host.url("x.git"), WITH)
    add(host, origin, LARGE)
    origin.commit(files={"missing.bin": pointer_to(b"missing")})
    return lab.take(host.url("x.git"), WITH)


def placed(git_dir: Path) -> dict[str, bytes]:
    """The files in a repository's folder of LFS objects, by their paths there."""
    folder = git_dir / "lfs" / "objects"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected(*contents: bytes) -> dict[str, bytes]:
    """The same, as they should be for these objects."""
    ids = {hashlib.sha256(data).hexdigest(): data for data in contents}
    return {f"{oid[:2]}/{oid[2:4]}/{oid}": data for oid, data in ids.items()}


def hashed(data: bytes) -> str:
    """The id of an object."""
    return hashlib.sha256(data).hexdigest()


def keys(lab: Lab, taken: Sealed, data: bytes) -> list[str]:
    """The keys under which the store holds an object."""
    return table(lab, taken)[hashlib.sha256(data).hexdigest()].keys


def spoil(lab: Lab, key: str, how: str) -> None:
    """Damage a stored object: it goes ``missing``, is ``cut``, or has a bit ``flipped``."""
    path = lab.file(key)
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[:-1])
    else:
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
