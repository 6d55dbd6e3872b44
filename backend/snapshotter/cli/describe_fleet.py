"""A fleet's plan in words."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from snapshotter.base.text import human_bytes, human_span, noun, plural
from snapshotter.cli import describe
from snapshotter.cli.describe_list import table

if TYPE_CHECKING:
    from datetime import datetime

    from snapshotter.fleet.outcome import FleetSummary, RepoChange
    from snapshotter.fleet.plan import FleetPlan, SourceState
    from snapshotter.fleet.roster import Change
    from snapshotter.fleet.status import FleetStatus, RepoStatus, State
    from snapshotter.fleet.submodules import Offers

_STATUS: Final = ("STATE", "REPOSITORY", "GOOD AS OF", "VERIFIED", "LAST RUN", "TREND")
_WHY: Final = 100  # characters of why a run ended badly
_STATES: Final[dict[State, str]] = {
    "unknown": "NOT KNOWN",
    "never-taken": "NEVER TAKEN",
    "none-good": "NONE GOOD",
    "stale": "STALE",
    "unverified": "UNVERIFIED",
    "failing": "failing",
    "good": "good",
}
_IN: Final = ("IN", "WHY")
_OUT: Final = ("OUT", "WHY")
_SINCE: Final = ("SINCE THEN", "WHAT", "NOW")


def plan(plan: FleetPlan) -> list[str]:
    """What is in and why, what is out and why, what changed since, and a line for each source; then the sum."""
    lines: list[str] = []
    if plan.entries:
        lines += [*table([_IN, *((entry.origin.url, entry.why) for entry in plan.entries)]), ""]
    if plan.left_out:
        rows = [(f"{each.source.split()[0]} {each.path}", each.why) for each in plan.left_out]
        lines += [*table([_OUT, *rows]), ""]
    if plan.changes:
        lines += [*table([_SINCE, *map(_change, plan.changes)]), ""]
    lines += map(_source, plan.sources)
    total = plural(len(plan.entries), "repository", "repositories")
    return [*lines, f"{plan.name}: {total} would be taken, {len(plan.left_out):,} left out"]


def submodules(found: Offers) -> list[str]:
    """Submodules that the inventory has not, as its tables would name them; how many repositories may have others."""
    lines = [""]
    if count := len(found.unknown):
        repositories = plural(count, "repository", "repositories")
        first = f" (like {found.unknown[0]})"
        lines.append(
            f"of {repositories}{first} the submodules are not known: there is no snapshot with a scan"
        )
    if not found.origins:
        return [*lines, "every submodule that the newest scans name is in the plan"]
    lines.append("submodules that are not in the plan; as tables of the inventory:")
    for each in found.origins:
        of = f"{each.of[0]}{f' and {len(each.of) - 1:,} more' if len(each.of) > 1 else ''}"
        lines += ["", "[[repo]]", f"origin = {json.dumps(each.origin)}  # of {of}"]
    return lines


def status(status: FleetStatus) -> list[str]:
    """A line for each repository, the worst first; then what is known of the last run, and how many are well.

    There is a column more where snapshots have LFS objects.
    """
    rows = [_STATUS, *(_standing(each, status.now) for each in status.repos)]
    if any(told := [each.lfs.told if each.lfs else "" for each in status.repos]):
        column = ["LFS", *(each or "-" for each in told)]
        rows = [(*row[:-2], each, *row[-2:]) for row, each in zip(rows, column, strict=True)]
    lines = [*table(rows), ""]
    lines += [
        f"{source}: NOT KNOWN: its repositories are those of the last result" for source in status.unlisted
    ]
    if status.summary:
        at = f"{status.summary.finished_at:%Y-%m-%d %H:%M} ({describe.age(status.summary.finished_at, status.now)})"
        lines.append(f"last run {status.summary.run_id}, ended {at}")
    if status.unended:
        go_on = f"`snapshotter fleet run INVENTORY --resume {status.unended}` goes on with it"
        lines.append(
            f"the run {status.unended} has not ended: it is running; or it was cut short, and {go_on}"
        )
    total = plural(len(status.repos), "repository", "repositories")
    well = len(status.repos) - len(status.lacking)
    return [*lines, f"{status.name}: {well:,} of {total} {noun(well, 'lacks', 'lack')} nothing"]


def _standing(each: RepoStatus, now: datetime) -> tuple[str, ...]:
    place, row = each.place, each.row
    proven = place.proven_at if place else None
    shown = place.as_of if place else None
    why = each.error.message if each.error else row.error if row and not row.ok else None
    verdict = row.verdict if row else "-"
    return (
        _STATES[each.state],
        each.wanted.origin,
        describe.age(shown, now) if shown else "never",
        describe.age(proven, now) if proven else "-",
        f"{verdict}: {why}"[:_WHY] if why else verdict,
        f"{row.recent} {each.trend}" if row and each.trend else "-",
    )


def _change(change: Change | RepoChange) -> tuple[str, str, str]:
    now = change.now or "-"
    return (change.path, change.kind, now if now != change.path else "the same name")


def _source(state: SourceState) -> str:
    if state.error:
        return f"{state.title}: NOT KNOWN: {state.error.message}"
    listed = plural(state.listed, "repository", "repositories")
    return f"{state.title}: {listed} listed, {state.taken:,} {noun(state.taken, 'is', 'are')} in"


def run(summary: FleetSummary, store: str) -> list[str]:
    """A run in words: how many repositories have which verdict, what it took, and where it is written."""
    lines = [f"{count:>9,} {verdict}" for verdict, count in sorted(summary.verdicts.items(), key=_most_first)]
    if summary.resumed:
        lines.append(f"{summary.resumed:>9,} of them before it was resumed")
    what = plural(summary.origins, "repository", "repositories")
    facts = f"{human_bytes(summary.stored)} of history stored, {plural(summary.requests, 'request')}"
    changed = [each for each in summary.changes if each.kind != "new"]
    since = [*table([_SINCE, *map(_change, changed)]), ""] if changed else []
    return [
        *since,
        *lines,
        f"{summary.inventory}: {what} in {human_span(timedelta(seconds=summary.seconds))}; {facts}",
        f"run {summary.run_id} in {store}",
    ]


def _most_first(counted: tuple[str, int]) -> tuple[int, str]:
    verdict, count = counted
    return (-count, verdict)
