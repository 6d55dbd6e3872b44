"""Fixtures of several packages: a store in a folder, and an origin of two branches."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.git import Origin
from tests.support.lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "store")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "srv" / "x.git")
    # Large, so that no increment outweighs the base.
    made.commit("refs/heads/bulk", {"bulk": random.Random(3).randbytes(40_000)})
    made.commit()
    return made
