"""The verdicts that no host brings about: limits of the inventory, limits of gaps, and what a run's age makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.cli import Done, cli
from tests.support.fleet_host import FleetHost
from tests.support.fleets import ENGINES, PATIENCE, Fleet

OPTIONS = {"quiet-0": "max_refs = 1", "quiet-1": 'exclude_refs = ["refs/heads/side"]'}
PLAIN = {f"quiet-{number}" for number in range(2, 6)}


class TwoRuns:
    """A fleet that ran twice, the second time only for what was not found good within the hour."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.first = fleet.run()
        fleet.host.requests.clear()
        self.second = fleet.run("--max-age", "1h")
        self.asked = {name for name in fleet.host.names if fleet.host.requests_of(name)}

    def status(self) -> Done:
        return cli("fleet", "status", self.fleet.inventory, "--store", self.fleet.root, "--json")


@pytest.fixture(scope="module", params=ENGINES)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoRuns]:
    folder = tmp_path_factory.mktemp("verdicts")
    with FleetHost(folder / "srv", {"quiet": 6}) as host:
        more = "".join(
            f'[[repo]]\norigin = "{host.repo_url(name)}"\noptions = {{ {options} }}\n'
            for name, options in OPTIONS.items()
        )
        env = PATIENCE | {"SNAPSHOTTER_FLEET_GAPS": "refs-left-out=0"}
        yield TwoRuns(Fleet(host, folder, request.param, more=more, names=sorted(PLAIN), env=env))


def test_what_is_over_a_limit_and_what_lacks_too_much_are_told_apart(runs: TwoRuns) -> None:
    assert runs.first.code == 3, runs.first.err
    first, _ = runs.fleet.runs()
    found = runs.fleet.results(first)
    expected = {"quiet-0": "over-quota", "quiet-1": "partial"} | dict.fromkeys(PLAIN, "new")
    assert {name: row["verdict"] for name, row in found.items()} == expected
    large, lacking = found["quiet-0"], found["quiet-1"]
    assert (large["run_id"], large["attempts"], large["ok"]) == (None, 1, False)
    assert large["hint"] and large["error_code"] == "limit"
    assert (lacking["gaps"], lacking["good_run_id"], lacking["ok"]) == (1, None, False)
    assert lacking["run_id"] and "refs-left-out" in lacking["error"]


def test_what_was_good_within_the_hour_is_fresh_and_nobody_is_asked_about_it(runs: TwoRuns) -> None:
    assert runs.second.code == 3, runs.second.err
    expected = {"over-quota": 1, "partial": 1, "fresh": 4}
    assert Counter(runs.fleet.verdicts().values()) == expected
    assert runs.second.json["verdicts"] == expected
    assert runs.asked == {*OPTIONS}
    rows = runs.fleet.results()
    assert all(rows[name]["ok"] and rows[name]["run_id"] and not rows[name]["wrote"] for name in PLAIN)


def test_the_status_counts_what_is_fresh_as_good_and_what_is_partial_as_not(runs: TwoRuns) -> None:
    done = runs.status()
    assert done.code == 3
    found = {runs.fleet.host.name_of(each["origin"]): each for each in done.json["repos"]}
    assert {name: each["state"] for name, each in found.items()} == {
        "quiet-0": "never-taken",
        "quiet-1": "none-good",
    } | dict.fromkeys(PLAIN, "good")
    assert {found[name]["verdict"] for name in PLAIN} == {"fresh"}
