"""What is read of a commit object."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from snapshotter.git.commit import committed_at, parents
from tests.support.git import Origin

HEAD = b"tree %b\nauthor A <a@b> 1 +0000\n" % (b"a" * 40)


def test_a_commit_of_git_tells_its_parents_and_its_committers_time(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "x.git")
    first, second = origin.commit(), origin.commit(ref="refs/heads/other")
    merge = origin.git("cat-file", "commit", origin.commit(parents=[first, second]))
    assert parents(merge) == [first, second]
    seconds = int(origin.text("log", "-1", "--format=%ct", "main"))
    assert committed_at(merge) == datetime.fromtimestamp(seconds, UTC)


def test_a_time_of_another_zone_is_the_same_moment_in_utc() -> None:
    when = datetime(2019, 1, 2, 23, 30, tzinfo=timezone(timedelta(hours=-9)))
    commit = HEAD + b"committer A <a@b> %d -0900\n\nx" % when.timestamp()
    assert committed_at(commit) == when and committed_at(commit).tzinfo is UTC


@pytest.mark.parametrize(
    "committer",
    [
        b"",
        b"committer A <a@b>\n",
        b"committer A <a@b> -5 +0000\n",
        b"committer A <a@b> 999999999999 +0000\n",
        b"committer A <a@b> " + b"9" * 5000 + b" +0000\n",
        b"committer A <a@b> \xd9\xa1 +0000\n",
        b"committer A <a@b> 12 PST\n",
        b"x committer A <a@b> 12 +0000\n",
        b"\ncommitter A <a@b> 12 +0000\n",  # a line of the message
    ],
)
def test_a_commit_without_a_time_that_can_be_has_none(committer: bytes) -> None:
    assert committed_at(HEAD + committer + b"\nmessage") is None
