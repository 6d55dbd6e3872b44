"""An origin that did not change: what it costs, and that its snapshot is one."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.archive import layout
from snapshotter.archive.catalog import RECENT
from tests.support.faults import RecordingStore
from tests.support.git import Origin
from tests.support.lab import Lab, check


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
