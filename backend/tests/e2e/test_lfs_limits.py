"""LFS under strain: runs that are killed at any moment, and memory that stays flat whatever an object weighs."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

import measure
from lfshost import LfsHost
from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.recover.restore import restore
from snapshotter.recover.verify import VerifyOptions, verify
from snapshotter.store.opening import open_store
from tests.support import fixtures
from tests.support.cli import cli_env, command
from tests.support.git import Origin
from tests.support.lfs import add, pointer_to

MIB = 1024 * 1024
MEMORY = 130 * MIB
host = fixtures.lfs_host


def files_below(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def killed(argv: list[str], store: Path, chance: random.Random) -> bool:
    """Run, and kill as soon as some more objects are stored; whether that was before the end."""
    enough = files_below(store) + chance.randint(1, 12)
    with subprocess.Popen(
        argv, env=cli_env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and files_below(store) < enough:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.full)])
def test_a_run_that_is_killed_costs_the_next_one_nothing(host: LfsHost, tmp_path: Path, kills: int) -> None:
    chance, store, origin = random.Random(kills), tmp_path / "store", Origin(host.root / "x.git")
    argv = command("snapshot", host.url("x.git"), "--store", store, "--segment-size", "64KiB", "-q")
    contents: list[bytes] = []
    ended = 0
    for _ in range(kills):
        new = [chance.randbytes(chance.choice([10, 3_000, 70_000, 200_000])) for _ in range(5)]
        add(host, origin, *new)
        contents += new
        ended += not killed(argv, store, chance)
    assert ended < kills, "no run was killed"
    subprocess.run(argv, env=cli_env(), check=True)
    catalog = Catalog(open_store(str(store)))
    (repo,) = catalog.repos()
    runs = catalog.snapshots(repo)
    assert all(verdict.ok for verdict in verify(catalog, repo, runs, VerifyOptions(receipts=False)))
    restored = restore(catalog, runs[-1], tmp_path / "r.git", mode="bare")
    assert (restored.lfs.objects, restored.lfs.placed) == (len(set(contents)), len(set(contents)))


def test_objects_of_many_sizes_take_no_more_memory_than_a_few_segments(host: LfsHost, tmp_path: Path) -> None:
    origin = Origin(host.root / "x.git")
    add(host, origin, *(os.urandom(size * MIB) for size in (1, 5, 16, 16, 17, 40)))
    argv = command("snapshot", host.url("x.git"), "--store", tmp_path / "store", "-q", "--no-scan")
    sample = measure.run(argv, cli_env())
    assert sample.returncode == 0, sample.stderr
    assert sample.max_rss_bytes < MEMORY


@pytest.mark.full
def test_three_thousand_small_objects_and_one_of_three_gigabytes(host: LfsHost, tmp_path: Path) -> None:
    origin, digest, size = Origin(host.root / "x.git"), hashlib.sha256(), 3 * 1024 * MIB
    for start in range(0, 3000, 500):
        add(host, origin, *(b"%d" % number * 300 for number in range(start, start + 500)))
    piece = bytes(16 * MIB)
    for _ in range(size // len(piece)):
        digest.update(piece)
    oid = digest.hexdigest()
    with (host.objects / oid).open("wb") as file:
        file.truncate(size)
    origin.commit(
        files={
            "vast.bin": pointer_to(b"")
            .replace(hashlib.sha256(b"").hexdigest().encode(), oid.encode())
            .replace(b"size 0", b"size %d" % size)
        }
    )
    store = tmp_path / "store"
    for verb in ("snapshot", "verify"):
        sample = measure.run(command(verb, host.url("x.git"), "--store", store, "-q"), cli_env())
        assert sample.returncode == 0, sample.stderr
        assert sample.max_rss_bytes < MEMORY, verb
    stored = open_store(str(store)).list(layout.LFS)
    assert len(stored) == 3000 + size // (16 * MIB) and sum(entry.bytes for entry in stored) > size
