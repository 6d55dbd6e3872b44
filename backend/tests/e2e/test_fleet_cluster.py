"""A fleet's run on several machines, here processes on loopback: what is lost with a worker, or with the scheduler."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.cli import cli_env, command, wait_for
from tests.support.fleet_host import FleetHost
from tests.support.fleets import Fleet
from tests.support.processes import descendants_of, kill

REPOS = {"quiet": 60, "slow": 6}
REQUESTS = 3 * 66


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with FleetHost(tmp_path / "srv", REPOS) as host:
        yield Fleet(host, tmp_path, "dask")


def whole(fleet: Fleet) -> None:
    assert {name: len(runs) for name, runs in fleet.snapshots().items()} == dict.fromkeys(fleet.host.names, 1)
    assert {*fleet.verdicts().values()} == {"new"}
    fleet.assert_verified()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def process(argv: list[str], fleet: Fleet) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone at the end, with all below it."""
    with (fleet.folder / "stderr").open("ab") as said:
        started = subprocess.Popen(
            argv, env=cli_env(**fleet.env), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            yield started
        finally:
            if started.poll() is None:
                kill(started)


@contextmanager
def cluster(fleet: Fleet, port: int, workers: int = 2) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler that is no run's own, and workers of it."""
    argv = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard"]
    with ExitStack() as stack:
        scheduler = stack.enter_context(process([*argv, "--port", str(port)], fleet))
        wait_for(scheduler, lambda: answers(port))
        for _ in range(workers):
            stack.enter_context(process(worker(port), fleet))
        yield scheduler


def worker(port: int) -> list[str]:
    return command("fleet", "worker", "--scheduler", f"tcp://127.0.0.1:{port}", "--jobs", "1")


def test_a_scheduler_that_is_killed_ends_the_run_which_another_resumes(fleet: Fleet) -> None:
    port = free_port()
    there = ("--scheduler", f"tcp://127.0.0.1:{port}")
    with cluster(fleet, port) as scheduler, fleet.running(*there) as run:
        wait_for(run, lambda: len(fleet.host.requests) >= REQUESTS // 3)
        kill(scheduler)
        assert run.wait() == 4, fleet.said
    (run_id,) = fleet.runs()
    assert f"--resume {run_id}" in fleet.said
    had = fleet.snapshots()
    assert 0 < len(had) < len(fleet.host.names)
    fleet.host.requests.clear()
    with cluster(fleet, port):
        done = fleet.run(*there, "--resume", run_id)
    assert done.code == 0, done.err
    assert {name for name in had if fleet.host.requests_of(name)} == set()
    whole(fleet)


def test_a_machine_that_is_lost_costs_what_it_had_in_hand(fleet: Fleet) -> None:
    port = free_port()
    with fleet.running("--listen", f"tcp://127.0.0.1:{port}") as run:
        wait_for(run, lambda: answers(port))
        with process(worker(port), fleet) as lost, process(worker(port), fleet) as other:
            wait_for(run, lambda: len(fleet.host.requests) >= REQUESTS // 3)
            assert descendants_of(lost.pid)
            kill(lost)
            assert run.wait() == 0, fleet.said
            assert other.wait() == 0, fleet.said
    whole(fleet)
