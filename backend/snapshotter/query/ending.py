"""How a query ends whose answer is not whole."""

from __future__ import annotations

from collections.abc import Sequence

from snapshotter.base.errors import PartialFailure, SnapshotterError
from snapshotter.base.text import plural
from snapshotter.query.terms import LeftOut


def ending(left_out: Sequence[LeftOut]) -> SnapshotterError | None:
    """The error to end with when something is missing from the answer; None if nothing is."""
    if not left_out:
        return None
    repos = len({each.repo for each in left_out})
    return PartialFailure(
        f"the answer lacks {plural(len(left_out), 'snapshot or table', 'snapshots or tables')} "
        f"of {plural(repos, 'repository', 'repositories')}",
        code="left-out",
        hint="`snapshotter verify --quick` says what is damaged; --json lists all that was left out",
    )
