"""Receipts: their names say what they say, so that an unchanged run need not read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from snapshotter.archive import layout, receipts
from snapshotter.archive.canonical import canonical
from snapshotter.base.errors import AccessDenied, Unavailable
from snapshotter.cli import describe
from snapshotter.recover import ending
from snapshotter.recover.many import Verification
from snapshotter.recover.verify import VerifyOptions
from snapshotter.store.backend import ListedObject
from snapshotter.store.objects import Store
from tests.support.faults import FaultyStore
from tests.support.git import Origin
from tests.support.lab import Lab

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class CountingStore(FaultyStore):
    """A store that keeps a list of what it was asked."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.calls: list[tuple[str, str]] = []

    def put_new(self, key: str, data: bytes | memoryview, **options: Any) -> None:
        self.calls.append(("put", key))
        super().put_new(key, data, **options)

    def get(self, key: str, **options: Any) -> bytes:
        self.calls.append(("get", key))
        return super().get(key, **options)

    def list(self, folder: str, **options: Any) -> list[ListedObject]:
        self.calls.append(("list", folder))
        return super().list(folder, **options)

    def folders(self, folder: str) -> list[str]:
        self.calls.append(("list", folder))
        return super().folders(folder)


def test_names_sort_by_time_say_the_verdict_and_differ() -> None:
    early, late = receipts.new_name(NOON, ok=False), receipts.new_name(NOON + timedelta(seconds=1), ok=True)
    assert early < late
    assert early.startswith("receipts/20261123T120000Z-f")
    assert late.startswith("receipts/20261123T120001Z-0")
    assert (receipts.says_ok(early), receipts.says_ok(late)) == (False, True)
    assert receipts.new_name(NOON, ok=True) != receipts.new_name(NOON, ok=True)
    assert all(receipts.is_name(name) for name in (early, late))


@pytest.mark.parametrize(
    "ahead", [datetime(2090, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]
)
def test_a_receipt_by_a_clock_that_was_ahead_does_not_outlive_what_is_found_later(
    lab: Lab, origin: Origin, ahead: datetime
) -> None:
    taken = lab.take(origin)
    lab.file(taken.manifest.key.key(receipts.new_name(ahead, ok=True))).parent.mkdir()
    (verdict,) = lab.verify(taken)
    good = receipts.read(lab.store, verdict.run, verdict.receipt.removeprefix(verdict.run.key("")))
    lab.file(taken.manifest.key.key(receipts.new_name(ahead, ok=True))).write_bytes(canonical(good))
    lab.file(taken.manifest.artifacts[0].key).write_bytes(b"x")
    lab.verify(taken)
    assert lab.catalog.folder(taken.manifest.key).verified is False
    assert lab.take(origin).manifest.kind == "base"


@pytest.mark.parametrize(("harmed", "code"), [(False, 5), (True, 1)])
def test_a_receipt_that_cannot_be_written_costs_no_verdict(
    lab: Lab, origin: Origin, monkeypatch: pytest.MonkeyPatch, harmed: bool, code: int
) -> None:
    """A mounted backup, an auditor who may only read, a full disk: what is wrong is still told."""
    taken = [lab.take(origin), lab.take(origin)]
    if harmed:
        lab.file(taken[0].manifest.artifacts[0].key).write_bytes(b"x")

    def refuse(*_: Any, **__: Any) -> None:
        raise AccessDenied("this user may not write")

    monkeypatch.setattr(Store, "put_new", refuse)
    verdicts = lab.verify(taken[0])
    assert [verdict.ok for verdict in verdicts] == [not harmed] * 2
    affected = ending.affected_by(lab.catalog, verdicts)
    assert len(affected) == 2 * harmed
    error = ending.ending(verdicts)
    assert error is not None
    assert error.exit_code == code
    assert (
        sum("may not write" in line for line in describe.verification(Verification(verdicts), affected)) == 1
    )


def test_of_two_receipts_of_one_second_the_failed_one_counts(lab: Lab, origin: Origin) -> None:
    run = lab.catalog.folder(lab.take(origin).manifest.key)
    run.files.update({receipts.new_name(NOON, ok=ok): 1 for ok in (True, False)})
    assert run.verified is False


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "origin.git")
    made.commit()
    return made


@pytest.mark.parametrize(
    "days", [0, 5]
)  # between two snapshots: with 5, the base is not in the first listing
def test_an_unchanged_run_asks_the_store_four_times_however_many_receipts_there_are(
    lab: Lab, origin: Origin, days: int
) -> None:
    first = lab.take(origin)
    for _ in range(5):
        origin.commit()
        lab.take(origin, advance=timedelta(days=days, hours=1))
    for _ in range(2):
        assert all(verdict.ok and verdict.receipt for verdict in lab.verify(first))
    store = CountingStore(lab.store)
    assert lab.take(origin, store=store).manifest.kind == "unchanged"
    assert len(store.calls) <= 4, store.calls
    assert [key for call, key in store.calls if call == "put" and not key.endswith(layout.MANIFEST)] == []
    assert [key for _, key in store.calls if layout.RECEIPTS in key] == []


def test_a_failed_receipt_anywhere_in_the_chain_is_heard_and_a_later_good_one_too(
    lab: Lab, origin: Origin
) -> None:
    first = lab.take(origin)
    origin.commit()
    lab.take(origin)
    path = lab.file(first.manifest.key.key(layout.HISTORY))
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"?")
    assert not any(verdict.ok for verdict in lab.verify(first, VerifyOptions(quick=True)))
    assert {run.verified for run in lab.runs(first)} == {False}
    path.write_bytes(good)
    assert lab.take(origin).manifest.kind == "base"


def test_a_receipt_that_was_renamed_to_say_another_thing_is_refused(lab: Lab, origin: Origin) -> None:
    taken = lab.take(origin)
    key = lab.verify(taken)[0].receipt
    name = key.removeprefix(taken.manifest.key.folder + "/")
    assert receipts.read(lab.store, taken.manifest.key, name).ok
    lied = name.replace("-0", "-f")
    lab.file(key).rename(lab.file(taken.manifest.key.key(lied)))
    with pytest.raises(Unavailable, match="does not say what its name says"):
        receipts.read(lab.store, taken.manifest.key, lied)
    assert "does not say" in " ".join(map(str, lab.verify(taken, VerifyOptions(receipts=False))[0].problems))
