"""One repository of a fleet: its snapshot, its verdict, and its row for the next run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import structs

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunId
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.base.observer import Observer
from snapshotter.base.text import printable
from snapshotter.base.unexpected import as_error
from snapshotter.base.urls import redact
from snapshotter.capture.options import CaptureOptions
from snapshotter.capture.plan import Plan
from snapshotter.capture.snapshot import TakenSnapshot, take_after
from snapshotter.capture.wiki import newest_wiki, repo_of_wiki
from snapshotter.fleet.outcome import GOOD, LedgerRow, RepoOutcome, Task, Trouble, Verdict
from snapshotter.fleet.verdict import Rules, of_error, of_snapshot
from snapshotter.fleet.weighing import base_at, good_before, known_snapshot, weight_before
from snapshotter.git.origin import Origin
from snapshotter.git.origin_parsing import parse
from snapshotter.scan.gate import secret_gate
from snapshotter.store.objects import Store
from snapshotter.transport.turns import Turns

_MEASURED: Final = (
    1 << 30
)  # bytes: a larger origin is fetched as a whole, to see what it weighs, not each day
_MEASURED_AFTER: Final = timedelta(days=7)
_WARNINGS: Final = 20  # of one repository


@dataclass
class RepoTurns:
    """The turns of one repository, of those that its host gives. Counts its requests, and learns where it has moved."""

    host: Turns
    requests: int = 0
    base: str = ""

    def begin(self, cancel: Cancel) -> None:
        """See Turns."""
        self.host.begin(cancel)
        self.requests += 1

    def end(self) -> None:
        """See Turns."""
        self.host.end()

    def throttled(self, seconds: float) -> None:
        """See Turns."""
        self.host.throttled(seconds)

    def moved(self, base: str) -> None:
        """See Turns."""
        self.base = base

    def elsewhere(self, origin: Origin) -> str:
        """The URL that the origin redirects to, if that is another repository's name; else ""."""
        try:
            now = parse(self.base) if self.base else origin
        except SnapshotterError:
            return printable(redact(self.base))
        return "" if now.canonical == origin.canonical else now.url


@dataclass
class _Heard(Observer):
    """What a snapshot warned of."""

    warnings: list[str] = field(default_factory=list)

    def warn(self, what: str) -> None:
        """See Observer."""
        self.warnings.append(printable(redact(what)))


@dataclass(frozen=True)
class Taking:
    """Takes one task after the other, in any thread. `plan` is the one in force for this task's options; `sent_at` is
    its batch's."""

    store: Store
    plan: Plan
    rules: Rules
    host: Turns
    cancel: Cancel
    sent_at: datetime | None = None

    def outcome(self, task: Task) -> tuple[RepoOutcome, SnapshotterError | None]:
        """What became of a task, and the error that it ended with, if there is no snapshot.

        Raises only what a cancellation raises.
        """
        began, turns, heard = time.monotonic(), RepoTurns(self.host), _Heard()
        try:
            origin = parse(task.origin)
            taken = self._taken(task, origin, turns, heard)
            good = good_before(self.store, task, taken.sealed.manifest, self.rules)
        except Exception as error:  # noqa: BLE001 - one repository's trouble is its own verdict
            self.cancel.check()
            known = as_error(error)
            return _failed(task, known, _Cost(began, turns, heard)), known
        moved = turns.elsewhere(origin)
        manifest = taken.sealed.manifest
        verdict, trouble = of_snapshot(
            manifest,
            self.rules,
            wrote=taken.wrote,
            was=weight_before(self.store, task, taken),
            moved=bool(moved),
            good=good,
        )
        if trouble is None and task.options.secret_gate and (tripped := secret_gate(manifest.scan)):
            trouble = Trouble.of(tripped)
        cost = _Cost(began, turns, heard)
        return _outcome(task, taken, (verdict, trouble), moved, cost), None

    def _taken(self, task: Task, origin: Origin, turns: RepoTurns, heard: Observer) -> TakenSnapshot:
        found = self._done_since(task.repo, task.done_since) if task.done_since else None
        if found and not self._must_be_weighed(found):
            return found
        options = self._linked(origin, task)
        connect = self.plan.connect.with_turns(turns)
        transport = connect(origin, self.cancel)

        def once(options: CaptureOptions, known: Sealed | None) -> TakenSnapshot:
            return take_after(
                known,
                origin,
                transport,
                self.store,
                options,
                lfs=connect.lfs(origin, self.cancel) if options.lfs else None,
                observer=heard,
                cancel=self.cancel,
            )

        try:
            taken = found or once(options, known_snapshot(task))
            if not taken.wrote and options.is_recent(taken.sealed.manifest):
                taken = TakenSnapshot(taken.sealed, True, None)
            if self._must_be_weighed(taken):
                return once(replace(options, full=True), taken.sealed)
            return taken
        finally:
            transport.close()

    def _linked(self, origin: Origin, task: Task) -> CaptureOptions:
        """The options, by which a repository's manifest names its wiki, and a wiki's what it belongs to."""
        options = replace(self.plan.options, stands_since=self.sent_at)
        if self.plan.wiki:
            options = replace(options, wiki=lambda: newest_wiki(Catalog(self.store), origin))
        if task.optional:
            options = replace(options, wiki_of=repo_of_wiki(origin))
        return options

    def _must_be_weighed(self, taken: TakenSnapshot) -> bool:
        manifest = taken.sealed.manifest
        if not taken.wrote or not self.rules.may_have_shrunk(manifest):
            return False
        weight, base = manifest.chain_bytes, RunId(manifest.chain[0])
        small = weight.base + weight.increments <= _MEASURED
        return small or manifest.started_at - base.started_at > _MEASURED_AFTER

    def _done_since(self, repo: str, since: datetime) -> TakenSnapshot | None:
        """The snapshot that this fleet run took before it was killed, if it did."""
        catalog = Catalog(self.store)
        runs = catalog.snapshots(repo, since=since.replace(microsecond=0))
        return TakenSnapshot(catalog.manifest(runs[-1].key, listed=True), True, None) if runs else None


