"""An origin that did not change: what it costs, and that its snapshot is one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.archive import layout, receipts
from snapshotter.archive.catalog import RECENT
from snapshotter.archive.manifest import RefChanges
from snapshotter.capture.options import CaptureOptions
from tests.support.faults import RecordingStore
from tests.support.git import Origin
from tests.support.lab import Lab, check
from tests.support.scans import quickly, scan_options


@pytest.mark.parametrize("age", [timedelta(hours=1), timedelta(days=400)])
def test_unchanged_costs_two_requests_and_writes_the_manifest_only(
    lab: Lab, origin: Origin, tmp_path: Path, age: timedelta
) -> None:
    with GitHost(tmp_path / "srv") as host:
        lab.take(host.url("x.git"))
        for _ in range(3):
            origin.commit()
            lab.take(host.url("x.git"))
        if age > RECENT:
            lab.take(host.url("x.git"), advance=age)  # in between a quiet day: the base is old
        before = {entry.key for entry in lab.store.list("")}
        host.requests.clear()
        counting = RecordingStore(lab.store)
        taken = lab.take(host.url("x.git"), store=counting)
    assert taken.manifest.kind == "unchanged"
    assert len(host.requests) <= 2
    written = {entry.key for entry in lab.store.list("")} - before
    assert written == {taken.manifest.key.key(layout.MANIFEST)}
    assert Counter(name for name, _ in counting.calls)["put_new"] == 1
    assert len(counting.calls) <= 4, counting.calls


def test_unchanged_restores_and_diffs_to_nothing(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    lab.take(origin)
    origin.commit()
    lab.take(origin)
    taken = [lab.take(origin), lab.take(origin)]
    assert [sealed.manifest.kind for sealed in taken] == ["unchanged", "unchanged"]
    assert len({tuple(sealed.manifest.chain) for sealed in taken}) == 1
    check(lab, origin, taken[1], tmp_path)


def test_with_its_newest_snapshot_known_an_unchanged_origin_costs_one_listing(
    lab: Lab, origin: Origin, tmp_path: Path
) -> None:
    lab.take(origin)
    origin.commit()
    lab.take(origin)
    known = lab.take(origin, advance=timedelta(days=60))
    counting = RecordingStore(lab.store)
    taken = lab.take(origin, store=counting, known=known)
    assert [name for name, _ in counting.calls] == ["list", "put_new"]
    assert taken.manifest.kind == "unchanged"
    assert taken.manifest.parent is not None
    assert taken.manifest.parent.manifest_sha256 == known.sha256
    check(lab, origin, taken, tmp_path)


def test_a_newer_snapshot_than_the_known_one_is_the_parent(lab: Lab, origin: Origin) -> None:
    known = lab.take(origin)
    origin.commit()
    newest = lab.take(origin)
    taken = lab.take(origin, known=known)
    assert taken.manifest.parent is not None
    assert taken.manifest.parent.run_id == newest.manifest.run_id


def test_a_known_snapshot_that_is_gone_or_another_origin_s_is_none(
    lab: Lab, origin: Origin, tmp_path: Path
) -> None:
    other = Origin(tmp_path / "other.git")
    other.commit()
    stranger = lab.take(other)
    first = lab.take(origin)
    known = lab.take(origin)
    (lab.root / known.manifest.key.key(layout.MANIFEST)).unlink()
    for given in (known, stranger):
        taken = lab.take(origin, known=given)
        assert taken.manifest.parent is not None
        assert taken.manifest.parent.run_id >= first.manifest.run_id
        assert taken.manifest.repo == first.manifest.repo


def test_a_receipt_since_makes_a_base_due_although_the_snapshot_is_known(lab: Lab, origin: Origin) -> None:
    base = lab.take(origin)
    known = lab.take(origin, advance=timedelta(days=60))
    key = base.manifest.key.key(receipts.new_name(lab.now, ok=False))
    lab.store.put_new(key, b"{}")
    taken = lab.take(origin, known=known)
    assert (taken.manifest.kind, "damaged" in taken.manifest.reason) == ("base", True)


def test_with_changes_only_nothing_is_written_until_something_changed(lab: Lab, origin: Origin) -> None:
    options = CaptureOptions(changes_only=True)
    first = lab.take(origin, options=options)
    before = lab.store.list("")
    for known in (first, None):
        assert lab.take(origin, options=options, known=known).sha256 == first.sha256
    assert lab.store.list("") == before
    aged = replace(options, max_chain_age=timedelta(days=30))
    assert lab.take(origin, options=aged, advance=timedelta(days=40)).manifest.kind == "base"
    origin.commit()
    assert lab.take(origin, options=options, known=first).manifest.kind == "increment"


def test_with_changes_only_a_scan_that_is_still_to_be_made_is_made(
    lab: Lab, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    lab.take(origin)
    options = CaptureOptions(changes_only=True, scan=scan_options())
    taken = lab.take(origin, options=options)
    assert taken.manifest.kind == "unchanged"
    assert taken.manifest.scan is not None
    assert lab.take(origin, options=options).sha256 == taken.sha256


def test_an_empty_snapshot_after_an_empty_one_says_that_nothing_changed(lab: Lab, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "empty.git")
    first, second = lab.take(origin), lab.take(origin)
    assert (first.manifest.ref_changes, second.manifest.ref_changes) == (None, RefChanges())
    origin.git("symbolic-ref", "HEAD", "refs/heads/other")
    moved = lab.take(origin).manifest.ref_changes
    assert moved and [(change.ref, change.new) for change in moved.moved.refs] == [
        ("HEAD", "refs/heads/other")
    ]


def test_an_empty_origin_is_written_once_with_changes_only(lab: Lab, tmp_path: Path) -> None:
    empty = Origin(tmp_path / "empty.git")
    options = CaptureOptions(changes_only=True)
    first = lab.take(empty, options=options)
    assert lab.take(empty, options=options).sha256 == first.sha256
