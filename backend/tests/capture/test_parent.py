"""The parent: which snapshot it is, whether its chain may be built on, and when its refs are read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from snapshotter.archive import layout, receipts
from snapshotter.archive.canonical import canonical
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.base.errors import NewerSchema, Unavailable
from snapshotter.capture.parent import ParentSearch, ParentSnapshot, find, with_ledger
from snapshotter.git.origin_parsing import parse
from snapshotter.git.refs import Ref, RefsLedger
from tests.support.faults import RecordingStore
from tests.support.git import Origin
from tests.support.lab import Lab

OTHER_REFS = RefsLedger.build([Ref(b"refs/heads/other", "b" * 40)])


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "x.git")
    made.commit()
    return made


def taken(lab: Lab, origin: Origin, count: int) -> list[Sealed]:
    """So many snapshots, each with a commit of its own."""
    snapshots = []
    for _ in range(count):
        origin.commit()
        snapshots.append(lab.take(origin))
    return snapshots


def search(lab: Lab, origin: Origin, now: datetime | None = None) -> ParentSearch:
    """What a run that starts at `now`, or an hour after the newest, finds."""
    parsed = parse(str(origin.path))
    key = RunKey(parsed.repo, RunId.new(now or lab.now + timedelta(hours=1)))
    return find(lab.catalog, parsed, key, lab.observer)


def parent_of(lab: Lab, origin: Origin, now: datetime | None = None) -> ParentSnapshot:
    """The parent that a search ends with."""
    parent = search(lab, origin, now).parent
    assert parent is not None
    return parent


def rewrite(lab: Lab, snapshot: Sealed, data: bytes) -> None:
    lab.file(snapshot.manifest.key.key(layout.MANIFEST)).write_bytes(data)


def test_the_first_snapshot_has_none(lab: Lab, origin: Origin) -> None:
    result = search(lab, origin)
    assert (result.parent, result.why_none) == (None, "the first snapshot")
    assert lab.observer.warnings == []


def test_it_is_the_newest_and_its_chain_is_sound(lab: Lab, origin: Origin) -> None:
    *_, newest = taken(lab, origin, 3)
    parent = parent_of(lab, origin)
    assert parent.sealed == newest
    assert parent.damage is None
    assert parent.chain.runs == tuple(newest.manifest.chain)
    assert parent.chain.increments == 2
    assert parent.foundation.refs is None, "its refs are read only once the origin's are known"


def test_a_child_of_the_same_second_sorts_after_it(lab: Lab, origin: Origin) -> None:
    (newest,) = taken(lab, origin, 1)
    for _ in range(20):
        result = search(lab, origin, lab.now)
        assert result.parent is not None
        assert result.key > newest.manifest.key


def test_snapshots_of_the_future_are_passed_over_with_a_warning(lab: Lab, origin: Origin) -> None:
    first, _ = taken(lab, origin, 2)
    now = first.manifest.started_at + timedelta(seconds=1)
    assert parent_of(lab, origin, now).sealed == first
    assert ["1 snapshot" in warning and "clock" in warning for warning in lab.observer.warnings] == [True]


def test_one_of_another_origin_is_refused(lab: Lab, origin: Origin) -> None:
    (newest,) = taken(lab, origin, 1)
    rewrite(lab, newest, seal(msgspec.structs.replace(newest.manifest, origin="/elsewhere.git")).data)
    with pytest.raises(Unavailable, match="holds snapshots of another origin") as caught:
        search(lab, origin)
    assert caught.value.code == "repo-collision"


@pytest.mark.parametrize("data", [b"", b"{}", b"not json"])
def test_one_whose_manifest_cannot_be_read_is_not_built_on(lab: Lab, origin: Origin, data: bytes) -> None:
    (newest,) = taken(lab, origin, 1)
    rewrite(lab, newest, data)
    result = search(lab, origin)
    assert (result.parent, result.why_none) == (None, "the newest snapshot's manifest cannot be read")
    assert "this one is a base" in lab.observer.warnings[0]


def test_one_of_a_newer_schema_ends_the_run(lab: Lab, origin: Origin) -> None:
    (newest,) = taken(lab, origin, 1)
    rewrite(lab, newest, canonical(msgspec.to_builtins(newest.manifest) | {"schema_version": 3}))
    with pytest.raises(NewerSchema):
        search(lab, origin)


@pytest.mark.parametrize("name", [layout.HISTORY, layout.REFS, layout.MANIFEST])
def test_a_chain_that_lacks_a_part_is_damaged(lab: Lab, origin: Origin, name: str) -> None:
    base, *_ = taken(lab, origin, 3)
    lab.file(base.manifest.key.key(name)).unlink()
    assert parent_of(lab, origin).damage == f"the chain lacks the history of {base.manifest.run_id}"


def test_a_chain_with_a_failed_receipt_is_damaged_until_a_newer_one_says_otherwise(
    lab: Lab, origin: Origin
) -> None:
    base, newest = taken(lab, origin, 2)
    say(lab, base, ok=False)
    assert parent_of(lab, origin).damage == (
        f"the receipt of {base.manifest.run_id} says that the chain is damaged"
    )
    say(lab, newest, ok=True)
    assert parent_of(lab, origin).damage, "a receipt speaks of its own run"
    lab.now += timedelta(seconds=1)
    say(lab, base, ok=True)
    assert parent_of(lab, origin).damage is None


def say(lab: Lab, snapshot: Sealed, *, ok: bool) -> None:
    """Put a receipt's name beside a snapshot: a search reads no more of it."""
    file = lab.file(snapshot.manifest.key.key(receipts.new_name(lab.now, ok=ok)))
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"")


