"""What goes to the workers of a fleet's run and what comes back: plain data that crosses between processes.

Nothing here holds a credential: a worker takes its own, from its own environment or role.
"""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Final, Literal

import msgspec

from snapshotter.archive.manifest import Kind
from snapshotter.base.errors import SnapshotterError
from snapshotter.base.text import printable
from snapshotter.base.urls import redact
from snapshotter.capture.plan import RequestedOptions

Verdict = Literal[
    "new",
    "unchanged",
    "empty",
    "renamed",
    "fresh",
    "partial",
    "shrunk",
    "unreachable",
    "forbidden",
    "gone",
    "over-quota",
    "failed",
]
"""What became of one repository in one run.

`renamed`: a snapshot was taken, under the inventory's name, and the origin redirects to another place. `fresh`: its
last good snapshot is young enough, so nobody was asked. `partial` and `shrunk`: there is a snapshot, and something is
wrong with it. `failed`: whatever else kept it from one; a shallow or broken origin among it.
"""

GOOD: Final[frozenset[Verdict]] = frozenset({"new", "unchanged", "empty", "renamed", "fresh"})
"""The verdicts after which the repository has a good snapshot, as of now."""

TAKEN: Final[frozenset[Verdict]] = GOOD | {"partial", "shrunk"}
"""The verdicts after which it has a snapshot that stands for its present state, good or not."""

_LONGEST: Final = 2000  # characters of an error's words


