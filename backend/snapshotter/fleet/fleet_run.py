"""A fleet's run: what of a plan is due goes to an engine, and what became of each repository into the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from msgspec import structs

from snapshotter.archive.fleet_table import ResultRow
from snapshotter.base.errors import Finding, PartialFailure, SnapshotterError, Unavailable
from snapshotter.base.text import noun, plural
from snapshotter.fleet.dispatch import Desk, Dispatch, Terms
from snapshotter.fleet.entries import Entry
from snapshotter.fleet.hosts import TOGETHER, HostLimits, Hosts
from snapshotter.fleet.outcome import FleetSummary, RepoChange, SourceResult, Trouble, Verdict, good_count
from snapshotter.fleet.plan import FleetPlan
from snapshotter.fleet.roll import Roll
from snapshotter.fleet.taking import fresh_outcome
from snapshotter.fleet.watch import RunTally

_CHUNK: Final = 1000  # repositories that the ledger and the record are asked for at once


@dataclass(frozen=True)
class RunWish:
    """What is asked of a run: the limits of each host, and the age that a repository's last good result may have so
    that nobody is asked (None: every repository is)."""

    limits: HostLimits
    terms: Terms
    max_age: timedelta | None = None


@dataclass
class Fleet:
    """One run of a plan."""

    plan: FleetPlan
    wish: RunWish
    desk: Desk
    _roll: Roll = field(default_factory=Roll)

    def run(self) -> FleetSummary:
        """Work until every repository has its verdict. The record has every outcome then, and is not finished yet.

        Raises as `Dispatch.run` does.
        """
        tally = RunTally(len(self.plan.entries))
        self._enroll(tally)
        hosts = Hosts(self.wish.limits, self._roll.weights, TOGETHER)
        for indexes in self._by_host():
            hosts.add(indexes)
        Dispatch(self._roll, hosts, self.wish.terms, self.desk, tally).run()
        return self._summary(tally)

    def _enroll(self, tally: RunTally) -> None:
        """Put what is due on the roll; what is fresh gets its verdict, and what was done before the run was resumed
        has one."""
        now = datetime.now(UTC)
        bound = (now - self.wish.max_age).timestamp() if self.wish.max_age else None
        for entries in _chunks(self.plan.entries):
            self.desk.cancel.check()
            repos = [entry.origin.repo for entry in entries]
            heads = self.desk.ledger.heads(repos)
            fresh: list[int] = []
            for entry, repo, head, done in zip(
                entries, repos, heads, self.desk.recorder.taken(repos), strict=True
            ):
                if done:
                    tally.skip(done)
                    continue
                weight = 0 if entry.optional else head.weight if head else entry.bytes or 0
                index = self._roll.add(entry, repo, weight)
                if bound is not None and head is not None and head.good_at >= bound:
                    fresh.append(index)
            self._record_fresh(fresh, tally)

    def _record_fresh(self, fresh: Sequence[int], tally: RunTally) -> None:
        if not fresh:
            return
        tasks = [self._roll.task(index) for index in fresh]
        rows = self.desk.ledger.rows([task.repo for task in tasks])
        outcomes = [
            fresh_outcome(structs.replace(task, last=row)) for task, row in zip(tasks, rows, strict=True)
        ]
        self.desk.recorder.record(outcomes)
        for index, outcome in zip(fresh, outcomes, strict=True):
            self._roll.tries[index] = _FRESH
            tally.count(outcome)
            self.desk.watch.ended(outcome)

    def _by_host(self) -> Iterator[list[int]]:
        """The indexes of what is due, for one host after the other; wikis first: what they belong to names them."""
        found: list[list[int]] = [[] for _ in self._roll.hosts]
        for index, host in enumerate(self._roll.host_of):
            if self._roll.tries[index] != _FRESH:
                found[host].append(index)
        yield from (sorted(indexes, key=self._roll.is_optional, reverse=True) for indexes in found)

    def _summary(self, tally: RunTally) -> FleetSummary:
        recorder, now = self.desk.recorder, datetime.now(UTC)
        return FleetSummary(
            inventory=self.plan.name,
            run_id=recorder.run_id,
            started_at=recorder.started_at,
            finished_at=now,
            origins=tally.total,
            verdicts=dict(tally.verdicts),
            stored=tally.stored,
            requests=tally.requests,
            seconds=round((now - recorder.started_at).total_seconds(), 3),
            sources=[
                SourceResult(
                    title=state.title,
                    listed=state.listed,
                    taken=state.taken,
                    trouble=Trouble.of(state.error) if state.error else None,
                )
                for state in self.plan.sources
            ],
            left_out=[(each.source, each.path, each.id) for each in self.plan.left_out],
            changes=[
                RepoChange(kind=each.kind, source=each.source, path=each.path, now=each.now)
                for each in self.plan.changes
            ],
            tripped=tally.tripped,
            resumed=tally.skipped,
        )


_FRESH: Final = 255  # in place of a count of tries: this one is not tried


def unknown_now(plan: FleetPlan, rows: Iterator[ResultRow]) -> Iterator[ResultRow]:
    """The rows of the last result that go on as they are: those of sources that did not answer."""
    silent = {state.title for state in plan.sources if state.error is not None}
    if not silent:
        return
    names = {entry.origin.repo for entry in plan.entries}
    yield from (row for row in rows if row.source in silent and row.repo not in names)


def ending(summary: FleetSummary) -> SnapshotterError | None:
    """The error that a run ends with; None if every repository has a good snapshot, every source answered, and no gate
    tripped."""
    bad = _bad(summary.verdicts)
    silent = [source for source in summary.sources if source.trouble]
    failed = sum(bad.values())
    if failed and not good_count(summary.verdicts):
        return Unavailable(
            f"none of {plural(summary.origins, 'repository', 'repositories')} has a good snapshot now: {_counts(bad)}",
            code="fleet",
            hint="`snapshotter fleet status` says why of each",
        )
    if silent and not good_count(summary.verdicts):
        return Unavailable(
            f"{_gave_no_list(silent)}, and no other names a repository",
            code="fleet",
            hint=_hint_of(silent),
            details=_said(silent),
        )
    if failed or silent:
        parts = [
            f"{failed:,} of {plural(summary.origins, 'repository', 'repositories')} failed: {_counts(bad)}"
        ]
        if silent:
            parts = [*(parts if failed else []), _gave_no_list(silent)]
        return PartialFailure(
            "; ".join(parts),
            code="fleet",
            hint="`snapshotter fleet status` says why of each; what was taken is not taken again"
            if failed
            else _hint_of(silent),
            details=_said(silent),
        )
    if not summary.origins:
        return Unavailable(
            "the inventory has no repository now", code="fleet", hint="`snapshotter fleet plan` says why"
        )
    if summary.tripped:
        return Finding(
            f"the secret gate tripped for {summary.tripped:,} {noun(summary.tripped, 'repository', 'repositories')}",
            code="secret-gate",
            hint='the snapshots stand; `snapshotter query "SELECT repo, path, rule FROM secrets"` lists the secrets',
        )
    return None


def _gave_no_list(silent: Sequence[SourceResult]) -> str:
    return f"{plural(len(silent), 'source')} gave no list"


def _said(silent: Sequence[SourceResult]) -> tuple[str, ...]:
    return tuple(f"{each.title}: {each.trouble.message}" for each in silent if each.trouble)


def _hint_of(silent: Sequence[SourceResult]) -> str:
    """What to do about the first source that gave no list."""
    return next((each.trouble.hint for each in silent if each.trouble), "")


def _bad(verdicts: dict[Verdict, int]) -> dict[Verdict, int]:
    return {
        verdict: count for verdict, count in verdicts.items() if count and not good_count({verdict: count})
    }


def _counts(verdicts: dict[Verdict, int]) -> str:
    return ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(verdicts.items()))


def _chunks(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    remaining = iter(entries)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
