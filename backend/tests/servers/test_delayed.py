"""The distance of the benchmarks delays and alters nothing; and rows that make commits do so on any branch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import generate
import sources
from delayed import Delayed
from githost import GitHost
from snapshotter.git.origin_parsing import parse
from tests.support.git import Origin
from tests.support.lab import Lab


def test_what_comes_through_the_distance_is_what_was_sent(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "srv" / "x.git")
    origin.commit(files={"noise": os.urandom(3_000_000)})
    with GitHost(tmp_path / "srv") as host:
        near = host.url("x.git")
        with Delayed(parse(near).port or 0, one_way=0.001) as far:
            taken = Lab(tmp_path / "store").take(f"http://127.0.0.1:{far.port}/x.git")
    assert taken.manifest.history is not None
    assert taken.manifest.history.bytes > 3_000_000
    assert far.connections == 1


@pytest.mark.parametrize("make", ["generate", "sources"])
def test_commits_are_added_to_a_default_branch_of_any_name(tmp_path: Path, make: str) -> None:
    origin = Origin(tmp_path / "x.git")
    code = {f"src/a b{number}.py": b"\xff = 1\n" for number in range(3)}
    origin.commit(files={**code, "src/empty.py": b"", 'src/"quoted".py': b"x\n"})
    origin.git("branch", "-m", "main", "trunk")
    origin.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    before = origin.git("rev-parse", "trunk").decode().strip()
    path = tmp_path / "x.git"
    tip = generate.grow(path, 2, 1) if make == "generate" else sources.change(path, 9, 1)
    assert origin.git("rev-parse", "trunk").decode().strip() == tip != before
    subprocess.run(["git", "merge-base", "--is-ancestor", before, tip], cwd=path, check=True)
