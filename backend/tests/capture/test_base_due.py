"""When a snapshot is a base, and why."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

from snapshotter.archive import layout
from snapshotter.archive.catalog import RECENT
from snapshotter.capture.options import CaptureOptions
from tests.support.git import Origin
from tests.support.lab import Lab, check


def reasons(
    lab: Lab, origin: Origin, count: int, options: CaptureOptions | None = None
) -> list[tuple[str, str]]:
    """Kind and reason of so many snapshots, each of one more commit."""
    taken = []
    for _ in range(count):
        origin.commit()
        taken.append(lab.take(origin, options).manifest)
    return [(manifest.kind, manifest.reason) for manifest in taken]


def test_a_base_after_twenty_four_increments(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    kinds = reasons(lab, origin, 27)
    assert [kind for kind, _ in kinds] == ["base"] + ["increment"] * 24 + ["base", "increment"]
    assert "24 increments" in kinds[25][1]
    lab.assert_whole(lab.take(origin))


def test_a_base_is_due_even_if_nothing_changed(lab: Lab, origin: Origin) -> None:
    few = CaptureOptions(max_increments=2)
    reasons(lab, origin, 3, few)
    assert lab.take(origin, few).manifest.kind == "base"
    assert lab.take(origin, few).manifest.kind == "unchanged"


def test_a_base_when_the_increments_outweigh_the_base(lab: Lab, tmp_path: Path) -> None:
    light = Origin(tmp_path / "light.git")
    light.commit()
    lab.take(light)
    light.commit(files={"big": random.Random(1).randbytes(3000)})
    assert lab.take(light).manifest.kind == "increment"
    taken = lab.take(light)
    assert (taken.manifest.kind, taken.manifest.reason) == ("base", "the increments outweigh the base")


def test_a_base_when_the_chain_is_old(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    options = CaptureOptions(max_chain_age=timedelta(days=30))
    lab.take(origin, options)
    assert lab.take(origin, options, advance=timedelta(days=29)).manifest.kind == "unchanged"
    taken = lab.take(origin, options, advance=timedelta(days=2))
    assert taken.manifest.kind == "base"
    assert "older than" in taken.manifest.reason
    check(lab, origin, taken, tmp_path)


def test_a_base_when_asked_for(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    lab.take(origin)
    taken = lab.take(origin, CaptureOptions(full=True))
    assert taken.manifest.kind == "base"
    assert taken.manifest.parent is not None
    check(lab, origin, taken, tmp_path)


def test_a_base_after_a_failed_receipt_and_not_after_a_good_one(
    lab: Lab, origin: Origin, tmp_path: Path
) -> None:
    first = lab.take(origin)
    path = lab.file(first.manifest.key.key(layout.HISTORY))
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"?")
    assert not lab.verify(first)[0].ok
    path.write_bytes(good)
    origin.commit()
    # The next base may come weeks later: the receipt is then no longer in the first listing.
    taken = lab.take(origin, advance=RECENT + timedelta(days=9))
    assert taken.manifest.kind == "base"
    assert first.manifest.run_id in taken.manifest.reason
    path.write_bytes(good)
    assert all(verdict.ok for verdict in lab.verify(first))
    origin.commit()
    assert lab.take(origin).manifest.kind == "increment"
    lab.assert_whole(first)
