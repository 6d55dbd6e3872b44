"""The stores that queries are asked of."""

from __future__ import annotations

from pathlib import Path

import pytest

from snapshotter.store.opening import open_store
from tests.support.lake import Lake


@pytest.fixture(params=["folder", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    store = open_store("memory:" if request.param == "memory" else f"file:{tmp_path / 'store'}")
    return Lake(store, tmp_path / "cache")


@pytest.fixture
def folder_lake(tmp_path: Path) -> Lake:
    return Lake(open_store(f"file:{tmp_path / 'store'}"), tmp_path / "cache")
