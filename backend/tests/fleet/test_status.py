"""Where a fleet stands: every origin of its inventory, the worst first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from snapshotter.archive import layout
from snapshotter.archive.receipts import new_name
from snapshotter.base.errors import PartialFailure, Unavailable
from snapshotter.capture.options import CaptureOptions, LfsOptions
from snapshotter.capture.plan import RequestedOptions
from snapshotter.fleet import result_rows, status, status_page
from snapshotter.fleet.entries import Entry
from snapshotter.fleet.outcome import RepoOutcome, Trouble, Verdict
from snapshotter.fleet.plan import FleetPlan, SourceState
from snapshotter.fleet.standing import Demand, Position
from snapshotter.fleet.status import FleetStatus, RepoStatus, Wanted
from snapshotter.git.origin_parsing import parse
from tests.support.faults import RecordingStore
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.lfs import pointer_to
from tests.support.results import DAY, NOW, bench, outcome, run

WEEK = 7 * DAY


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


def made(tmp_path: Path, name: str) -> Origin:
    origin = Origin(tmp_path / f"{name}.git")
    origin.commit()
    return origin


def entry(origin: Origin | str, **more: Any) -> Entry:
    text = origin if isinstance(origin, str) else str(origin.path)
    return Entry(parse(text), "named", "", text, "", {}, RequestedOptions(), **more)


def ended(origin: Origin, lab: Lab, verdict: Verdict, **known: Any) -> RepoOutcome:
    """What a run found of an origin of the lab."""
    found = outcome(
        "x", verdict, at=lab.now, ledger=known, **({} if verdict != "failed" else {"trouble": SHALLOW})
    )
    parsed = parse(str(origin.path))
    ledger = msgspec.structs.replace(found.ledger, repo=parsed.repo)
    return msgspec.structs.replace(found, origin=parsed.url, repo=parsed.repo, ledger=ledger)


def pointed(origin: Origin, *contents: bytes, hold: Path | None = None) -> Path:
    """Commit a pointer to each content, of which the origin holds the first; its folder of objects."""
    origin.commit(files={f"{origin.count()}-{at}.bin": pointer_to(one) for at, one in enumerate(contents)})
    oid = hashlib.sha256(contents[0]).hexdigest()
    folder = hold or origin.path / "lfs" / "objects"
    (folder / oid[:2] / oid[2:4]).mkdir(parents=True)
    (folder / oid[:2] / oid[2:4] / oid).write_bytes(contents[0])
    return folder


WITH = CaptureOptions(lfs=LfsOptions())
SHALLOW = Trouble(code="shallow", message="<b>it is shallow</b>")


def look(
    lab: Lab,
    tmp_path: Path,
    entries: Sequence[Entry],
    demand: Demand,
    *,
    sources: Sequence[SourceState] = (),
    ledger_only: bool = False,
) -> FleetStatus:
    plan = FleetPlan("lab", list(entries), [], list(sources))
    with bench(lab.store, tmp_path / "t") as room:
        last = room.last(now=lab.now)
        return status.look(plan, last, None if ledger_only else lab.catalog, demand, lab.now)


def test_every_origin_is_there_and_the_worst_comes_first(lab: Lab, tmp_path: Path) -> None:
    names = ("never", "damaged", "old", "fails", "good", "older")
    origins = {name: made(tmp_path, name) for name in names}
    lab.take(origins["older"])
    lab.take(origins["old"], advance=DAY)
    bad = lab.take(origins["damaged"], advance=3 * DAY).manifest.key
    lab.store.put_new(bad.key(new_name(lab.now, ok=False)), b"{}")
    for name in ("fails", "good"):
        lab.take(origins[name])
    run(lab.store, tmp_path / "t", [ended(origins["fails"], lab, "failed")], at=lab.now)

    found = look(lab, tmp_path, [entry(origins[name]) for name in names], Demand(DAY))

    assert [(Path(each.wanted.origin).stem, each.state) for each in found.repos] == [
        ("never", "never-taken"),
        ("damaged", "none-good"),
        ("older", "stale"),
        ("old", "stale"),
        ("fails", "failing"),
        ("good", "good"),
    ]
    assert isinstance(found.ending, PartialFailure)
    assert "4 of 6 repositories" in found.ending.message


def test_all_is_well_ends_well_though_a_run_failed_of_late(lab: Lab, tmp_path: Path) -> None:
    origin = made(tmp_path, "x")
    lab.take(origin)
    run(lab.store, tmp_path / "t", [ended(origin, lab, "failed", failures=1)], at=lab.now)
    found = look(lab, tmp_path, [entry(origin)], Demand(DAY))
    assert (found.ending, found.repos[0].state, found.repos[0].trend) == (None, "failing", "first")


def test_what_a_run_found_unchanged_is_fresh_though_it_wrote_nothing(lab: Lab, tmp_path: Path) -> None:
    origin = made(tmp_path, "x")
    taken = lab.take(origin).manifest
    lab.now += 5 * DAY
    known = {"good_run": taken.run_id, "run": taken.run_id, "good_at": lab.now}
    run(lab.store, tmp_path / "t", [ended(origin, lab, "unchanged", **known)], at=lab.now)
    for ledger_only in (False, True):
        found = look(lab, tmp_path, [entry(origin)], Demand(DAY), ledger_only=ledger_only)
        assert found.ending is None
        assert found.repos[0].age(lab.now) == timedelta(0)

    lab.store.put_new(taken.key.key(new_name(lab.now, ok=False)), b"{}")
    found = look(lab, tmp_path, [entry(origin)], Demand(DAY))
    assert found.repos[0].lacks == ("none-good",), "a receipt since then says otherwise"


@pytest.mark.parametrize("verdict", ["partial", "shrunk"])
def test_a_snapshot_that_its_run_found_flawed_is_not_the_good_one(
    lab: Lab, tmp_path: Path, verdict: Verdict
) -> None:
    first, second = made(tmp_path, "first"), made(tmp_path, "second")
    before = lab.take(second).manifest.run_id
    good_at = lab.now
    lab.now += 5 * DAY
    second.commit()
    outcomes = []
    for origin, good in (
        (first, {"good_run": "", "good_at": None}),
        (second, {"good_run": before, "good_at": good_at}),
    ):
        flawed = lab.take(origin).manifest.run_id
        outcomes.append(ended(origin, lab, verdict, run=flawed, **good))
    run(lab.store, tmp_path / "t", outcomes, at=lab.now)

    for ledger_only in (False, True):
        found = look(lab, tmp_path, [entry(first), entry(second)], Demand(DAY), ledger_only=ledger_only)
        assert [each.state for each in found.repos] == ["none-good", "stale"]
        assert found.repos[1].place is not None
        assert found.repos[1].place.good is not None
        assert found.repos[1].place.good.run_id.text == before


def test_a_fleet_of_nothing_is_not_well(lab: Lab, tmp_path: Path) -> None:
    ending = look(lab, tmp_path, [], Demand(DAY)).ending
    assert isinstance(ending, Unavailable)
    assert "no repository" in ending.message


def test_a_proof_that_is_asked_for(lab: Lab, tmp_path: Path) -> None:
    proven, by_ledger, never = (made(tmp_path, name) for name in ("a", "b", "c"))
    keys = [lab.take(one).manifest.key for one in (proven, by_ledger, never)]
    lab.store.put_new(keys[0].key(new_name(lab.now - DAY, ok=True)), b"{}")
    known = {"receipt_ok": True, "receipt_at": lab.now - 2 * DAY}
    run(lab.store, tmp_path / "t", [ended(by_ledger, lab, "unchanged", **known)], at=lab.now)

    found = look(lab, tmp_path, [entry(one) for one in (proven, by_ledger, never)], Demand(DAY, WEEK))
    assert {Path(each.wanted.origin).stem: each.lacks for each in found.repos} == {
        "a": (),
        "b": (),
        "c": ("unverified",),
    }
    assert look(lab, tmp_path, [entry(never)], Demand(DAY)).ending is None, "by default none is asked for"


def test_an_optional_repository_that_is_none_lacks_nothing(lab: Lab, tmp_path: Path) -> None:
    wiki = entry("https://host.test/x.wiki.git", optional=True)
    found = look(lab, tmp_path, [wiki], Demand(DAY))
    assert (found.ending, found.repos[0].state) == (None, "good")


def test_of_a_source_that_gives_no_list_the_last_result_tells(lab: Lab, tmp_path: Path) -> None:
    title = "github github.com/psf"
    run(
        lab.store,
        tmp_path / "t",
        [
            outcome("a", at=lab.now, source=title, path="psf/a"),
            outcome("b", at=lab.now, source="gitlab host.test/x", path="b"),
        ],
        at=lab.now,
    )
    states = [SourceState(title, error=Unavailable("no answer"))]
    found = look(lab, tmp_path, [], Demand(DAY), sources=states)
    assert [each.wanted.path for each in found.repos] == ["psf/a"]
    assert found.unlisted == [title]
    assert isinstance(found.ending, PartialFailure)

    with pytest.raises(Unavailable, match="gave no list"):
        look(Lab(tmp_path / "other"), tmp_path, [], Demand(DAY), sources=states)


def test_by_the_ledger_alone_no_repository_is_listed(lab: Lab, tmp_path: Path) -> None:
    origin = made(tmp_path, "x")
    taken = lab.take(origin).manifest
    run(
        lab.store,
        tmp_path / "t",
        [ended(origin, lab, "new", good_run=taken.run_id, run=taken.run_id, good_at=lab.now)],
        at=lab.now,
    )
    vars(lab)["store"] = watched = RecordingStore(lab.store)
    found = look(lab, tmp_path, [entry(origin)], Demand(DAY), ledger_only=True)
    assert found.repos[0].place is not None
    assert found.repos[0].place.good == taken.key
    assert {call[1].partition("/")[0] for call in watched.calls} == {"_fleet"}


def test_a_store_that_cannot_be_listed_for_one_repository_is_unknown_for_that_one(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, ill = made(tmp_path, "good"), made(tmp_path, "ill")
    lab.take(good)
    listed = lab.store.list

    def failing(folder: str, **more: Any) -> Any:
        if folder == parse(str(ill.path)).repo:
            raise Unavailable("no answer")
        return listed(folder, **more)

    monkeypatch.setattr(lab.store, "list", failing)
    found = look(lab, tmp_path, [entry(good), entry(ill)], Demand(DAY))
    assert [each.state for each in found.repos] == ["unknown", "good"]
    assert found.ending is not None
    assert found.ending.exit_code == 3


def of_lfs(found: FleetStatus) -> list[str | None]:
    """What is told of LFS, of each repository, the older first."""
    return [each.lfs.told if each.lfs else None for each in found.repos]


def test_lfs_is_told_by_the_last_result_and_where_it_has_not_the_snapshot_by_its_manifest(
    lab: Lab, tmp_path: Path
) -> None:
    origin, plain = made(tmp_path, "x"), made(tmp_path, "y")
    held = pointed(origin, b"held", b"gone")
    taken, without = lab.take(origin, WITH), lab.take(plain)
    wanted = [entry(origin), entry(plain)]
    vars(lab)["store"] = watched = RecordingStore(lab.store)
    key = taken.manifest.key.key(layout.MANIFEST)

    assert of_lfs(look(lab, tmp_path, wanted, Demand(DAY))) == ["1 of 2 objects, 4 B", None]
    assert ("get", key) in watched.calls
    assert of_lfs(look(lab, tmp_path, wanted, Demand(DAY), ledger_only=True)) == [None, None]

    new = {"run": taken.manifest.run_id, "good_run": taken.manifest.run_id, "manifest": taken.data}
    other = {"run": without.manifest.run_id, "good_run": without.manifest.run_id, "manifest": without.data}
    run(
        lab.store,
        tmp_path / "t",
        [ended(origin, lab, "new", **new), ended(plain, lab, "new", **other)],
        at=lab.now,
    )
    for ledger_only in (True, False):
        watched.calls.clear()
        found = look(lab, tmp_path, wanted, Demand(DAY), ledger_only=ledger_only)
        assert of_lfs(found) == ["1 of 2 objects, 4 B", None]
        assert not [key for _, key in watched.calls if key.endswith(layout.MANIFEST)]
    assert found.repos[0].row is not None and found.repos[0].row.manifest is None, "a million are not held"

    pointed(origin, b"more", hold=held)
    lab.take(origin, WITH, advance=DAY)
    assert of_lfs(look(lab, tmp_path, wanted, Demand(3 * DAY))) == [None, "2 of 3 objects, 8 B"]


def test_of_a_repository_without_a_good_snapshot_lfs_is_that_of_its_flawed_one(
    lab: Lab, tmp_path: Path
) -> None:
    origin = made(tmp_path, "x")
    pointed(origin, b"held", b"gone")
    taken = lab.take(origin, WITH)
    flawed = {"run": taken.manifest.run_id, "good_run": "", "good_at": None, "manifest": taken.data}
    run(lab.store, tmp_path / "t", [ended(origin, lab, "partial", **flawed)], at=lab.now)
    found = look(lab, tmp_path, [entry(origin)], Demand(DAY))
    assert (found.repos[0].state, of_lfs(found)) == ("none-good", ["1 of 2 objects, 4 B"])


def test_a_manifest_that_does_not_read_tells_nothing_of_lfs_and_costs_nothing_else(
    lab: Lab, tmp_path: Path
) -> None:
    origin = made(tmp_path, "x")
    pointed(origin, b"held")
    manifest = lab.take(origin, WITH).manifest
    known = {"run": manifest.run_id, "good_run": manifest.run_id, "good_at": lab.now}
    (tmp_path / "store" / manifest.key.key(layout.MANIFEST)).write_bytes(b"{}")
    for told in (b"", b'{"lfs": 7}', b"[" * 5000):  # b"": it was too long for a row
        ended_so = ended(origin, lab, "unchanged", **known, manifest=told)
        run(lab.store, tmp_path / "t", [ended_so], at=lab.now)
        found = look(lab, tmp_path, [entry(origin)], Demand(DAY))
        assert (found.ending, of_lfs(found)) == (None, [None])


def test_the_page_shows_every_origin_and_no_markup_of_theirs(lab: Lab, tmp_path: Path) -> None:
    origin = made(tmp_path, "x")
    lab.take(origin)
    run(lab.store, tmp_path / "t", [ended(origin, lab, "failed", failures=1)], at=lab.now)
    odd = entry("https://host.test/<script>alert(1)</script>")
    page = status_page.html(look(lab, tmp_path, [entry(origin), odd], Demand(DAY)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;it is shallow" in page
    assert "never-taken" in page
    assert "src=" not in page.replace("style-src", "")
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("recent", "trend"),
    [
        ("", None),
        ("x", "first"),
        ("+", "first"),
        ("++", "steady"),
        ("+~", "steady"),
        ("x+", "recovered"),
        ("+x", "worse"),
        ("~x", "worse"),
        ("xx", "failing"),
        ("xx+", "recovered"),
        ("x+++x", "worse"),
    ],
)
def test_a_trend_is_of_the_last_two_runs(recent: str, trend: str | None) -> None:
    row = msgspec.structs.replace(result_rows.row(outcome("a"), None), recent=recent)
    assert RepoStatus(Wanted("o", "r"), None, row).trend == trend
    assert RepoStatus(Wanted("o", "r"), None, None).trend is None


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("seen", [True, False])
def test_only_what_may_be_none_and_was_never_seen_may_fail(optional: bool, seen: bool) -> None:
    wanted, place = Wanted("o", "r", optional=optional), Position(None, None, seen=seen)
    for verdict, state in (("gone", "good" if optional and not seen else "failing"), ("unchanged", "good")):
        row = result_rows.row(outcome("a", verdict), None)  # type: ignore[arg-type]
        assert RepoStatus(wanted, place, row).state == state
    assert RepoStatus(wanted, place, None, lacks=("stale", "unverified")).state == "stale"
    assert RepoStatus(wanted, None, None, lacks=("stale",)).state == "unknown"


@pytest.mark.parametrize(
    ("lacking", "unknown", "unlisted", "says"),
    [
        (0, 0, 0, None),
        (1, 2, 1, "1 of 4 repositories lacks a good snapshot or a recent verification"),
        (2, 0, 0, "2 of 3 repositories lack a good snapshot or a recent verification"),
        (0, 1, 0, "1 repository could not be looked up"),
        (0, 0, 2, "2 sources could not be looked up"),
        (0, 2, 1, "2 repositories and 1 source could not be looked up"),
    ],
)
def test_how_a_status_ends(lacking: int, unknown: int, unlisted: int, says: str | None) -> None:
    wanted, place = Wanted("h/x", "h__x"), Position(None, None, seen=True)
    repos = [RepoStatus(wanted, place, None, lacks=("stale",))] * lacking
    repos += [RepoStatus(wanted, None, None)] * unknown + [RepoStatus(wanted, place, None)]
    ending = FleetStatus("lab", NOW, Demand(DAY), repos, unlisted=["s"] * unlisted).ending
    assert (ending.message if ending else None) == says
    assert list(ending.details if ending else ()) == ["h/x: stale"] * lacking


@pytest.mark.parametrize(("lacking", "more"), [(10, None), (11, "and 1 more")])
def test_a_status_that_ends_badly_names_ten(lacking: int, more: str | None) -> None:
    repos = [RepoStatus(Wanted("h/x", "h__x"), None, None, lacks=("stale",))] * lacking
    ending = FleetStatus("lab", NOW, Demand(DAY), repos).ending
    assert ending is not None
    assert list(ending.details) == ["h/x: stale"] * 10 + ([more] if more else [])


def test_nothing_is_younger_than_new() -> None:
    """A snapshot by a clock that is ahead."""
    place = Position(layout.RunKey("h__x", layout.RunId.new(NOW)), None, seen=True)
    ages = [
        RepoStatus(Wanted("h/x", "h__x"), place, None).age(now) for now in (NOW - DAY / 100, NOW, NOW + DAY)
    ]
    assert ages == [timedelta(0), timedelta(0), DAY]
    assert RepoStatus(Wanted("h/x", "h__x"), None, None).age(NOW) is None
