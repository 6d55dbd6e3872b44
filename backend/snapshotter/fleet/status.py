"""Where a fleet stands: for each repository of its inventory the newest good snapshot, its last proof, and how the last
runs ended. What was never taken is told, too: the list comes from the inventory, so that silence cannot hide one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Literal

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.every_repo import of_each
from snapshotter.archive.fleet_table import ResultRow
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import Lfs
from snapshotter.base.errors import PartialFailure, SnapshotterError, Unavailable
from snapshotter.base.text import noun, plural, printable
from snapshotter.fleet.held_lfs import LastKnown, of_snapshot
from snapshotter.fleet.last_result import LastResult
from snapshotter.fleet.plan import FleetPlan
from snapshotter.fleet.standing import Demand, Lack, Position, position
from snapshotter.fleet.stored_summary import StoredSummary

_BATCH: Final = 1000  # repos whose rows are asked for at once
_DETAILS: Final = 10  # repositories that an error names

State = Literal["unknown", "never-taken", "none-good", "stale", "unverified", "failing", "good"]
"""What is worst about a repository. `unknown`: the store could not be asked. `failing`: its last run ended badly, and
what it has is still young enough."""
_WORST_FIRST: Final = ("never-taken", "none-good", "unknown", "stale", "unverified", "failing", "good")

Trend = Literal["first", "steady", "worse", "failing", "recovered"]
"""How the last runs of a repository went: `worse` failed now and not before, `failing` for the second time or more."""


@dataclass(frozen=True)
class Wanted:
    """A repository that should have a snapshot: its origin as the inventory has it, its repo, where it is listed.

    `optional` is as in a plan's entry: it may be none at all.
    """

    origin: str
    repo: str
    source: str = ""
    path: str = ""
    optional: bool = False


@dataclass(frozen=True)
class RepoStatus:
    """Where one repository stands. `place` is None if the store could not be asked, and `error` says why; `row` is its
    row of the last result, None without one; `lfs` what is known of LFS in its
    newest good snapshot, or without one in the newest that the last result has."""

    wanted: Wanted
    place: Position | None
    row: ResultRow | None
    lacks: Sequence[Lack] = ()
    error: SnapshotterError | None = None
    lfs: Lfs | None = None

    @property
    def state(self) -> State:
        """What is worst about it."""
        if self.place is None:
            return "unknown"
        if self.lacks:
            return self.lacks[0]
        return "failing" if self.row is not None and not self.row.ok and not self._is_none else "good"

    @property
    def trend(self) -> Trend | None:
        """How its last runs went. Returns None if no run has it."""
        recent = self.row.recent if self.row else ""
        if len(recent) < 2:
            return "first" if recent else None
        before, now = (mark == "x" for mark in recent[-2:])
        return ("failing" if before else "worse") if now else ("recovered" if before else "steady")

    def age(self, now: datetime) -> timedelta | None:
        """How old what the newest good snapshot shows is. Returns None without one."""
        as_of = self.place.as_of if self.place else None
        return max(now - as_of, timedelta(0)) if as_of else None

    @property
    def _is_none(self) -> bool:
        """Whether it may be none at all, and nothing was ever seen of it: a wiki without a page."""
        return self.wanted.optional and self.place is not None and not self.place.seen


@dataclass(frozen=True)
class FleetStatus:
    """Where a fleet stands as of `now`, the worst first. `summary` is that of the last run that ended, None without
    one; `unended` the id of a later one that did not, if there is one; `unlisted` the sources that gave no list, whose
    repositories are those of the last result."""

    name: str
    now: datetime
    demand: Demand
    repos: Sequence[RepoStatus]
    summary: StoredSummary | None = None
    unended: str | None = None
    unlisted: Sequence[str] = ()

    @property
    def lacking(self) -> list[RepoStatus]:
        """The repositories that lack something."""
        return [each for each in self.repos if each.lacks]

    @property
    def ending(self) -> SnapshotterError | None:
        """The error to end with, None if no repository lacks anything and all is known."""
        if lacking := self.lacking:
            named = [
                f"{printable(each.wanted.origin)}: {', '.join(each.lacks)}" for each in lacking[:_DETAILS]
            ]
            more = [f"and {len(lacking) - _DETAILS:,} more"] if len(lacking) > _DETAILS else []
            return PartialFailure(
                f"{len(lacking):,} of {plural(len(self.repos), 'repository', 'repositories')} "
                f"{noun(len(lacking), 'lacks', 'lack')} a good snapshot or a recent verification",
                code="stale",
                details=(*named, *more),
                hint="`snapshotter fleet run` takes what is due, `snapshotter fleet verify` proves it",
            )
        unknown = [each for each in self.repos if each.place is None]
        if unknown or self.unlisted:
            count = [plural(len(unknown), "repository", "repositories")] if unknown else []
            count += [plural(len(self.unlisted), "source")] if self.unlisted else []
            return PartialFailure(
                f"{' and '.join(count)} could not be looked up",
                code="unread",
                hint="the list says which, and why",
            )
        if not self.repos:
            return Unavailable(
                "the inventory has no repository now", code="fleet", hint="`snapshotter fleet plan` says why"
            )
        return None


def look(
    plan: FleetPlan, last: LastResult, catalog: Catalog | None, demand: Demand, now: datetime
) -> FleetStatus:
    """Where the fleet of a plan stands, by one listing or more for each repository and by the last result. Where that
    does not have the newest good snapshot, that one's manifest is read.

    Without a catalog, by the last result alone. Raises Unavailable or AccessDenied if no repository can be looked up,
    and the plan's own error if no source answers and no run is known.
    """
    unlisted = [state.title for state in plan.sources if state.error is not None]
    wanted = list(_wanted(plan, last, {*unlisted}))
    if not wanted and plan.ending is not None:
        raise plan.ending
    known = dict(_known(last, wanted))
    if catalog is None:
        found = [_by_ledger(each, known.get(each.repo)) for each in wanted]
    else:
        found = _by_listing(catalog, wanted, known, demand, now)
    judged = [_judged(each, demand, now) for each in found]
    summary, unended = last.summary, last.unended[0].key.run_id.text if last.unended else None
    return FleetStatus(
        plan.name, now, demand, sorted(judged, key=lambda each: _rank(each, now)), summary, unended, unlisted
    )


def _wanted(plan: FleetPlan, last: LastResult, unlisted: set[str]) -> Iterator[Wanted]:
    """Every repository of the plan; and of sources that gave no list, those that the last result has."""
    planned: set[str] = set()
    for entry in plan.entries:
        planned.add(entry.origin.repo)
        yield Wanted(entry.origin.url, entry.origin.repo, entry.source, entry.path, entry.optional)
    for row in last.store if unlisted else ():
        if row.source in unlisted and row.repo not in planned:
            yield Wanted(row.origin, row.repo, row.source, row.path, row.optional)


def _known(last: LastResult, wanted: Sequence[Wanted]) -> Iterator[tuple[str, LastKnown]]:
    remaining = iter(wanted)
    while batch := [each.repo for each in islice(remaining, _BATCH)]:
        for row in last.store.get(batch):
            if row is not None:
                yield row.repo, LastKnown.by(row)


def _by_ledger(wanted: Wanted, known: LastKnown | None) -> RepoStatus:
    row = known.row if known else None
    run_id = RunId.parse(row.good_run_id) if row and row.good_run_id else None
    good = RunKey(wanted.repo, run_id) if run_id else None
    return _placed(wanted, Position(good, None, row is not None and row.run_id is not None), known, None)


def _by_listing(
    catalog: Catalog, wanted: Iterable[Wanted], known: Mapping[str, LastKnown], demand: Demand, now: datetime
) -> list[RepoStatus]:
    every = {each.repo: each for each in wanted}

    def listed(repo: str) -> RepoStatus:
        return _placed(every[repo], position(catalog, repo, demand, now), known.get(repo), catalog)

    found = of_each(every, listed)
    rows = {repo: each.row for repo, each in known.items()}
    unread = [RepoStatus(every[repo], None, rows.get(repo), error=error) for repo, error in found.unread]
    return [*found.results.values(), *unread]


def _placed(wanted: Wanted, place: Position, known: LastKnown | None, catalog: Catalog | None) -> RepoStatus:
    row = known.row if known else None
    place = _confirmed(place, row)
    return RepoStatus(wanted, place, row, lfs=of_snapshot(place.good, known, catalog))


def _confirmed(place: Position, row: ResultRow | None) -> Position:
    """The position with what the last result adds: that the origin had nothing newer, a proof further back, and that
    the newest snapshot is flawed, which no listing shows: then the one before counts."""
    if row is None or place.good is None:
        return place
    if row.run_id == place.good.run_id.text != row.good_run_id:
        before = RunId.parse(row.good_run_id) if row.good_run_id else None
        place = replace(place, good=RunKey(place.good.repo, before) if before else None)
    if place.good is None:
        return place
    same = row.good_run_id == place.good.run_id.text
    proofs = [at for at in (place.proven_at, row.receipt_at if row.receipt_ok else None) if at]
    return replace(place, confirmed_at=row.good_at if same else None, proven_at=max(proofs, default=None))


def _judged(status: RepoStatus, demand: Demand, now: datetime) -> RepoStatus:
    place = status.place
    if place is None or (status.wanted.optional and not place.seen):
        return status
    return replace(status, lacks=tuple(place.lacks(demand, now)))


def _rank(status: RepoStatus, now: datetime) -> tuple[int, float, str]:
    age = status.age(now)
    return _WORST_FIRST.index(status.state), -age.total_seconds() if age else 0.0, status.wanted.origin
