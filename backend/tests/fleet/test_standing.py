"""Which origins of a list lack a good snapshot or a recent proof, those that were never taken among them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.receipts import new_name
from snapshotter.base.errors import Finding, PartialFailure, Unavailable, UsageError
from snapshotter.fleet.standing import Demand, Position, Standing, Standings, look_up, named
from snapshotter.git.origin_parsing import parse
from tests.support.faults import RecordingStore
from tests.support.git import Origin
from tests.support.lab import Lab

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WEEK = 7 * DAY


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


def origin(tmp_path: Path, name: str) -> Origin:
    made = Origin(tmp_path / f"{name}.git")
    made.commit()
    return made


def proof(lab: Lab, run: RunKey, ago: timedelta, *, ok: bool = True) -> None:
    """A receipt beside a run, as a verification so long ago leaves it: its name is all that is read."""
    lab.store.put_new(run.key(new_name(lab.now - ago, ok=ok)), b"{}", content_type="application/json")


def asked(lab: Lab, *origins: Origin | str, demand: Demand, catalog: Catalog | None = None) -> Standings:
    repos = {str(one): parse(one if isinstance(one, str) else str(one.path)).repo for one in origins}
    return look_up(catalog or lab.catalog, repos, demand, lab.now)


def test_an_origin_lacks_what_was_never_taken_is_too_old_or_is_not_good(lab: Lab, tmp_path: Path) -> None:
    never, old, bad, good = (origin(tmp_path, name) for name in ("never", "old", "bad", "good"))
    lab.take(old)
    damaged = lab.take(bad, advance=3 * DAY).manifest.key
    newest = lab.take(good).manifest.key
    proof(lab, damaged, timedelta(0), ok=False)

    found = asked(lab, never, old, bad, good, demand=Demand(DAY))

    assert [each.lacks for each in found.origins] == [("never-taken",), ("stale",), ("none-good",), ()]
    assert [each.good for each in found.origins][3] == newest
    assert len(found.lacking) == 3
    assert isinstance(found.ending, Finding)
    assert "3 of 4 origins" in found.ending.message


def test_a_proof_counts_by_its_own_age_and_not_by_the_snapshot_s(lab: Lab, tmp_path: Path) -> None:
    unproven, proven, long_ago, ahead = (origin(tmp_path, name) for name in ("a", "b", "c", "d"))
    keys = [lab.take(one, advance=timedelta(0)).manifest.key for one in (unproven, proven, long_ago, ahead)]
    for one in (unproven, proven, long_ago, ahead):
        one.commit()
        lab.take(one, advance=timedelta(minutes=1))
    proof(lab, keys[1], 6 * DAY)
    proof(lab, keys[2], 8 * DAY)
    proof(lab, keys[3], -DAY)  # by a clock that was ahead: it would be young for ever

    found = asked(lab, unproven, proven, long_ago, ahead, demand=Demand(DAY, WEEK))

    assert [each.lacks for each in found.origins] == [("unverified",), (), ("unverified",), ("unverified",)]
    assert [each.proven_at for each in found.origins][1:3] == [lab.now - 6 * DAY, lab.now - 8 * DAY]
    assert asked(lab, unproven, demand=Demand(DAY)).ending is None, "a proof was not asked for"


def test_a_repo_without_any_proof_is_not_searched_to_its_beginning(lab: Lab, tmp_path: Path) -> None:
    made = origin(tmp_path, "x")
    for _ in range(60):
        lab.take(made, advance=DAY)
    store = RecordingStore(lab.store)

    found = asked(lab, made, demand=Demand(DAY, WEEK), catalog=Catalog(store))

    assert found.origins[0].lacks == ("unverified",)
    assert sum(method == "list" for method, _ in store.calls) == 1, "the last weeks, by one list"


def test_what_cannot_be_looked_up_is_not_said_to_lack_anything(lab: Lab, tmp_path: Path) -> None:
    good, shut = origin(tmp_path, "good"), origin(tmp_path, "shut")
    lab.take(good)
    closed = lab.take(shut, advance=timedelta(minutes=1)).manifest.repo

    def before(method: str, key: str) -> None:
        if method == "list" and key.startswith(closed):
            raise Unavailable("closed")

    catalog = Catalog(RecordingStore(lab.store, before))

    found = asked(lab, good, shut, demand=Demand(DAY), catalog=catalog)
    assert ([each.origin for each in found.origins], found.lacking) == ([str(good)], [])
    assert [each.repo for each in found.unread] == [closed]
    assert isinstance(found.ending, PartialFailure)
    with pytest.raises(Unavailable, match="closed"):
        asked(lab, shut, demand=Demand(DAY), catalog=catalog)


def test_a_snapshot_shows_its_origin_as_of_when_nothing_newer_was_found_there() -> None:
    good = RunKey("h__x", RunId.new(NOW))
    for confirmed, as_of in ((None, NOW), (NOW + DAY, NOW + DAY), (NOW - DAY, NOW)):
        assert Position(good, None, seen=True, confirmed_at=confirmed).as_of == as_of
    assert Position(None, None, seen=True, confirmed_at=NOW).as_of is None


def test_what_is_as_old_as_is_allowed_is_young_enough() -> None:
    position = Position(RunKey("h__x", RunId.new(NOW)), NOW, seen=True)
    second = timedelta(seconds=1)
    assert [*position.lacks(Demand(DAY, DAY), NOW + DAY)] == []
    assert [*position.lacks(Demand(DAY, DAY), NOW + DAY + second)] == ["stale", "unverified"]
    assert [*position.lacks(Demand(DAY), NOW + DAY + second)] == ["stale"]


@pytest.mark.parametrize(("lacking", "told"), [(1, None), (10, None), (11, "and 1 more")])
def test_an_error_names_ten_origins_and_counts_the_others(lacking: int, told: str | None) -> None:
    one = Standing("h/x", "h__x", None, None, ("never-taken",))
    ending = Standings([one] * lacking, []).ending
    assert ending is not None
    assert list(ending.details) == ["h/x: never-taken"] * min(lacking, 10) + ([told] if told else [])


def test_a_list_names_an_origin_a_line(lab: Lab) -> None:
    lines = [
        "# ours",
        "",
        " https://h.example/a.git ",
        "github.com/psf/requests",
        "h.example__b",
        "h.example__b",
    ]
    repo_of = lab.catalog.repo_of
    assert named(lines, repo_of) == {
        "https://h.example/a.git": "h.example__a",
        "github.com/psf/requests": "github.com__psf__requests",
        "h.example__b": "h.example__b",
    }
    with pytest.raises(UsageError, match="line 2 of the list"):
        named(["https://h.example/a", "ftp://h.example/b"], repo_of)
    with pytest.raises(UsageError, match="names no origin"):
        named(["# none"], repo_of)
