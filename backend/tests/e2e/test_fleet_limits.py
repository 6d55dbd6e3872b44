"""A fleet is polite: to a host with limits, to one that asks to wait, and to one that is down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fleet_host import FleetHost
from tests.support.fleets import ENGINES, Fleet

pytestmark = pytest.mark.parametrize("engine", ENGINES)


@contextmanager
def fleet_of(folder: Path, engine: str, **counts: int) -> Iterator[Fleet]:
    with FleetHost(folder / "srv", counts) as host:
        yield Fleet(host, folder, engine)


def test_connections_and_requests_are_held_to_their_limits(engine: str, tmp_path: Path) -> None:
    with fleet_of(tmp_path, engine, quiet=40) as fleet:
        fleet.host.most_a_second = 30
        done = fleet.run("--jobs", "2", "--host-connections", "3", "--host-requests", "25")
        assert done.code == 0, done.err
        assert fleet.host.most_at_once <= 3
        assert {request.status for request in fleet.host.requests} == {200}


def test_a_limit_of_connections_holds_whatever_goes_wrong(engine: str, tmp_path: Path) -> None:
    counts = {"quiet": 16, "broken": 4, "secret": 4, "shallow": 4, "vanishing": 4}
    with fleet_of(tmp_path, engine, **counts) as fleet:
        names = fleet.host.names
        fleet.names = names[::2]
        fleet.more = "".join(
            f'[[repo]]\norigin = "{fleet.host.repo_url(name)}"\noptions = {{ idle_timeout = "{5 + number % 3}s" }}\n'
            for number, name in enumerate(names[1::2])
        )
        done = fleet.run("--jobs", "3", "--host-connections", "3")
        assert done.code == 3, done.err
        assert fleet.host.most_at_once <= 3
        assert len(fleet.verdicts()) == len(names)


def test_a_host_that_asks_to_wait_is_left_alone_so_long(engine: str, tmp_path: Path) -> None:
    with fleet_of(tmp_path, engine, quiet=20) as fleet:
        fleet.host.most_a_second = 6  # which a busy machine exceeds, too
        done = fleet.run("--host-connections", "1")
        assert done.code == 0, done.err
        requests = sorted(fleet.host.requests, key=lambda request: request.at)
        refused = [index for index, request in enumerate(requests) if request.status == 429]
        assert refused
        assert all(
            after.at - requests[index].at >= 1
            for index in refused
            for after in requests[index + 1 : index + 2]
        )


@pytest.mark.full  # it is tried for three minutes
def test_a_host_that_is_down_is_given_up_and_keeps_no_other_from_its_turn(
    engine: str, tmp_path: Path
) -> None:
    with (
        FleetHost(tmp_path / "srv", {"quiet": 20}) as host,
        FleetHost(tmp_path / "down", {"quiet": 120}) as down,
    ):
        down.down = True
        origins = "".join(f'[[repo]]\norigin = "{down.repo_url(name)}"\n' for name in down.names)
        fleet = Fleet(host, tmp_path, engine, more=origins)
        done = fleet.run()
        assert done.code == 3, done.err
        verdicts = fleet.verdicts()
        assert {verdicts[name] for name in host.names} == {"new"}
        assert [*verdicts.values()].count("unreachable") == 120
        assert down.connections < 60, "a host that is down was asked for each of its repositories"
        down.down = False
        assert fleet.run().code == 0


def test_a_host_that_is_down_for_a_moment_loses_nothing(engine: str, tmp_path: Path) -> None:
    with fleet_of(tmp_path, engine, quiet=40) as fleet:
        inner = fleet.host.fault
        asked = iter(range(1 << 30))

        def fault(path: str) -> object:
            fleet.host.down = 30 <= next(asked) < 40
            return inner(path)  # type: ignore[misc]

        fleet.host.fault = fault  # type: ignore[assignment]
        done = fleet.run()
        assert done.code == 0, done.err
        assert {*fleet.verdicts().values()} == {"new"}
