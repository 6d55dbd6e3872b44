"""Clocks that go backwards, stand still, or were wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.support.git import Origin
from tests.support.lab import Lab, check


def test_a_clock_set_backwards_loses_nothing(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    first = lab.take(origin)
    origin.commit()
    future = lab.take(origin, advance=timedelta(days=40))
    then = origin.state
    origin.commit()
    lab.now -= timedelta(days=39)
    taken = lab.take(origin)
    assert taken.manifest.parent is not None
    assert taken.manifest.parent.run_id == first.manifest.run_id
    assert future.manifest.run_id not in taken.manifest.chain
    (warning,) = lab.observer.warnings
    assert "clock" in warning
    check(lab, origin, taken, tmp_path)
    assert lab.restored(future, tmp_path / "future.git") == then
    lab.now += timedelta(days=50)
    later = lab.take(origin)
    assert later.manifest.parent.run_id == future.manifest.run_id  # type: ignore[union-attr]
    check(lab, origin, later, tmp_path)


def test_a_future_snapshot_alone_is_no_parent(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    lab.take(origin, advance=timedelta(days=40))
    lab.now -= timedelta(days=40)
    taken = lab.take(origin)
    assert taken.manifest.kind == "base"
    assert taken.manifest.parent is None
    check(lab, origin, taken, tmp_path)
    assert lab.catalog.latest(taken.manifest.repo, now=lab.now).key == taken.manifest.key  # type: ignore[union-attr]


def test_children_of_one_second_sort_after_their_parents(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    taken = []
    for _ in range(12):
        origin.commit()
        taken.append(lab.take(origin, advance=timedelta()).manifest)
    assert [manifest.run_id for manifest in taken] == sorted(manifest.run_id for manifest in taken)
    assert [manifest.parent.run_id for manifest in taken[1:] if manifest.parent] == [
        m.run_id for m in taken[:-1]
    ]
    assert lab.catalog.latest(taken[0].repo, now=lab.now).key == taken[-1].key  # type: ignore[union-attr]
    lab.assert_whole(taken[0].repo)
