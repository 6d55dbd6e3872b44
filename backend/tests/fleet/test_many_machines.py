"""A run that is its own scheduler, and workers in processes of their own: they meet in the store, and may be lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from snapshotter.base.errors import UsageError
from snapshotter.fleet import engines
from snapshotter.fleet.meeting_place import VARIABLE
from tests.support.batches import until
from tests.support.cli import cli, cli_env, command
from tests.support.clusters import certificates_by_the_guide
from tests.support.git import Origin

REPOSITORIES = 12


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """An inventory of small repositories in a folder."""
    for number in range(REPOSITORIES):
        Origin(tmp_path / "origins" / f"r{number}.git").commit(files={"a": b"%d" % number})
    path = tmp_path / "fleet.toml"
    path.write_text('[[folder]]\npath = "origins"\n')
    return path


@contextmanager
def started(*argv: str | Path, log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `snapshotter` process with the cluster's certificates, which is not there any more at the end."""
    with log.open("ab") as talk:
        process = subprocess.Popen(
            command(*argv),
            env=cli_env(**{VARIABLE: certificates_by_the_guide(), **env}),
            stdout=subprocess.PIPE,
            stderr=talk,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def test_run_and_workers_meet_in_the_store_and_one_that_is_lost_costs_nothing(
    inventory: Path, tmp_path: Path
) -> None:
    store = f"file:{tmp_path / 'store'}"
    log = tmp_path / "log"
    listen = ("--engine", "dask", "--listen", "tls://127.0.0.1:0")
    worker = ("fleet", "worker", "--store", store, "--jobs", "1")
    with started("fleet", "run", inventory, *listen, "--store", store, "--json", log=log) as run:
        until(lambda: "workers are expected at tls://127.0.0.1:" in log.read_text())
        # This one is stopped while it has a batch, and then killed with its process: another does it again.
        with started(*worker, log=log) as lost:
            until(lambda: "working for" in log.read_text())
            until(lambda: bool(psutil.Process(lost.pid).children()))
            doomed = psutil.Process(lost.pid).children(recursive=True)
            for each in doomed:
                os.kill(each.pid, signal.SIGSTOP)
            lost.kill()
            for each in doomed:
                each.kill()
        with started(*worker, log=log):
            out, _ = run.communicate(timeout=120)
    document = json.loads(out)
    assert run.returncode == 0, log.read_text()
    assert document["verdicts"] == {"new": REPOSITORIES}
    status = cli("fleet", "status", inventory, "--store", store, "--json").json
    assert {each["state"] for each in status["repos"]} == {"good"}
    # What a process had finished before it was lost is not taken again.
    listed = cli("list", "--store", store, "--json").json
    assert len(listed["snapshots"]) == REPOSITORIES


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (("ray", None, None, None), "no such engine"),
        (("local", None, "tcp://127.0.0.1:1", None), "for --engine dask"),
        (("local", None, None, "tcp://127.0.0.1:1"), "for --engine dask"),
        (("dask", 2, None, "tcp://127.0.0.1:1"), "one says where the workers are"),
        (("dask", None, "tcp://127.0.0.1:1", "tcp://127.0.0.1:1"), "one says where the workers are"),
        (("dask", None, "tcp://10.0.0.5:1", None), "plain TCP"),
        (("dask", None, None, "tls://auto:8786"), "needs certificates"),
    ],
)
def test_what_cannot_be_is_refused_before_anybody_is_asked(
    wish: tuple[str, int | None, str | None, str | None], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        engines.wished(*wish, {})
