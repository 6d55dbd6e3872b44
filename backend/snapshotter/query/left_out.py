"""What is missing from the answer to a query, and the error that the query then ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snapshotter.archive.layout import RunKey
from snapshotter.base.errors import PartialFailure, SnapshotterError
from snapshotter.base.text import plural


@dataclass(frozen=True)
class LeftOut:
    """A snapshot, one table of its scan, or a whole repo (then `key` is its name), whose rows are not in the answer,
    and why."""

    key: RunKey | str
    what: str
    why: str

    @property
    def repo(self) -> str:
        """The repo that it is of."""
        return self.key if isinstance(self.key, str) else self.key.repo

    @property
    def run_id(self) -> str | None:
        """The run that it is of; None for a whole repo."""
        return None if isinstance(self.key, str) else str(self.key.run_id)

    def __str__(self) -> str:
        name = f"{self.repo}@{self.run_id}" if self.run_id else self.repo
        return f"{name}: {self.what} left out: {self.why}"

    def document(self) -> dict[str, str | None]:
        """As `--json` prints it."""
        return {"repo": self.repo, "run_id": self.run_id, "what": self.what, "why": self.why}


def incomplete(left_out: Sequence[LeftOut]) -> SnapshotterError | None:
    """The error to end with if something is missing from the answer; None if nothing is."""
    if not left_out:
        return None
    repos = len({each.repo for each in left_out})
    return PartialFailure(
        f"the answer lacks {plural(len(left_out), 'snapshot or table', 'snapshots or tables')} "
        f"of {plural(repos, 'repository', 'repositories')}",
        code="left-out",
        hint="`snapshotter verify --quick` says what is damaged; --json lists all that was left out",
    )
