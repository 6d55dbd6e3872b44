"""Restore drills: whose turn it is, and that every repository has its turn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from snapshotter.archive.layout import RunId, RunKey
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.fleet import drills
from snapshotter.fleet.drills import Sample
from snapshotter.fleet.standing import Demand, Position
from snapshotter.fleet.status import FleetStatus, RepoStatus, Wanted
from snapshotter.recover.verify import VerifyOptions
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.results import DAY, NOW

DEMAND = Demand(timedelta.max)


def status(proofs: dict[str, datetime | None], now: datetime = NOW, never: Sequence[str] = ()) -> FleetStatus:
    run_id = RunId("20261101T000000Z-00000000")
    repos = [
        RepoStatus(
            Wanted(f"https://h.test/{name}", f"h.test__{name}"),
            Position(RunKey(f"h.test__{name}", run_id), at, True),
            None,
        )
        for name, at in proofs.items()
    ]
    repos += [
        RepoStatus(Wanted(f"https://h.test/{name}", f"h.test__{name}"), Position(None, None, False), None)
        for name in never
    ]
    return FleetStatus("lab", now, DEMAND, repos)


def test_what_was_proven_longest_ago_comes_first_and_what_never_was_before_it() -> None:
    proofs = {"new": NOW - DAY, "old": NOW - 9 * DAY, "never": None, "older": NOW - 10 * DAY}
    drill = drills.choose(status(proofs, never=["untaken"]), Sample.parse("3"), 30 * DAY)
    assert [key.repo for key in drill.chosen] == ["h.test__never", "h.test__older", "h.test__old"]
    assert (drill.total, drill.late, drill.warning) == (4, 0, None)


@pytest.mark.parametrize(("sample", "days"), [("2%", 50), ("10%", 10), ("30", 4), ("100%", 1), ("0.5%", 100)])
def test_drills_at_a_steady_pace_prove_all_in_one_round_and_again(sample: str, days: int) -> None:
    proofs: dict[str, datetime | None] = dict.fromkeys(map(str, range(100)))
    gaps: dict[str, timedelta] = {}
    for day in range(3 * days):
        now = NOW + day * DAY
        drill = drills.choose(status(proofs, now), Sample.parse(sample), days * DAY)
        for key in drill.chosen:
            name = key.repo.removeprefix("h.test__")
            before = proofs[name]
            gaps[name] = max(gaps.get(name, timedelta(0)), now - (before or NOW - DAY))
            proofs[name] = now
        if day >= days:
            assert drill.warning is None
    assert len(gaps) == 100
    assert max(gaps.values()) <= days * DAY


def test_a_sample_that_is_too_small_is_told_with_the_pace_that_would_do() -> None:
    drill = drills.choose(status(dict.fromkeys(map(str, range(100)))), Sample.parse("2%"), 90 * DAY)
    assert drill.warning == (
        "98 repositories were not proven within 90 days; by samples of this size, all are if there is a drill every "
        "1 day 19 hours 12 minutes"
    )


def test_only_what_is_left_and_was_proven_too_long_ago_is_late() -> None:
    proofs = {"never": None, "old": NOW - 10 * DAY - timedelta(seconds=1), "then": NOW - 10 * DAY, "new": NOW}
    late = [drills.choose(status(proofs), Sample.parse(str(size)), 10 * DAY).late for size in (1, 2, 3, 4)]
    assert late == [1, 0, 0, 0]
    assert drills.choose(status(dict.fromkeys("abc")), Sample.parse("1"), 10 * DAY).late == 2


def test_one_that_can_never_be_checked_does_not_hold_up_the_others() -> None:
    proofs: dict[str, datetime | None] = dict.fromkeys(map(str, range(20)))
    seen = set()
    for day in range(200):
        drill = drills.choose(status(proofs, NOW + day * DAY), Sample.parse("1"), 90 * DAY)
        seen.add(drill.chosen[0].repo)  # and none gets a receipt
    assert len(seen) == 20


@pytest.mark.parametrize("text", ["", "0", "0%", "101%", "2.5", "-1", "two", "1e3", "2%%", "nan%"])
def test_what_is_no_sample(text: str) -> None:
    with pytest.raises(UsageError, match="not a sample"):
        Sample.parse(text)


def test_a_fleet_without_any_snapshot_has_nothing_to_prove() -> None:
    with pytest.raises(Unavailable) as told:
        drills.choose(status({}, never=["a"]), Sample.parse("2%"), DAY)
    assert told.value.code == "no-snapshot"


def test_a_drill_proves_leaves_receipts_and_finds_damage(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "store")
    found = []
    for name in ("good", "bad"):
        origin = Origin(tmp_path / f"{name}.git")
        origin.commit()
        taken = lab.take(origin).manifest
        place = Position(taken.key, None, True)
        found.append(RepoStatus(Wanted(taken.origin, taken.repo), place, None))
        if name == "bad":
            lab.file(taken.key.key("history.bundle")).write_bytes(b"# v2 git bundle\n")
    ill = RepoStatus(Wanted("https://h.test/x", "h.test__x"), None, None, error=Unavailable("no answer"))
    fleet = FleetStatus("lab", lab.now, DEMAND, [*found, ill])

    drill = drills.choose(fleet, Sample.parse("100%"), 90 * DAY)
    result = drills.carry_out(lab.catalog, drill, fleet, VerifyOptions())

    assert {verdict.run.repo: verdict.ok for verdict in result.verdicts} == {
        found[0].wanted.repo: True,
        found[1].wanted.repo: False,
    }
    assert [each.repo for each in result.unread] == ["h.test__x"]
    for each, ok in zip(found, (True, False), strict=True):
        assert each.place is not None and each.place.good is not None
        assert lab.catalog.folder(each.place.good).verified is ok