@dataclass(frozen=True)
class _Cost:
    """What a task has cost so far."""

    began: float
    turns: RepoTurns
    heard: _Heard

    @property
    def seconds(self) -> float:
        """The time since it was begun."""
        return round(time.monotonic() - self.began, 3)


def _outcome(
    task: Task, taken: TakenSnapshot, judged: tuple[Verdict, Trouble | None], moved: str, cost: _Cost
) -> RepoOutcome:
    (verdict, trouble), manifest, now = judged, taken.sealed.manifest, datetime.now(UTC)
    row = _row(task, taken, verdict, now, cost.seconds)
    scan = manifest.scan
    return structs.replace(
        _bare(task, verdict, row, now),
        run=manifest.run_id,
        wrote=taken.wrote,
        kind=manifest.kind,
        refs=row.refs,
        base_at=row.base_at,
        chain=row.chain,
        stored=manifest.history.bytes if manifest.history and taken.wrote else 0,
        seconds=cost.seconds,
        requests=cost.turns.requests,
        gaps=sum(gap.count for gap in (*manifest.gaps, *(scan.gaps if scan else ()))),
        secrets=scan.tables.get("secrets", 0) if scan else None,
        now=moved,
        trouble=trouble,
        warnings=cost.heard.warnings[:_WARNINGS],
    )


def _row(task: Task, taken: TakenSnapshot, verdict: Verdict, now: datetime, seconds: float) -> LedgerRow:
    """What the next run knows of a repository that has a snapshot."""
    manifest, last = taken.sealed.manifest, task.last
    good, weight = verdict in GOOD, manifest.chain_bytes
    proof = taken.parent.proof if taken.parent else None
    # A new base is in no chain that was verified.
    if taken.wrote and manifest.kind == "base":
        proof = None
    return LedgerRow(
        repo=task.repo,
        run=manifest.run_id,
        refs=manifest.refs.sha256,
        manifest=taken.sealed.data,
        base_at=base_at(manifest),
        chain=len(manifest.chain),
        bytes=weight.base + weight.increments,
        good_run=manifest.run_id if good else (last.good_run if last else ""),
        good_at=now if good else (last.good_at if last else None),
        receipt_ok=proof.ok if proof else (last.receipt_ok if last else None),
        receipt_at=proof.at if proof else (last.receipt_at if last else None),
        verdict=verdict,
        seconds=seconds,
        failures=0 if good else (last.failures if last else 0) + 1,
    )


def _failed(task: Task, error: SnapshotterError, cost: _Cost) -> RepoOutcome:
    return structs.replace(
        failed_outcome(task, error),
        seconds=cost.seconds,
        requests=cost.turns.requests,
        warnings=cost.heard.warnings[:_WARNINGS],
    )


def failed_outcome(task: Task, error: SnapshotterError) -> RepoOutcome:
    """The outcome of a task that ended in an error: what the last run knew of its repository still holds."""
    verdict, last = of_error(error), task.last or LedgerRow(repo=task.repo)
    now = datetime.now(UTC)
    if verdict == "gone" and task.optional and not last.run:  # forges tell of wikis that have no page
        row = structs.replace(last, verdict="empty", good_at=now, failures=0)
        return _bare(task, "empty", row, now)
    row = structs.replace(last, verdict=verdict, failures=last.failures + 1)
    return structs.replace(_bare(task, verdict, row, now), trouble=Trouble.of(error))


def fresh_outcome(task: Task) -> RepoOutcome:
    """The outcome of a task of which nobody was asked: its last good snapshot is young enough."""
    row = structs.replace(task.last or LedgerRow(repo=task.repo), verdict="fresh", failures=0)
    return structs.replace(
        _bare(task, "fresh", row, datetime.now(UTC)),
        run=row.run,
        refs=row.refs,
        base_at=row.base_at,
        chain=row.chain,
    )


def _bare(task: Task, verdict: Verdict, row: LedgerRow, now: datetime) -> RepoOutcome:
    """An outcome with what its task says."""
    return RepoOutcome(
        origin=task.origin,
        repo=task.repo,
        verdict=verdict,
        ledger=row,
        finished_at=now,
        source=task.source,
        path=task.path,
        id=task.id,
        optional=task.optional,
        attempts=task.attempt,
    )
