"""verify ends: what it cannot prove in time is unchecked, and what it proved or found before that stands."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from snapshotter.archive import receipts
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.sealed import Sealed
from snapshotter.recover import limits
from snapshotter.recover import verify as verification
from snapshotter.recover.ending import ending
from snapshotter.recover.limits import ProofOutOfTime, ReplayTime
from snapshotter.recover.verdict import Verdict
from snapshotter.recover.verify import VerifyOptions
from tests.support.cli import cli
from tests.support.git import Origin
from tests.support.lab import START, Lab

# A git that works for hours on the index of the pack whose number is in `hang`, and notes who it is.
SLOW_GIT = """#!/bin/sh
for word; do
  if [ "$word" = index-pack ]; then
    echo >> "{notes}/packs"
    if [ "$(wc -l < "{notes}/packs")" -eq "$(cat "{notes}/hang")" ]; then
      echo $$ > "{notes}/pid"
      exec sleep 3600
    fi
  fi
done
exec "{git}" "$@"
"""


@dataclass
class Slow:
    """A base and an increment, and a git that hangs on a pack."""

    lab: Lab
    taken: list[Sealed]
    notes: Path

    def verify(self, *, hang: int) -> list[Verdict]:
        """The verdicts, with a git that hangs on this pack."""
        self.hang(hang)
        return self.lab.verify(self.taken[0], VerifyOptions(seconds=2))

    def hang(self, at: int) -> None:
        (self.notes / "hang").write_text(str(at))

    def receipts(self) -> list[list[str]]:
        return [self.lab.catalog.folder(each.manifest.key).receipts for each in self.taken]


MIB = 1024 * 1024


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of a clock that a test moves."""
    now = [0.0]
    monkeypatch.setattr(limits, "monotonic", lambda: now[0])
    return now


def keys(count: int) -> list[RunKey]:
    """That many runs of one repo."""
    return [RunKey("r", RunId.new(START)) for _ in range(count)]


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slow:
    origin, lab, notes = Origin(tmp_path / "origin.git"), Lab(tmp_path / "store"), tmp_path / "notes"
    origin.commit(files={"big": random.Random(1).randbytes(20_000)})
    taken = [lab.take(origin)]
    origin.commit()
    taken.append(lab.take(origin))
    assert [each.manifest.kind for each in taken] == ["base", "increment"]
    notes.mkdir()
    (notes / "git").write_text(SLOW_GIT.format(notes=notes, git=shutil.which("git")))
    (notes / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(notes), prepend=os.pathsep)
    return Slow(lab, taken, notes)


def test_what_a_replay_did_not_come_to_in_time_is_unchecked_without_a_receipt(slow: Slow) -> None:
    base, increment = slow.verify(hang=2)
    assert base.ok
    assert (increment.ok, increment.problems) == (False, ())
    assert isinstance(increment.unchecked, ProofOutOfTime)
    assert [len(names) for names in slow.receipts()] == [1, 0]
    error = ending([base, increment])
    assert error is not None
    assert (error.exit_code, error.code) == (4, "verify-time")
    assert "--timeout" in error.hint


def test_git_does_not_outlive_the_limit(slow: Slow) -> None:
    assert all(verdict.unchecked for verdict in slow.verify(hang=1))
    with pytest.raises(ProcessLookupError):
        os.kill(int((slow.notes / "pid").read_text()), 0)


def test_damage_that_was_found_counts_although_the_replay_ran_out_of_time(slow: Slow) -> None:
    key = slow.taken[1].manifest.key
    slow.lab.file(key.key("refs.txt")).unlink()
    base, increment = slow.verify(hang=1)
    assert (bool(base.unchecked), base.problems) == (True, ())
    assert (increment.unchecked, len(increment.problems)) == (None, 1)
    assert [list(map(receipts.says_ok, names)) for names in slow.receipts()] == [[], [False]]
    error = ending([base, increment])
    assert error is not None
    assert error.exit_code == 1


def test_what_was_not_read_in_time_is_not_taken_for_proven_by_what_rests_on_it(tmp_path: Path) -> None:
    origin, lab = Origin(tmp_path / "origin.git"), Lab(tmp_path / "store")
    origin.commit()
    taken = [lab.take(origin), lab.take(origin)]
    verdicts = lab.verify(taken[0], VerifyOptions(quick=True, seconds=0))
    assert [bool(verdict.unchecked) for verdict in verdicts] == [True, True]
    assert [verdict.problems for verdict in verdicts] == [(), ()]
    assert verification.affected(lab.catalog, taken[0].manifest.repo, []) == []


@pytest.mark.parametrize("by", ["flag", "setting"])
def test_the_limit_is_a_flag_and_a_setting(slow: Slow, by: str) -> None:
    given = ["--timeout", "1s"] if by == "flag" else []
    env = {} if given else {"SNAPSHOTTER_VERIFY_TIMEOUT": "1s"}
    slow.hang(1)
    done = cli("verify", "--all", "--store", slow.lab.root, *given, **env, PATH=os.environ["PATH"])
    assert done.code == 4
    assert "2 of 2 snapshots could not be checked: the replay of the chain up to" in done.err
    assert slow.receipts() == [[], []]


def test_chains_have_time_by_what_is_stored_of_them(clock: list[float]) -> None:
    base, one, other = keys(3)
    limit = ReplayTime()
    with limit.replay({base: 500 * MIB, one: 0}) as seconds:
        assert seconds == 15 + 2 * 2 + 1000
        clock[0] += 19
    with limit.replay({base: 500 * MIB, other: 0}) as seconds:
        assert seconds == 1000 + 2, "what was left, and its own bundle's"


def test_any_number_of_chains_on_one_base_have_no_more_time_than_their_bundles(clock: list[float]) -> None:
    base, *forks = keys(100)
    limit = ReplayTime()
    for fork in forks:
        with limit.replay({base: MIB, fork: 100}) as seconds:
            clock[0] += seconds  # a pack of few bytes may take any time
    assert clock[0] == pytest.approx(15 + 2 + 100 * 2, abs=0.1)


def test_a_limit_of_the_users_is_each_chains() -> None:
    base, one, other = keys(3)
    limit = ReplayTime(7)
    for fork in (one, other):
        with limit.replay({base: MIB, fork: 0}) as seconds:
            assert seconds == 7