def test_a_chain_that_began_before_the_first_listing_is_judged_too(lab: Lab, origin: Origin) -> None:
    (base,) = taken(lab, origin, 1)
    lab.now += timedelta(days=40)
    taken(lab, origin, 1)
    assert parent_of(lab, origin).damage is None
    say(lab, base, ok=False)
    assert base.manifest.run_id in parent_of(lab, origin).damage


def test_refs_that_the_origin_lists_again_are_not_read(lab: Lab, origin: Origin) -> None:
    (newest,) = taken(lab, origin, 1)
    ledger, parent = lab.catalog.ledger(newest.manifest), parent_of(lab, origin)
    lab.file(newest.manifest.refs.artifact).unlink()
    assert with_ledger(lab.catalog, parent, ledger, lab.observer).ledger is ledger


def test_other_refs_are_read(lab: Lab, origin: Origin) -> None:
    (newest,) = taken(lab, origin, 1)
    parent = with_ledger(lab.catalog, parent_of(lab, origin), OTHER_REFS, lab.observer)
    assert parent.ledger == lab.catalog.ledger(newest.manifest)
    assert parent.foundation.refs == parent.ledger


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbled(path: Path) -> None:
    path.write_bytes(b"no refs\n")


@pytest.mark.parametrize("harm", [Path.unlink, emptied, garbled])
def test_refs_that_cannot_be_read_are_none_with_a_warning(
    lab: Lab, origin: Origin, harm: Callable[[Path], None]
) -> None:
    (newest,) = taken(lab, origin, 1)
    harm(lab.file(newest.manifest.refs.artifact))
    parent = with_ledger(lab.catalog, parent_of(lab, origin), OTHER_REFS, lab.observer)
    assert parent.ledger is None
    assert "this snapshot is a base" in lab.observer.warnings[0]


def test_an_unchanged_run_asks_the_store_for_a_listing_a_manifest_and_a_write(
    lab: Lab, origin: Origin
) -> None:
    (newest,) = taken(lab, origin, 1)
    store = RecordingStore(lab.store)
    unchanged = lab.take(origin, store=store)
    assert unchanged.manifest.kind == "unchanged"
    assert [method for method, _ in store.calls] == ["list", "get", "put_new"]
    assert unchanged.manifest.refs == newest.manifest.refs
