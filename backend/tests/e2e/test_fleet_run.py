"""A fleet of 500 repositories, many of them sick, on two days and by every engine: each has the verdict it must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleet_host import FleetHost
from tests.support.fleets import ENGINES, Fleet

COUNTS = {
    "quiet": 304,
    "growing": 80,
    "forced": 20,
    "shrinking": 6,
    "moving": 10,
    "leaving": 6,
    "empty": 12,
    "shallow": 4,
    "broken": 6,
    "cut": 2,
    "slow": 12,
    "secret": 10,
    "private": 6,
    "vanishing": 6,
    "missing": 6,
    "busy": 4,
    "stalling": 2,
    "flapping": 4,
}
FIRST = {
    "empty": "empty",
    "shallow": "failed",
    "broken": "failed",
    "cut": "unreachable",
    "secret": "forbidden",
    "private": "forbidden",
    "vanishing": "gone",
    "missing": "gone",
    "stalling": "unreachable",
}  # of all others: new
SECOND = FIRST | {
    "cut": "new",
    "stalling": "new",
    "growing": "new",
    "forced": "new",
    "shrinking": "shrunk",
    "moving": "renamed",
    "leaving": "gone",
}  # of all others: unchanged
GOOD = {"new", "unchanged", "empty", "renamed"}


def by_behaviour(verdicts: dict[str, str]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for name, verdict in verdicts.items():
        found.setdefault(name.rpartition("-")[0], Counter())[verdict] += 1
    return found


def expected(verdicts: dict[str, str], otherwise: str) -> dict[str, Counter[str]]:
    return {what: Counter({verdicts.get(what, otherwise): count}) for what, count in COUNTS.items()}


def behaviour(name: str) -> tuple[str, str]:
    return name, name.rpartition("-")[0]


class TwoDays:
    """A fleet that ran on two days, and what its host was asked for on each."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.host = fleet, fleet.host
        assert sum(COUNTS.values()) == 500
        self.first = fleet.run("--jobs", "2")
        self.asked_first = self._asked()
        self.host.next_day()
        self.second = fleet.run("--jobs", "2")
        self.asked_second = self._asked()

    def _asked(self) -> Counter[str]:
        asked = Counter({name: len(self.host.requests_of(name)) for name in self.host.names})
        self.host.requests.clear()
        return asked


@pytest.fixture(scope="module", params=ENGINES)
def days(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDays]:
    folder = tmp_path_factory.mktemp("fleet")
    with FleetHost(folder / "srv", COUNTS) as host:
        yield TwoDays(Fleet(host, folder, request.param))


def test_every_verdict_is_right_on_the_first_day(days: TwoDays) -> None:
    assert days.first.code == 3, days.first.err
    first, _ = days.fleet.runs()
    assert by_behaviour(days.fleet.verdicts(first)) == expected(FIRST, "new")


def test_every_verdict_is_right_on_the_second_day(days: TwoDays) -> None:
    assert days.second.code == 3, days.second.err
    assert by_behaviour(days.fleet.verdicts()) == expected(SECOND, "unchanged")


def test_the_summary_and_the_document_count_the_verdicts(days: TwoDays) -> None:
    for run, done in zip(days.fleet.runs(), (days.first, days.second), strict=True):
        counted = Counter(days.fleet.verdicts(run).values())
        assert Counter(days.fleet.summary(run)["verdicts"]) == counted
        assert Counter(done.json["verdicts"]) == counted


def test_what_has_no_good_verdict_says_why(days: TwoDays) -> None:
    for run in days.fleet.runs():
        rows = days.fleet.results(run)
        assert {name for name, row in rows.items() if row["error"]} == {
            name for name, row in rows.items() if row["verdict"] not in GOOD
        }
        assert all(row["hint"] for row in rows.values() if row["error"])


def test_an_unchanged_repository_costs_one_request_once_a_worker_has_heard_its_host(days: TwoDays) -> None:
    quiet = days.host.having("quiet")
    asked = Counter(days.asked_second[name] for name in quiet)
    assert set(asked) <= {1, 2}
    assert asked[2] < asked[1], "two where a worker's threads begin"
    rows = days.fleet.results()
    assert all(rows[name]["requests"] == days.asked_second[name] for name in quiet)


def test_no_permanent_failure_is_tried_again(days: TwoDays) -> None:
    for name in days.host.having("secret", "missing", "leaving"):
        # Of what is not there the discovery is asked for, too: a host may redirect that alone.
        assert days.asked_second[name] <= (1 if name.startswith("secret") else 2), name
    rows = days.fleet.results()
    for name in days.host.having("secret", "missing", "leaving", "shallow", "private", "vanishing"):
        assert rows[name]["attempts"] == 1, name


def test_each_repository_has_the_snapshots_of_its_days_and_no_more(days: TwoDays) -> None:
    taken = {name: len(runs) for name, runs in days.fleet.snapshots().items()}
    bad_first, bad_second = ({what for what, word in v.items() if word not in GOOD} for v in (FIRST, SECOND))
    # What had its default branch rewritten is taken as a whole, too, to see what it weighs now.
    second = dict.fromkeys(COUNTS, 1) | dict.fromkeys(bad_second, 0) | {"forced": 2, "shrinking": 2}
    due = {name: (what not in bad_first) + second[what] for name, what in map(behaviour, days.host.names)}
    assert taken == {name: count for name, count in due.items() if count}


def test_what_was_taken_restores_to_what_its_origin_is(days: TwoDays, tmp_path: Path) -> None:
    for what in ("quiet", "growing", "forced", "shrinking", "slow", "busy", "flapping"):
        assert days.fleet.restored(f"{what}-1", tmp_path / what) == days.host.state(f"{what}-1")
