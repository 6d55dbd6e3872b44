"""A fleet with one repository that is much larger than the others: from the second run on, its turn comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet_host import FleetHost
from tests.support.fleets import ENGINES, Fleet


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [2 << 20, pytest.param(300 << 20, marks=pytest.mark.full)])
def test_the_largest_is_begun_first_once_its_size_is_known(engine: str, size: int, tmp_path: Path) -> None:
    with FleetHost(tmp_path / "srv", {"quiet": 30, "large": 1}, large=size) as host:
        fleet = Fleet(host, tmp_path, engine, env={})  # git may be silent for long over a large pack
        assert fleet.run().code == 0
        assert fleet.results()["large-0"]["chain_bytes"] > size
        host.requests.clear()
        again = fleet.run("--jobs", "1", "--host-connections", "1")
        assert again.code == 0, again.err
        assert "large-0" in host.first_asked()[:2], (
            "a connection has two threads, of which either may be first"
        )
        assert {*fleet.verdicts().values()} == {"unchanged"}
        assert fleet.restored("large-0", tmp_path / "back") == host.state("large-0")
