"""A fleet's run that loses a worker, its engine or its own process: what was done stands, and the rest is resumed."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cli import wait_for
from tests.support.fleet_host import FleetHost
from tests.support.fleets import ENGINES, Fleet, nurseries_of, workers_of
from tests.support.processes import kill, kill_one

REPOS = {"quiet": 70, "slow": 6, "empty": 4}
REQUESTS = 3 * (70 + 6) + 2 * 4  # of a first run that nothing disturbs


@contextmanager
def fleet_of(folder: Path, engine: str) -> Iterator[Fleet]:
    with FleetHost(folder / "srv", REPOS) as host:
        yield Fleet(host, folder, engine)


def whole(fleet: Fleet) -> None:
    """Every repository has one snapshot, each proves to be whole, and the newest run's results have all."""
    assert {name: len(runs) for name, runs in fleet.snapshots().items()} == dict.fromkeys(fleet.host.names, 1)
    verdicts = fleet.verdicts()
    assert {name: verdicts.get(name) for name in fleet.host.names} == {
        name: "empty" if name.startswith("empty") else "new" for name in fleet.host.names
    }
    fleet.assert_verified()


def kill_and_resume(folder: Path, engine: str, rng: random.Random, kills: int) -> None:
    with fleet_of(folder, engine) as fleet:
        flags: list[str] = []
        for _ in range(kills):
            enough = len(fleet.host.requests) + rng.randrange(1, REQUESTS // (kills + 1))
            with fleet.running("--jobs", "2", *flags) as process:
                wait_for(process, lambda enough=enough: len(fleet.host.requests) >= enough)
                kill(process)
            (run_id,) = fleet.runs()
            assert not fleet.has_ended(run_id)
            flags = ["--resume", run_id]
        had = fleet.snapshots()
        fleet.host.requests.clear()
        done = fleet.run("--jobs", "2", *flags)
        assert done.code == 0, done.err
        assert fleet.runs() == [run_id]
        assert {name for name in had if fleet.host.requests_of(name)} == set(), (
            "taken already, and asked for again"
        )
        whole(fleet)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_was_killed_is_resumed_and_repeats_nothing(engine: str, tmp_path: Path) -> None:
    kill_and_resume(tmp_path, engine, random.Random(engine), 2)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_is_killed_again_and_again(engine: str, seed: int, tmp_path: Path) -> None:
    kill_and_resume(tmp_path, engine, random.Random(seed), 1 + seed % 4)


def lose_workers(folder: Path, engine: str, rng: random.Random, kills: int) -> None:
    with fleet_of(folder, engine) as fleet:
        points = sorted(rng.sample(range(1, REQUESTS), kills))
        with fleet.running("--jobs", "2") as process:
            for enough in points:
                wait_for(process, lambda enough=enough: len(fleet.host.requests) >= enough)
                wait_for(process, lambda: kill_one(workers_of(process.pid), rng.choice))
            assert process.wait() == 0, fleet.said
        whole(fleet)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_is_killed_costs_what_it_had_in_hand(engine: str, tmp_path: Path) -> None:
    lose_workers(tmp_path, engine, random.Random(7), 1)


def test_a_nursery_that_is_killed_costs_nothing_and_is_replaced_when_a_worker_is(tmp_path: Path) -> None:
    with fleet_of(tmp_path, "local") as fleet, fleet.running("--jobs", "2") as process:
        wait_for(process, lambda: len(fleet.host.requests) >= 40)
        fleet.host.hold()  # or the run might be over before anything is replaced
        wait_for(process, lambda: len(workers_of(process.pid)) == 2)
        (nursery,) = nurseries_of(process.pid)
        workers = workers_of(process.pid)
        os.kill(nursery, signal.SIGKILL)
        os.kill(workers[0], signal.SIGKILL)
        wait_for(process, lambda: bool(workers_of(process.pid)))
        fleet.host.release()
        assert process.wait() == 0, fleet.said
        whole(fleet)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_runs_at_once_both_end_well(engine: str, tmp_path: Path) -> None:
    with fleet_of(tmp_path, engine) as fleet, fleet.running() as first, fleet.running() as second:
        assert (first.wait(), second.wait()) == (0, 0), fleet.said
        runs = fleet.runs()
        assert len(runs) == 2
        for run_id in runs:
            verdicts = fleet.verdicts(run_id)
            assert {*verdicts} == {*fleet.host.names}
            assert {*verdicts.values()} <= {"new", "empty", "unchanged"}
        assert {*fleet.snapshots()} == {*fleet.host.names}
        fleet.assert_verified()
