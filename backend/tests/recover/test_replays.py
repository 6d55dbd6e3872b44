"""Where verify replays: a folder of its own, and none that a killed verify left."""

from __future__ import annotations

from pathlib import Path

from snapshotter.base.folders import locked_folder
from snapshotter.recover.verify import VerifyOptions
from tests.support.git import Origin
from tests.support.lab import Lab


def test_what_a_killed_verify_left_is_removed_and_what_another_uses_is_not(tmp_path: Path) -> None:
    origin, lab, temp = Origin(tmp_path / "origin.git"), Lab(tmp_path / "store"), tmp_path / "temp"
    origin.commit()
    taken = lab.take(origin)
    (temp / "snapshotter-verify-0123abcd" / "replay.git").mkdir(parents=True)
    with locked_folder(temp, "snapshotter-verify-") as used:
        (verdict,) = lab.verify(taken, VerifyOptions(temp=temp))
        assert verdict.ok
        assert list(temp.iterdir()) == [used]
