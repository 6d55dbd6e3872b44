"""How a verification ends: the snapshots that rest on what is damaged, and the error that says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.every_repo import Unread
from snapshotter.archive.layout import RunKey
from snapshotter.base.errors import Finding, NewerSchema, PartialFailure, SnapshotterError, Unavailable
from snapshotter.base.text import plural
from snapshotter.recover.verdict import Verdict
from snapshotter.recover.verify import affected

_SHOWN: Final = 20  # repos that an error names; the document has all
_TAKE_ANEW: Final = (
    "take a new snapshot: it will be a base where the newest chain is damaged; restore one that is not listed as "
    "affected"
)
_MEND_ORIGIN: Final = (
    "the origin sent it so, and would again: run `git fsck` there and mend it, then take a new snapshot, which will "
    "be a base; restore one that is not listed as affected"
)


def affected_by(catalog: Catalog, verdicts: Sequence[Verdict]) -> list[RunKey]:
    """Every snapshot, verified or not, whose chain or refs rest on a run that was found damaged."""
    damaged: dict[str, set[RunKey]] = {}
    for verdict in verdicts:
        if verdict.problems:
            if verdict.run.repo not in damaged:  # all verdicts of a repo have the same
                damaged[verdict.run.repo] = set(verdict.damaged_runs)
            damaged[verdict.run.repo].add(verdict.run)
    return [key for repo, keys in damaged.items() for key in affected(catalog, repo, keys)]


def unrecorded(verdicts: Sequence[Verdict]) -> SnapshotterError | None:
    """Why a verdict has no receipt, so that the next snapshot will not know of it; None if each has one."""
    return next((verdict.unrecorded for verdict in verdicts if verdict.unrecorded), None)


def ending(verdicts: Sequence[Verdict], unread: Sequence[Unread] = ()) -> SnapshotterError | None:
    """The error that a verification ends with: damage before what could not be checked, repos before snapshots,
    before a receipt that could not be written; None if every snapshot is proven."""
    bad = [verdict for verdict in verdicts if verdict.problems]
    unchecked = [verdict.unchecked for verdict in verdicts if verdict.unchecked]
    if bad:
        sent = all(problem.sent for verdict in bad for problem in verdict.problems)
        return Finding(
            f"damaged: {len(bad)} of {plural(len(verdicts), 'snapshot')} checked",
            code="damaged",
            hint=_MEND_ORIGIN if sent else _TAKE_ANEW,
            details=tuple(f"not checked: {each}" for each in unread[:_SHOWN]),
        )
    if unread:
        return PartialFailure(
            f"{plural(len(unread), 'repository', 'repositories')} could not be checked; the others were",
            code="unread",
            hint=unread[0].error.hint,
            details=tuple(map(str, unread[:_SHOWN])),
        )
    if unchecked:
        return _unchecked(
            unchecked, f"{len(unchecked)} of {plural(len(verdicts), 'snapshot')} could not be checked"
        )
    return unrecorded(verdicts)


def _unchecked(errors: Sequence[SnapshotterError], how_many: str) -> SnapshotterError:
    for error in errors:
        if not isinstance(error, NewerSchema):
            return Unavailable(f"{how_many}: {error.message}", code=error.code, hint=error.hint)
    return NewerSchema(
        f"{how_many}: a newer release wrote them",
        hint="verify them with that release; the others were checked",
    )
