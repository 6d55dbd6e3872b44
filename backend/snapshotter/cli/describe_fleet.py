"""A fleet's plan in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from snapshotter.base.text import noun, plural
from snapshotter.cli.describe_list import table

if TYPE_CHECKING:
    from snapshotter.fleet.plan import FleetPlan, SourceState
    from snapshotter.fleet.roster import Change

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


def _change(change: Change) -> tuple[str, str, str]:
    now = change.now or "-"
    return (change.path, change.kind, now if now != change.path else "the same name")


def _source(state: SourceState) -> str:
    if state.error:
        return f"{state.title}: NOT KNOWN: {state.error.message}"
    listed = plural(state.listed, "repository", "repositories")
    return f"{state.title}: {listed} listed, {state.taken:,} {noun(state.taken, 'is', 'are')} in"
