"""A scan that is stopped leaves nothing: at once where it may tidy up, by the next scan where it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.cli import BACKEND, cli, cli_env, command, wait_for
from tests.support.git import Origin
from tests.support.processes import alive, open_files
from tests.support.scans import FAKE_SCANNERS, rule_cache

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc for a process's folders")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "x.git")
    made.git("config", "uploadpack.allowFilter", "true")
    made.commit(files={"app.py": b"def f():\n    return 1\n"})
    return made


def environment(tmp_path: Path) -> dict[str, str]:
    temp = tmp_path / "temp"
    temp.mkdir(exist_ok=True)
    return {"SNAPSHOTTER_RULE_CACHE": str(rule_cache()), "SNAPSHOTTER_TEMP": str(temp), "TMPDIR": str(temp)}


@contextmanager
def hanging(origin: Origin, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[Path]]]:
    """A snapshot whose secret scanner never ends, once it has begun; and the folders that the process holds."""
    pid = tmp_path / "pid"
    pid.unlink(missing_ok=True)
    fake = tmp_path / "kingfisher"
    fake.write_text(f"#!/bin/sh\necho $$ > {pid}.new\nmv {pid}.new {pid}\nexec sleep 120\n")
    fake.chmod(0o755)
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "sitecustomize.py").write_text(FAKE_SCANNERS)
    env = cli_env(
        **environment(tmp_path),
        PYTHONPATH=f"{tmp_path / 'site'}:{BACKEND}",
        FAKES=json.dumps({"kingfisher": str(fake)}),
    )
    argv = command("snapshot", origin.path, "--store", tmp_path / "store", "--scan")
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(process, pid.exists)
        yield process, folders(process.pid)
    finally:
        process.kill()
        process.wait()
        with suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


def folders(pid: int) -> list[Path]:
    """The scan's folders that a process holds the locks of."""
    return sorted({path for path in open_files(pid) if path.name.startswith("snapshotter-scan-")})


def snapshot(origin: Origin, tmp_path: Path) -> None:
    done = cli("snapshot", origin.path, "--store", tmp_path / "store", "--scan", **environment(tmp_path))
    assert done.code == 0, done.err
    assert "gap" not in done.out


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_scan_that_is_asked_to_end_leaves_nothing(
    origin: Origin, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    with hanging(origin, tmp_path) as (process, held):
        assert held
        assert all(path.stat().st_mode & 0o777 == 0o700 for path in held)
        scanner = int((tmp_path / "pid").read_text())
        process.send_signal(sent)
        assert process.wait(60) == code
        assert [path for path in held if path.exists()] == []
        assert not alive(scanner)
    assert list((tmp_path / "temp").iterdir()) == []
    assert not list((tmp_path / "store").rglob("manifest.json"))
    snapshot(origin, tmp_path)


def test_what_a_killed_scan_left_goes_with_the_next(origin: Origin, tmp_path: Path) -> None:
    with hanging(origin, tmp_path) as (process, held):
        process.kill()
        process.wait()
    assert held
    snapshot(origin, tmp_path)
    assert [path for path in held if path.exists()] == []
    assert list((tmp_path / "temp").iterdir()) == []


def test_so_do_the_tables_of_the_parent(origin: Origin, tmp_path: Path) -> None:
    """A scan that builds on another holds three folders: its own, that of the scanner that waits for it, and the one
    with the tables from before."""
    snapshot(origin, tmp_path)
    origin.commit(files={"new.py": b"x = 1\n"})
    with hanging(origin, tmp_path) as (process, held):
        process.kill()
        process.wait()
    assert len(held) == 3
    assert [path.parent for path in held if path.exists() and path.parent == tmp_path / "temp"] != []
    snapshot(origin, tmp_path)
    assert [path for path in held if path.exists()] == []
    assert list((tmp_path / "temp").iterdir()) == []
