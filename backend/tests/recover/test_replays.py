"""What verify replays together, and where: a folder of its own, and none that a killed verify left."""

from __future__ import annotations

from pathlib import Path

from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import RefsRecord
from snapshotter.base.folders import locked_folder
from snapshotter.recover.outline import Outline
from snapshotter.recover.replays import sharing
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


def test_snapshots_share_a_replay_whose_chains_begin_alike() -> None:
    def outline(key: str, chain: str) -> Outline:
        return Outline(run(key), "", None, tuple(map(run, chain)), RefsRecord(0, "", ""), "sha1", 0)

    def run(letter: str) -> RunKey:
        return RunKey("r", RunId(letter))

    chains = {"a": "a", "b": "ab", "c": "ab", "d": "abd", "e": "abe", "f": "f", "g": "f"}
    groups = sharing(outline(key, chain) for key, chain in chains.items())
    together = {"".join(sorted(each.key.run_id.text for each in group)) for group in groups}
    assert together == {"abcd", "e", "fg"}
    assert all(len(group[0].chain) == max(len(each.chain) for each in group) for group in groups)
