"""Where each of many origins stands: whether it has a good snapshot that is young enough, and a recent proof.

What has never been taken is told, too: the list of origins comes from outside, so that silence cannot hide one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.every_repo import Unread, of_each
from snapshotter.archive.layout import RunKey
from snapshotter.archive.listed_run import ListedRun
from snapshotter.base.errors import Finding, PartialFailure, SnapshotterError, UsageError
from snapshotter.base.text import noun, plural, printable

CLOCKS: Final = timedelta(minutes=15)  # by how much another machine's clock may be ahead
_DETAILS: Final = 10  # origins that an error names

Lack = Literal["never-taken", "none-good", "stale", "unverified"]
"""What an origin lacks: any snapshot, one that is good, one that is young, one that was proven lately."""

Confirmed = Callable[[Mapping[str, RunKey]], Mapping[str, datetime]]
"""Tells of repos, by their newest good snapshots, when a fleet's run last found that nothing newer is at the origin:
a run that only keeps a ledger writes no manifest for it."""


@dataclass(frozen=True)
class Demand:
    """What every origin must have: a good snapshot of at most `max_age`, and, unless `max_verify_age` is None, a
    verification of at most that age that found a snapshot in order."""

    max_age: timedelta
    max_verify_age: timedelta | None = None


@dataclass(frozen=True)
class Position:
    """Where a repo stands: its newest good snapshot; when a verification found one in order, as far as was looked;
    whether it has any snapshot; when a fleet's run last found that its origin has nothing newer than `good`. UTC."""

    good: RunKey | None
    proven_at: datetime | None
    seen: bool
    confirmed_at: datetime | None = None

    @property
    def as_of(self) -> datetime | None:
        """The time of which the newest good snapshot shows its origin. Returns None without one."""
        if self.good is None:
            return None
        taken = self.good.run_id.started_at
        return max(taken, self.confirmed_at) if self.confirmed_at else taken

    def is_older(self, age: timedelta, now: datetime) -> bool:
        """Whether it has a good snapshot, and that shows its origin as of longer ago than `age`."""
        return self.as_of is not None and now - self.as_of > age

    def lacks(self, demand: Demand, now: datetime) -> Iterable[Lack]:
        """What it lacks of what is demanded."""
        if self.good is None:
            yield "none-good" if self.seen else "never-taken"
        elif self.is_older(demand.max_age, now):
            yield "stale"
        limit = demand.max_verify_age
        if limit is not None and (self.proven_at is None or now - self.proven_at > limit):
            yield "unverified"


@dataclass(frozen=True)
class Standing:
    """An origin's newest good snapshot, when a verification last found one in order (UTC; None where that was not
    asked for), and what it lacks.

    A good snapshot is one whose newest receipt, if it has any, is no failure. `origin` is as it was written.
    """

    origin: str
    repo: str
    good: RunKey | None
    proven_at: datetime | None
    lacks: tuple[Lack, ...]


@dataclass(frozen=True)
class Standings:
    """Where the origins stand, in the order given, and the repos that could not be looked up."""

    origins: Sequence[Standing]
    unread: Sequence[Unread]

    @property
    def lacking(self) -> list[Standing]:
        """The origins that lack something."""
        return [standing for standing in self.origins if standing.lacks]

    @property
    def ending(self) -> SnapshotterError | None:
        """The error to end with: a Finding if an origin lacks something, else a PartialFailure if one could not be
        looked up; None if all is well."""
        if lacking := self.lacking:
            named = tuple(f"{printable(each.origin)}: {', '.join(each.lacks)}" for each in lacking[:_DETAILS])
            more = len(lacking) - len(named)
            return Finding(
                f"{len(lacking):,} of {plural(len(self.origins), 'origin')} {noun(len(lacking), 'lacks', 'lack')} "
                "a good snapshot or a recent verification",
                code="origins-lacking",
                details=(*named, *([f"and {more:,} more"] if more else [])),
                hint="`snapshotter snapshot ORIGIN` takes one, `snapshotter verify REPO` proves it; `snapshotter "
                "doctor ORIGIN` finds what is in the way",
            )
        if self.unread:
            return PartialFailure(
                f"{plural(len(self.unread), 'repository', 'repositories')} could not be looked up",
                code="unread",
                hint="the list says which, and why",
            )
        return None


def named(lines: Iterable[str], repo_of: Callable[[str], str]) -> dict[str, str]:
    """The repos of the origins in a list, by each origin's text. Empty lines and those that begin with # are none.

    Raises UsageError if there is none, and for the first line that names no origin and no repo.
    """
    repos: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            repos[text] = repo_of(text)
        except UsageError as error:
            raise UsageError(
                f"line {number} of the list: {error.message}", code=error.code, hint=error.hint
            ) from None
    if not repos:
        raise UsageError("the list names no origin", hint="write one origin or repo name a line")
    return repos


def look_up(
    catalog: Catalog,
    repos: Mapping[str, str],
    demand: Demand,
    now: datetime,
    confirmed: Confirmed = lambda _: {},
) -> Standings:
    """Where each origin stands; `repos` has their repos by the origins' texts. `confirmed` is asked about those whose
    snapshots are too old.

    Raises Unavailable or AccessDenied if none can be looked up.
    """
    found = of_each(dict.fromkeys(repos.values()), lambda repo: position(catalog, repo, demand, now))
    old = {
        repo: place.good
        for repo, place in found.results.items()
        if place.good and place.is_older(demand.max_age, now)
    }
    known = confirmed(old) if old else {}
    places = {repo: replace(place, confirmed_at=known.get(repo)) for repo, place in found.results.items()}
    origins = [
        Standing(
            origin,
            repo,
            places[repo].good,
            places[repo].proven_at if demand.max_verify_age is not None else None,
            tuple(places[repo].lacks(demand, now)),
        )
        for origin, repo in repos.items()
        if repo in places
    ]
    return Standings(origins, found.unread)


def newest_good(catalog: Catalog, repo: str, now: datetime) -> RunKey | None:
    """The newest good snapshot of a repo; None without one. Raises as the store does."""
    return position(catalog, repo, Demand(timedelta.max), now).good


def position(catalog: Catalog, repo: str, demand: Demand, now: datetime) -> Position:
    """Where one repo stands, by listings alone, as far back as the demand needs. Raises as the store does."""
    good: RunKey | None = None
    proofs: list[datetime] = []
    seen = False
    for batch in catalog.newest_first(repo, now):
        # A snapshot or a proof from the future would count as young for as long as its clock was ahead.
        runs = [run for run in batch if run.key.run_id.started_at <= now + CLOCKS]
        seen = seen or bool(batch)
        good = good or next((run.key for run in runs if run.verified is not False), None)
        proofs += [proof for proof in map(_proof, runs) if proof and proof <= now + CLOCKS]
        if good and (demand.max_verify_age is None or proofs or _too_old(runs, demand, now)):
            break
    return Position(good, max(proofs, default=None), seen)


def _proof(run: ListedRun) -> datetime | None:
    return run.verified_at if run.verified else None


def _too_old(runs: Sequence[ListedRun], demand: Demand, now: datetime) -> bool:
    """Whether the last of these runs is so old that a proof of an older one is none of the newest snapshots'. Each day
    is a list of its own, and a repo that was never verified may have years of them."""
    span = demand.max_verify_age or timedelta(0)
    return not runs or now - runs[-1].key.run_id.started_at - demand.max_age > span
