"""The user's own helpers for secrets."""

from __future__ import annotations

import pytest

from snapshotter.base.errors import Unavailable
from snapshotter.git import program


def test_a_token_command_that_takes_too_long_is_told_so() -> None:
    with pytest.raises(Unavailable, match="took longer than 0 s"):
        program.command_output(["sleep", "60"], timeout=0.1)
