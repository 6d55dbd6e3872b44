"""What a verification found: problems, and a verdict for each snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from snapshotter.archive.layout import RunKey
from snapshotter.archive.replay import SentDamaged
from snapshotter.base.errors import SnapshotterError, Unusable
from snapshotter.recover.outline import Outline

MAX_PROBLEMS: Final = 1000  # of one run, and in one receipt: a damaged chain may have any number


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where (the key of an object, or the folder of a run), and what. `sent` tells that the
    origin sent it so: every stored byte is what came, and the store is not at fault.

    Problems are equal if they say the same of the same place. `str` is the sentence that receipts keep.
    """

    where: str
    what: str
    sent: bool = False

    @classmethod
    def of(cls, error: Unusable, where: str) -> Problem:
        """The problem that an error tells: of the object that it names, or else of what is at `where`."""
        place = error.key or where
        return cls(place, error.message.removeprefix(f"{place}: "), isinstance(error, SentDamaged))

    def __str__(self) -> str:
        return self.what if self.where in self.what else f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Verdict:
    """What was found about one snapshot. Without problems it is proven, unless it could not be checked.

    `unchecked` says why it could not: a newer release wrote it or what it rests on, or it took too long.
    `damaged_runs` are all runs of its repo in which problems were found, if it has any itself.
    `receipt` is the key of its receipt. If it is None, none was to be written, or `unrecorded` says why it could not.
    `seconds` is what its checks took.
    """

    run: RunKey
    outline: Outline | None = None  # None if the manifest does not read
    problems: tuple[Problem, ...] = ()
    fsck: list[str] | None = None
    seconds: float = 0.0
    unchecked: SnapshotterError | None = None
    damaged_runs: Sequence[RunKey] = ()
    receipt: str | None = None
    unrecorded: SnapshotterError | None = None

    @property
    def ok(self) -> bool:
        """Whether everything was checked and is in order."""
        return not self.problems and not self.unchecked

    @property
    def refs(self) -> int:
        """How many refs the snapshot has; 0 if its manifest does not read."""
        return self.outline.refs.count if self.outline else 0

    @property
    def chain(self) -> list[str]:
        """The run ids that the snapshot rests on, base first; none if its manifest does not read."""
        return [str(key.run_id) for key in self.outline.chain] if self.outline else []
