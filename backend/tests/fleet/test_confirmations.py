"""What a ledger alone says counts wherever freshness is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from snapshotter.archive.manifest import Manifest
from snapshotter.fleet.confirmations import confirmed_since
from snapshotter.fleet.freshness import freshness
from snapshotter.fleet.last_result import ResultReader
from snapshotter.fleet.outcome import RepoOutcome
from snapshotter.fleet.standing import Confirmed, Demand, look_up
from snapshotter.git.origin_parsing import parse
from tests.support.faults import ClosedStore
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.results import DAY, bench, outcome, run


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


@pytest.fixture
def taken(lab: Lab, tmp_path: Path) -> Manifest:
    """A snapshot of five days ago."""
    origin = Origin(tmp_path / "x.git")
    origin.commit()
    manifest = lab.take(origin).manifest
    lab.now += 5 * DAY
    return manifest


def unchanged(lab: Lab, taken: Manifest, run_id: str | None = None) -> RepoOutcome:
    """What a run that keeps a ledger alone found now."""
    known = run_id or taken.run_id
    found = outcome(
        "x", "unchanged", at=lab.now, ledger={"good_run": known, "run": known, "good_at": lab.now}
    )
    ledger = msgspec.structs.replace(found.ledger, repo=taken.repo)
    return msgspec.structs.replace(found, origin=taken.origin, repo=taken.repo, ledger=ledger)


def told(lab: Lab, tmp_path: Path) -> Confirmed:
    @contextmanager
    def opened() -> Iterator[ResultReader]:
        with bench(lab.store, tmp_path / "t", lab.observer) as room:
            yield room.reader

    return confirmed_since(opened, lab.now - 2 * DAY, lab.now)


def test_what_a_run_found_unchanged_is_not_stale(lab: Lab, tmp_path: Path, taken: Manifest) -> None:
    others = [outcome("of-no-interest", at=lab.now), outcome("bad", "failed", at=lab.now)]
    run(lab.store, tmp_path / "t", [unchanged(lab, taken), *others], at=lab.now)
    ask = told(lab, tmp_path)

    found = look_up(lab.catalog, {"x": taken.repo}, Demand(DAY), lab.now, ask)
    assert found.origins[0].lacks == ()
    fresh = freshness(lab.catalog, [str(tmp_path / "x.git")], now=lab.now, stale_after=DAY, confirmed=ask)
    assert (fresh.stale, fresh.oldest) == ([], timedelta(0))
    assert look_up(lab.catalog, {"x": taken.repo}, Demand(DAY), lab.now).origins[0].lacks == ("stale",)


def test_of_several_fleets_the_one_that_looked_last_counts(lab: Lab, tmp_path: Path, taken: Manifest) -> None:
    def found(ago: timedelta) -> RepoOutcome:
        now = unchanged(lab, taken)
        ledger = msgspec.structs.replace(now.ledger, good_at=lab.now - ago)
        return msgspec.structs.replace(now, ledger=ledger)

    for name, ago in (("one", DAY), ("two", timedelta(hours=1)), ("three", DAY / 2)):
        run(lab.store, tmp_path / "t", [found(ago)], at=lab.now, name=name)
    asked = {taken.repo: taken.key}
    assert told(lab, tmp_path)(asked) == {taken.repo: lab.now - timedelta(hours=1)}


def test_what_was_found_of_another_snapshot_confirms_nothing(
    lab: Lab, tmp_path: Path, taken: Manifest
) -> None:
    run(lab.store, tmp_path / "t", [unchanged(lab, taken, "20240301T130000Z-00000000")], at=lab.now)
    found = look_up(lab.catalog, {"x": taken.repo}, Demand(DAY), lab.now, told(lab, tmp_path))
    assert found.origins[0].lacks == ("stale",)


def test_nothing_of_fleets_is_read_while_all_is_young(lab: Lab, tmp_path: Path, taken: Manifest) -> None:
    def never(_: object) -> dict[str, object]:
        raise AssertionError

    look_up(lab.catalog, {"x": taken.repo}, Demand(9 * DAY), lab.now, never)  # type: ignore[arg-type]
    names = [str(tmp_path / "x.git")]
    freshness(lab.catalog, names, now=lab.now, stale_after=9 * DAY, confirmed=never)  # type: ignore[arg-type]
    assert parse(names[0]).repo == taken.repo


def test_results_that_may_not_be_read_confirm_nothing_and_are_told(
    lab: Lab, tmp_path: Path, taken: Manifest
) -> None:
    catalog = lab.catalog
    vars(lab)["store"] = ClosedStore(lab.store, "_fleet")
    found = look_up(catalog, {"x": taken.repo}, Demand(DAY), lab.now, told(lab, tmp_path))
    assert found.origins[0].lacks == ("stale",)
    assert "results of fleets are not used" in lab.observer.warnings[0]
