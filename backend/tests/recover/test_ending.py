"""How a verification ends: which of several troubles is the one to exit with."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from snapshotter.archive.layout import RunId, RunKey
from snapshotter.base.errors import AccessDenied, NewerSchema
from snapshotter.recover.ending import ending
from snapshotter.recover.verdict import Problem, Verdict

KEY = RunKey("host__x", RunId.new(datetime(2026, 11, 23, 12, tzinfo=UTC)))
PROVEN = Verdict(KEY)
DAMAGED = Verdict(KEY, problems=(Problem("x/history.bundle", "it is missing"),))
UNCHECKED = Verdict(KEY, unchecked=NewerSchema("a newer release wrote it"))
UNRECORDED = Verdict(KEY, unrecorded=AccessDenied("this user may not write"))


@pytest.mark.parametrize(
    ("verdicts", "code", "said"),
    [
        ([PROVEN], 0, ""),
        ([PROVEN, UNRECORDED], 5, "may not write"),
        ([UNRECORDED, UNCHECKED], 4, "1 of 2 snapshots could not be checked"),
        ([UNCHECKED, DAMAGED, UNRECORDED], 1, "damaged: 1 of 3 snapshots checked"),
        ([DAMAGED], 1, "damaged: 1 of 1 snapshot checked"),
    ],
)
def test_damage_counts_before_what_is_unchecked_before_a_missing_receipt(
    verdicts: list[Verdict], code: int, said: str
) -> None:
    error = ending(verdicts)
    assert (error.exit_code if error else 0) == code
    assert said in (error.message if error else "")
