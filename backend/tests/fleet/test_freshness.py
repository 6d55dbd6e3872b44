"""Which origins lack a good snapshot that is young enough: one good run hides nothing of another origin."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from snapshotter.fleet.freshness import freshness
from snapshotter.recover.verify import VerifyOptions, verify
from tests.support.git import Origin
from tests.support.lab import Lab

DAY = timedelta(days=1)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


def origin(tmp_path: Path, name: str) -> Origin:
    made = Origin(tmp_path / f"{name}.git")
    made.commit()
    return made


def test_an_origin_is_stale_after_a_time_however_good_another_s_run_was(lab: Lab, tmp_path: Path) -> None:
    old, new = origin(tmp_path, "old"), origin(tmp_path, "new")
    lab.take(old)
    lab.take(new, advance=2 * DAY)
    names = [str(old.path), str(new.path)]

    fresh = freshness(lab.catalog, names, now=lab.now + DAY, stale_after=2 * DAY)

    assert fresh.ages == {names[0]: 3 * DAY, names[1]: DAY}
    assert (fresh.stale, fresh.oldest) == ([names[0]], 3 * DAY)
    assert freshness(lab.catalog, names, now=lab.now, stale_after=2 * DAY).stale == []


def test_an_origin_that_was_never_taken_or_is_none_is_stale_and_has_no_age(lab: Lab, tmp_path: Path) -> None:
    never = str(origin(tmp_path, "never").path)

    fresh = freshness(lab.catalog, [never, "ftp://host/x"], now=lab.now, stale_after=DAY)

    assert fresh.ages == {never: None, "ftp://host/x": None}
    assert (fresh.stale, fresh.oldest) == ([never, "ftp://host/x"], None)


def test_a_damaged_snapshot_is_no_good_one_and_one_from_the_future_is_no_young_one(
    lab: Lab, tmp_path: Path
) -> None:
    made = origin(tmp_path, "x")
    first = lab.take(made).manifest
    made.commit()
    lab.take(made, advance=DAY)
    run = lab.catalog.snapshots(first.repo)[-1]
    (segment,) = (lab.root / run.key.folder).glob("history.bundle")
    segment.chmod(0o600)
    segment.write_bytes(b"damaged")
    verify(lab.catalog, first.repo, [run], VerifyOptions(quick=True))
    names = [str(made.path)]

    assert freshness(lab.catalog, names, now=lab.now, stale_after=DAY).oldest == DAY
    before_all = first.started_at - DAY
    assert freshness(lab.catalog, names, now=before_all, stale_after=DAY).stale == names
