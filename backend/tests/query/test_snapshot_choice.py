"""Which snapshots a query is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from snapshotter.archive import layout
from snapshotter.archive.later_scans import ScanRecord, seal_record
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import MAX_COUNT, Parent
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.store.opening import open_store
from tests.query.stores import three_days
from tests.support.faults import FlippingStore
from tests.support.lab import Words
from tests.support.lake import DAY, NOV, Lake, file_row, refused


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({}, ["3", "9"]),
        ({"at": datetime(2026, 11, 2, 23, 59, tzinfo=UTC)}, ["2", "9"]),
        ({"at": datetime(2026, 10, 1, tzinfo=UTC)}, []),
        ({"history": True}, ["1", "2", "3", "9"]),
        ({"history": True, "at": datetime(2026, 11, 2, 1, tzinfo=UTC)}, ["1", "2", "9"]),
        ({"repos": ("h__a",)}, ["3"]),
        ({"repos": ("h/b*",)}, ["9"]),
        ({"repos": ("h__a", "h__b")}, ["3", "9"]),
    ],
)
def test_the_snapshots_asked_for(lake: Lake, options: dict[str, Any], codes: list[str]) -> None:
    three_days(lake)
    for _ in range(2):  # cold, then with what is remembered
        assert [row[0] for row in lake.ask("SELECT code FROM files ORDER BY code", **options)] == codes


def test_rows_say_of_which_snapshot_they_are(lake: Lake) -> None:
    taken = three_days(lake)[2]
    assert lake.ask("SELECT repo, run_id, taken_at FROM files WHERE repo = 'h__a'") == [
        ("h__a", taken.manifest.run_id, "2026-11-03 00:00:00")
    ]


def test_a_scan_that_still_holds_counts_for_each_snapshot_that_refers_to_it(lake: Lake) -> None:
    first = lake.made.add("h__a", NOV, {"files": [file_row("x")]})
    later = lake.made.add("h__a", NOV + DAY, scan_of=first)
    assert lake.ask("SELECT run_id FROM files") == [(later.manifest.run_id,)]
    both = lake.ask("SELECT run_id FROM files ORDER BY run_id", history=True)
    assert both == [(first.manifest.run_id,), (later.manifest.run_id,)]


def later_scan(lake: Lake, of: Sealed, hours: int, path: str) -> RunKey:
    """A scan of a snapshot that was taken without one, as `snapshotter scan` records it."""
    when = of.manifest.started_at + timedelta(hours=hours)
    made = lake.made.prepare(of.manifest.repo, when, {"files": [file_row(path)]})
    assert made.manifest.scan
    record = ScanRecord(
        schema_version=2,
        tool_version="0.1.0",
        run_id=made.manifest.run_id,
        repo=made.manifest.repo,
        of=Parent(run_id=of.manifest.run_id, manifest_sha256=of.sha256),
        started_at=NOV,
        finished_at=NOV,
        scan=made.manifest.scan,
    )
    lake.store.put_new(made.manifest.key.key(layout.SCAN), seal_record(record))
    return made.manifest.key


def test_a_scan_that_was_made_later_is_the_snapshot_s(lake: Lake) -> None:
    first = lake.made.add("h__a", NOV)
    second = lake.made.add("h__a", NOV + DAY)
    other = seal(msgspec.structs.replace(second.manifest, reason="another manifest under that name"))
    later_scan(lake, first, 1, "of-first")
    later_scan(lake, second, 1, "of-second, replaced")
    later_scan(lake, second, 2, "of-second")
    later_scan(lake, other, 3, "of no manifest that is there")
    sql = "SELECT run_id, path FROM files ORDER BY ALL"
    for _ in range(2):
        assert lake.ask(sql) == [(second.manifest.run_id, "of-second")]
    both = [(first.manifest.run_id, "of-first"), (second.manifest.run_id, "of-second")]
    assert lake.ask(sql, history=True) == both
    assert lake.ask("SELECT scan_run_id > run_id FROM snapshots") == [("true",)]


def test_a_later_scan_s_record_that_does_not_read_is_left_out(tmp_path: Path) -> None:
    lake = Lake(open_store("memory:"), tmp_path / "cache")
    key = later_scan(lake, lake.made.add("h__a", NOV), 1, "x")
    assert lake.ask("SELECT path FROM files", store=FlippingStore(lake.store, 9, layout.SCAN)) == []
    assert [(each.key, each.what) for each in lake.left_out] == [(key, "scan")]


def test_numbers_beyond_all_reason_cost_their_own_snapshot_at_most(tmp_path: Path) -> None:
    lake = Lake(open_store("memory:"), tmp_path / "cache")
    lake.made.add("h__a", NOV)
    change = msgspec.structs.replace
    for repo, forge in (
        ("h__b", lambda one: change(one, refs=change(one.refs, count=2**70))),
        ("h__c", lambda one: change(one, limits=change(one.limits, max_refs=2**70))),
        ("h__d", lambda one: change(one, artifacts=[change(one.artifacts[0], bytes=MAX_COUNT)] * 2000)),
    ):
        made = lake.made.prepare(repo, NOV, {"files": [file_row("x")]}).manifest
        lake.store.put_new(made.key.key(layout.MANIFEST), seal(forge(made)).data)
    for _ in range(2):  # the second time from what is remembered
        assert lake.ask("SELECT repo FROM snapshots ORDER BY repo") == [("h__a",), ("h__c",), ("h__d",)]
        assert [(each.key.repo, each.what) for each in lake.left_out] == [("h__b", "snapshot")]


@pytest.mark.parametrize("days", [-1, 2])
def test_a_stray_scan_record_is_warned_of_where_no_snapshot_lacks_a_scan(tmp_path: Path, days: int) -> None:
    lake, observer = Lake(open_store("memory:"), tmp_path / "cache"), Words()
    later_scan(lake, lake.made.add("h__a", NOV), 1, "x")
    stray = lake.made.prepare("h__a", NOV + days * DAY, {"files": [file_row("stray")]}).manifest.key
    lake.store.put_new(stray.key(layout.SCAN), b"hello")
    assert lake.ask("SELECT path FROM files", observer=observer) == [("x",)]
    assert lake.left_out == []
    assert ["scan record" in said for said in observer.warnings] == [True] * (
        days > 0
    )  # older runs are not listed


def test_a_stray_scan_record_is_held_against_snapshots_before_it_alone(tmp_path: Path) -> None:
    lake, observer = Lake(open_store("memory:"), tmp_path / "cache"), Words()
    later_scan(lake, lake.made.add("h__a", NOV), 1, "x")
    stray = lake.made.prepare("h__a", NOV + DAY, {"files": [file_row("stray")]}).manifest.key
    lake.store.put_new(stray.key(layout.SCAN), b"hello")
    lake.made.add("h__a", NOV + 2 * DAY)
    assert lake.ask("SELECT path FROM files", observer=observer, history=True) == [("x",)]
    assert (lake.left_out, len(observer.warnings)) == ([], 1)
    lake.made.add("h__a", NOV + DAY / 2)
    lake.ask("SELECT path FROM files", observer=observer, history=True)
    assert [(each.key, each.what) for each in lake.left_out] == [(stray, "scan")]


def test_repositories_with_the_same_bytes_keep_their_rows(lake: Lake) -> None:
    for repo in ("h__a", "h__b"):
        lake.made.add(repo, NOV, {"files": [file_row("same")]})
    assert lake.ask("SELECT repo, path FROM files ORDER BY repo") == [("h__a", "same"), ("h__b", "same")]


def test_a_new_snapshot_is_seen_at_once(lake: Lake) -> None:
    three_days(lake)
    assert lake.ask("SELECT max(code) FROM files WHERE repo = 'h__a'") == [("3",)]
    lake.made.add("h__a", NOV + 4 * DAY, {"files": [file_row("x", 70)]})
    lake.made.add("h__c", NOV, {"files": [file_row("z", 80)]})
    assert lake.ask("SELECT code FROM files ORDER BY code") == [("9",), ("70",), ("80",)]


def test_a_run_without_a_manifest_is_no_snapshot(lake: Lake) -> None:
    lake.made.add("h__a", NOV, {"files": [file_row("x", 1)]})
    lake.made.prepare("h__a", NOV + DAY, {"files": [file_row("x", 2)]})
    assert lake.ask("SELECT code FROM files", history=True) == [("1",)]


def test_a_glob_that_no_repo_is_like_is_an_error(lake: Lake) -> None:
    three_days(lake)
    assert refused("FROM files", lake.store, repos=("h__z*",)).code == "no-snapshot"


def test_an_index_that_does_not_read_is_made_anew(lake: Lake) -> None:
    three_days(lake)
    lake.ask("FROM files")
    for path in (lake.cache / "index").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    assert len(lake.ask("FROM files")) == 2
