"""Until when a snapshot can be restored, where objects expire: its chain's base goes first."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from snapshotter.archive import snapshot_list
from snapshotter.archive.expiry import AFTER, RETENTION, Expiry
from snapshotter.archive.manifest import Manifest
from snapshotter.base.errors import UsageError
from snapshotter.base.settings import Settings
from snapshotter.capture.options import CaptureOptions
from snapshotter.cli import describe_list, documents
from tests.support.git import Origin
from tests.support.lab import Lab

DAY = timedelta(days=1)


def chain(lab: Lab, tmp_path: Path) -> list[Manifest]:
    """A base, an increment nine days later, an unchanged snapshot another day later, and a new base."""
    origin = Origin(tmp_path / "x.git")
    origin.commit(files={"bulk": os.urandom(40_000)})
    taken = [lab.take(origin)]
    origin.commit(files={"a": b"a"})
    taken += [lab.take(origin, advance=9 * DAY), lab.take(origin, advance=DAY)]
    taken.append(lab.take(origin, CaptureOptions(full=True), advance=DAY))
    assert [sealed.manifest.kind for sealed in taken] == ["base", "increment", "unchanged", "base"]
    return [sealed.manifest for sealed in taken]


def test_a_snapshot_can_be_restored_until_the_base_of_its_chain_expires(tmp_path: Path) -> None:
    base, increment, unchanged, new = chain(Lab(tmp_path / "store"), tmp_path)
    expiry = Expiry(40 * DAY)
    ends = [expiry.restorable_until(one) for one in (base, increment, unchanged, new)]
    assert ends == [base.started_at + 40 * DAY] * 3 + [new.started_at + 40 * DAY]
    short = [expiry.falls_short(one) for one in (base, increment, unchanged, new)]
    assert short == [False, True, True, False], "their own objects outlive what they rest on"


def test_with_a_retention_only_what_ends_before_it_falls_short(tmp_path: Path) -> None:
    made = chain(Lab(tmp_path / "store"), tmp_path)
    assert [Expiry(40 * DAY, 31 * DAY).falls_short(one) for one in made] == [False, False, True, False]
    assert not any(Expiry(40 * DAY, 30 * DAY).falls_short(one) for one in made)
    assert not any(Expiry(timedelta.max, timedelta.max).falls_short(one) for one in made), (
        "beyond all calendars"
    )


def test_lists_mark_what_cannot_be_restored_any_more_and_what_will_be_lost_too_early(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "store")
    base, _, unchanged, new = chain(lab, tmp_path)
    found = snapshot_list.of_repo(lab.catalog, base.repo)

    def shown(expiry: Expiry | None, now: datetime) -> list[str]:
        return describe_list.listing(found, "file:/x", now, expiry)

    assert "RESTORABLE" not in shown(None, lab.now)[0]
    before = shown(Expiry(40 * DAY, 31 * DAY), lab.now)
    until = f"{base.started_at + 40 * DAY:%Y-%m-%d}"
    assert "RESTORABLE" in before[0]
    assert f"until {until}" in before[1]
    assert ["TOO SHORT" in line for line in before[1:]] == [False, False, True, False]
    assert ["chain goes first" in line for line in shown(Expiry(40 * DAY), lab.now)[1:]] == [0, 1, 1, 0]
    after = shown(Expiry(40 * DAY, 31 * DAY), base.started_at + 41 * DAY)
    assert [f"NO LONGER ({until})" in line for line in after[1:]] == [True, True, True, False]

    row = documents.restorable(unchanged, Expiry(40 * DAY, 31 * DAY))
    assert row == {"restorable_until": (base.started_at + 40 * DAY).isoformat(), "too_short": True}
    assert documents.restorable(new, None) == {}


def test_nothing_is_said_to_expire_unless_a_setting_says_so() -> None:
    assert Expiry.stated(Settings({RETENTION: "365d"})) is None
    assert Expiry.stated(Settings({AFTER: "396d", RETENTION: "365d"})) == Expiry(396 * DAY, 365 * DAY)
    with pytest.raises(UsageError, match="not a span"):
        Expiry.stated(Settings({AFTER: "a year"}))
