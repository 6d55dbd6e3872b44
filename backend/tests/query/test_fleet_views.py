"""The view `fleet_runs`: the results of fleets' runs, by SQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapshotter.archive.layout import RunId, RunKey
from snapshotter.fleet import result_tables
from snapshotter.fleet.outcome import Trouble
from snapshotter.fleet.stored_summary import StoredSummary
from snapshotter.store.opening import open_store
from tests.support.lake import Lake
from tests.support.results import DAY, NOW, bench, outcome, run


@pytest.fixture
def runs(lake: Lake, tmp_path: Path) -> list[StoredSummary]:
    """Three runs of two inventories, and one that did not end."""
    shallow = Trouble(code="shallow", message="it is shallow", hint="deepen it")
    made = [
        run(lake.store, tmp_path / "t", [outcome("a"), outcome("b", "failed", trouble=shallow)]),
        run(lake.store, tmp_path / "t", [outcome("a", "unchanged", at=NOW + DAY)], at=NOW + DAY),
        run(lake.store, tmp_path / "t", [outcome("c", "gone")], name="other"),
    ]
    with bench(lake.store, tmp_path / "t") as room:
        recorder = room.recorder(at=NOW + 2 * DAY)
        recorder.begin()
        recorder.record([outcome("z", at=NOW + 2 * DAY)])
        recorder.checkpoint()
    return made


def test_the_newest_run_of_each_inventory_or_all_or_those_by_a_time(
    lake: Lake, runs: list[StoredSummary]
) -> None:
    sql = "SELECT inventory, fleet_run_id, repo, verdict, ok FROM fleet_runs ORDER BY ALL"
    first, second, other = (each.run_id for each in runs)
    later = ("lab", second, "host.test__a", "unchanged", "true")
    theirs = ("other", other, "host.test__c", "gone", "false")
    earlier = [
        ("lab", first, "host.test__a", "new", "true"),
        ("lab", first, "host.test__b", "failed", "false"),
    ]
    assert lake.ask(sql) == [later, theirs]
    assert lake.ask(sql, history=True) == [*earlier, later, theirs]
    assert lake.ask(sql, at=NOW) == [*earlier, theirs]
    assert lake.ask(sql, history=True, repos=("host.test/b", "*__c")) == [earlier[1], theirs]
    assert lake.left_out == []


def test_what_is_not_known_is_null_and_the_time_is_the_snapshot_s(
    lake: Lake, runs: list[StoredSummary]
) -> None:
    sql = "SELECT taken_at, run_id IS NULL, error_code, hint, fleet_started_at, recent FROM fleet_runs"
    assert lake.ask(f"{sql} ORDER BY repo", at=NOW, repos=("*__a", "*__b")) == [
        ("2026-11-27 03:17:02", "false", None, None, "2026-11-27 03:17:02", "+"),
        (None, "true", "shallow", "deepen it", "2026-11-27 03:17:02", "x"),
    ]


def test_rows_of_several_parts_and_beside_snapshots(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_tables, "_PART_ROWS", 3)
    run(lake.store, tmp_path / "t", [outcome(f"r{number}") for number in range(10)])
    lake.made.add("host.test__r3", NOW, {})
    sql = "SELECT count(*), count(s.repo) FROM fleet_runs f LEFT JOIN snapshots s USING (repo)"
    assert lake.ask(sql) == [("10", "1")]


def test_what_is_damaged_is_left_out_and_named(tmp_path: Path) -> None:
    lake = Lake(open_store(f"file:{tmp_path / 'store'}"), tmp_path / "cache")
    told = [
        run(lake.store, tmp_path / "t", [outcome(name)], name=name)
        for name in ("good", "part", "summary", "gone")
    ]
    folders = [tmp_path / "store" / RunKey("_fleet", RunId(each.run_id)).folder for each in told]
    (folders[1] / "results.parquet").write_bytes(b"PAR1 is what it begins with")
    (folders[2] / "summary.json").write_bytes(b"[]")
    (folders[3] / "results.parquet").unlink()
    assert lake.ask("SELECT inventory FROM fleet_runs") == [("good",)]
    assert sorted(each.run_id or "" for each in lake.left_out) == sorted(each.run_id for each in told[1:])
