"""The cache: private, bounded, and kept where it should be."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from snapshotter.base.errors import UsageError
from snapshotter.query.cache import Cache, folder


def test_the_cache_is_private_and_refuses_a_folder_that_others_may_write(tmp_path: Path) -> None:
    made = Cache.prepared(tmp_path / "mine", 1)
    assert {path.stat().st_mode & 0o777 for path in [made.root, *made.root.iterdir()]} == {0o700}
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(UsageError, match="written to by others"):
        Cache.prepared(shared, 1)
    for useless in (Path(os.devnull) / "x", tmp_path / "a*"):
        with pytest.raises(UsageError):
            Cache.prepared(useless, 1)


def test_the_cache_forgets_what_was_not_used_for_longest_and_nothing_in_use(tmp_path: Path) -> None:
    made = Cache.prepared(tmp_path, 10_000)
    old, older, new = ("1" * 64, "2" * 64, "3" * 64)
    for digest, hours in ((old, 5), (older, 9), (new, 0)):
        path = made.keep(digest, b"x" * 8000)
        os.utime(path, (time.time() - hours * 3600,) * 2)
    made.shrink()
    assert [made.find(each) is not None for each in (old, older, new)] == [False, False, True]
    Cache.prepared(tmp_path, 0).shrink()
    assert made.find(new)


def test_where_the_cache_is(tmp_path: Path) -> None:
    assert folder("", {"HOME": str(tmp_path)}) == tmp_path / ".cache" / "snapshotter"
    assert folder("", {"HOME": os.devnull}) is None
    assert folder("", {}) is None
    assert folder("", {"HOME": os.devnull, "XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "snapshotter"
    assert folder(str(tmp_path / "x"), {"HOME": os.devnull}) == tmp_path / "x"