class _Plain(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every shape. Times are aware, UTC; sizes are bytes, durations seconds."""


class Trouble(_Plain, frozen=True):
    """An error as plain data: its class's exit code, its slug, and its words, without credentials."""

    code: str
    message: str
    hint: str = ""
    exit_code: int = 4

    @classmethod
    def of(cls, error: SnapshotterError) -> Trouble:
        """The error without what only this process knows of it."""
        message, hint = (printable(redact(text))[:_LONGEST] for text in (error.message, error.hint))
        return cls(code=error.code, message=message, hint=hint, exit_code=error.exit_code)


class LedgerRow(_Plain, frozen=True):
    """What a run knew of a repository at its end, for the next run: enough that an unchanged one costs two requests to
    its origin, and of the store one listing from `base_at` on.

    `run`, `refs`, `manifest`, `base_at` and `chain` are of its newest snapshot: the run id, the refs' digest, the
    stored manifest's bytes, when its chain's base started, and how many runs its chain has; empty where it has none.
    `good_at` is when a run last found the origin as a good snapshot has it, even where it wrote nothing; so it is what
    freshness is counted from. `bytes` is what the chain weighs. `receipt_ok` and `receipt_at` are the newest
    verification's, of the chain or of the snapshot; None without one. `verdict` and `seconds` are the last run's;
    `failures` counts the runs in a row that ended in no good one.
    """

    repo: str
    run: str = ""
    refs: str = ""
    manifest: builtins.bytes = b""  # the field `bytes` has that name below
    base_at: datetime | None = None
    chain: int = 0
    bytes: int = 0
    good_run: str = ""
    good_at: datetime | None = None
    receipt_ok: bool | None = None
    receipt_at: datetime | None = None
    verdict: Verdict = "failed"
    seconds: float = 0.0
    failures: int = 0


class Task(_Plain, frozen=True):
    """One repository to take. `origin` is its URL or path; `repo` its name in keys; `source`, `path` and `id` are as in
    a plan's entry, and so is `optional`.

    `weight` is about how many bytes it is, 0 where nobody knows. With `done_since`, a snapshot that a run took since
    then is this run's own, from before it was killed: it is not taken again.
    """

    origin: str
    repo: str
    source: str = ""
    path: str = ""
    id: str = ""
    optional: bool = False
    labels: dict[str, str] = {}
    options: RequestedOptions = RequestedOptions()
    weight: int = 0
    attempt: int = 1
    last: LedgerRow | None = None
    done_since: datetime | None = None


class Lease(_Plain, frozen=True):
    """What a batch may ask of its host: connections at once, and requests a second (None: any number).

    `wait` is how many seconds must pass before the first request: those of the lease before count, too.
    """

    connections: int
    requests_per_second: float | None = None
    wait: float = 0.0


class Batch(_Plain, frozen=True):
    """Tasks of one host, `host` as in `Origin.netloc` ("" for paths). `settings` are those in force, by their names,
    and hold no secret; what a worker's own environment says of secrets stands beside them.

    `ledger_only`: of an unchanged repository nothing is written. `seconds` is how long the batch may take in all.
    `sent_at` is when the run gave it to the engine, which may have it done twice without a word, where the first result
    was lost with its worker: so a snapshot since then, to which nothing is to be added, counts as this run's own. That
    goes by the clocks of both machines.
    """

    number: int
    host: str
    tasks: list[Task]
    lease: Lease
    settings: dict[str, str]
    ledger_only: bool = False
    seconds: float | None = None
    sent_at: datetime | None = None


class RepoOutcome(_Plain, frozen=True):
    """What became of one task.

    `run` is the run of the snapshot that stands for the origin's present state ("" if there is none), `wrote` whether
    this fleet run wrote it. `kind`, `refs`, `chain` and `base_at` are that snapshot's. `stored` is what was written to
    its history; `gaps` counts what it lacks, and `secrets` the leaked ones that its scan found (None without a scan).
    `now` is where the origin redirects to. `requests` counts those to the origin. `trouble` says why the verdict is no
    good one; or, beside a good one, that a gate of secrets tripped.
    """

    origin: str
    repo: str
    verdict: Verdict
    ledger: LedgerRow
    finished_at: datetime
    source: str = ""
    path: str = ""
    id: str = ""
    optional: bool = False
    run: str = ""
    wrote: bool = False
    kind: Kind | None = None
    refs: str = ""
    base_at: datetime | None = None
    chain: int = 0
    stored: int = 0
    seconds: float = 0.0
    requests: int = 0
    attempts: int = 1
    gaps: int = 0
    secrets: int | None = None
    now: str = ""
    trouble: Trouble | None = None
    warnings: list[str] = []

    @property
    def good(self) -> bool:
        """Whether the repository has a good snapshot, as of now."""
        return self.verdict in GOOD


class Retry(_Plain, frozen=True):
    """A task that may succeed later, and the outcome if it is not tried again; None if it was not begun at all."""

    index: int
    outcome: RepoOutcome | None = None


class BatchResult(_Plain, frozen=True):
    """What became of a batch: every task is in `outcomes` or, by its index, in `again`.

    `since_last` is how many seconds before its end it sent its last request; `pause` is for how long the host asked to
    be left alone, from the end on.
    """

    number: int
    outcomes: list[RepoOutcome]
    again: list[Retry] = []
    requests: int = 0
    since_last: float | None = None
    pause: float = 0.0


class SourceResult(_Plain, frozen=True):
    """What one source of the inventory listed, how many of those are in; or what kept it from answering."""

    title: str
    listed: int = 0
    taken: int = 0
    trouble: Trouble | None = None


class RepoChange(_Plain, frozen=True):
    """What became of a source's repository since the last run: see `fleet/roster.py`."""

    kind: Literal["new", "renamed", "transferred", "replaced", "gone", "dropped"]
    source: str
    path: str
    now: str | None = None


class FleetSummary(_Plain, frozen=True):
    """A whole run. `inventory` is its name, which results are kept under; `verdicts` counts the origins of each.

    `left_out` are those that sources list and the inventory does not take, as `source`, `path` and `id`. `changes`
    are those since the last run, of what sources list. `resumed` of the verdicts are from before the run was resumed.
    """

    inventory: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    origins: int
    verdicts: dict[Verdict, int]
    stored: int = 0
    requests: int = 0
    seconds: float = 0.0
    sources: list[SourceResult] = []
    left_out: list[tuple[str, str, str]] = []
    changes: list[RepoChange] = []
    tripped: int = 0
    resumed: int = 0


def good_count(verdicts: dict[Verdict, int]) -> int:
    """How many of the counted verdicts are good."""
    return sum(count for verdict, count in verdicts.items() if verdict in GOOD)
