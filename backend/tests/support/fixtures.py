"""Fixtures of several packages: a store in a folder, origins, a host that serves them, a CA and its certificate.

A module that wants one under another name says so: ``lab = fixtures.quick_lab``.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from githost import GitHost
from lfshost import LfsHost
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import quickly

SOURCES: dict[str | bytes, bytes] = {
    "app.py": b"import util\n\n\ndef main():\n    return util.f()\n",
    "util.py": b"def f():\n    return 1\n",
    "requirements.txt": b"requests==2.31.0\n",
    "LICENSE": b"MIT License\n",
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


@pytest.fixture
def quick_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab whose scans do without the scanners that are programs."""
    quickly(monkeypatch)
    return Lab(tmp_path / "store")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "srv" / "x.git")
    # Large, so that no increment outweighs the base.
    made.commit("refs/heads/bulk", {"bulk": random.Random(3).randbytes(40_000)})
    made.commit()
    return made


@pytest.fixture
def origin_of_sources(tmp_path: Path) -> Origin:
    """An origin with something for every scanner, in a folder of its own, that serves as public hosts do."""
    (tmp_path / "srv").mkdir()
    made = Origin(tmp_path / "srv" / "x.git", filters=True)
    made.commit(files=SOURCES)
    return made


@pytest.fixture
def host(origin: Origin) -> Iterator[GitHost]:
    """The origin over HTTP."""
    with GitHost(origin.path.parent) as host:
        yield host


@pytest.fixture
def lfs_host(tmp_path: Path) -> Iterator[LfsHost]:
    """A host of repositories with LFS, in the folder in which `origin` makes its own."""
    with LfsHost(tmp_path / "srv") as host:
        yield host


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a throw-away CA and a certificate of it for 127.0.0.1 and git.test."""
    folder = tmp_path_factory.mktemp("tls")
    for argv in (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout ca.key -out ca.crt"
        " -subj /CN=ca -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -keyout tls.key"
        " -out tls.csr",
        "x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out tls.crt -extfile ext",
    ):
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:git.test\n")
        subprocess.run(["openssl", *argv.split()], cwd=folder, check=True, capture_output=True)
    return folder
