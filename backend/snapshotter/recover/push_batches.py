"""A push in parts that hosts take: each below a weight, and of not too many refs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from snapshotter.git.revisions import Revisions
from snapshotter.recover.push_plan import RefUpdate

MOST_REFS: Final = 500  # of one push: they are git's arguments


def batches(
    updates: Sequence[RefUpdate], revisions: Revisions, known: Iterable[str], limit: int
) -> Iterator[list[RefUpdate]]:
    """The updates in parts of at most about `limit` bytes, in order. `known` are objects that the host has.

    A branch that weighs more comes in steps: commits on its own line, each of which the branch gets for a while. What
    cannot be had in steps, a single commit or a tag, comes whole. What was pushed before a cut is not pushed again.
    """
    have = {*known}
    whole = revisions.weight([each.new for each in updates if each.new], have) <= limit
    batch: list[RefUpdate] = []
    tips: list[str] = []

    def ended() -> list[RefUpdate]:
        done = [*batch]
        have.update(tips)
        batch.clear()
        tips.clear()
        return done

    for update in updates:
        if len(batch) == MOST_REFS:
            yield ended()
        if not whole and update.new and revisions.weight([*tips, update.new], have) > limit:
            if batch:
                yield ended()
            for step in _steps(update, revisions, have, limit):
                yield [step]
                update = replace(step, old=step.new, new=update.new, kind="update")
                have.add(step.new or "")
        batch.append(update)
        tips += [update.new] if update.new else []
    if batch:
        yield ended()


def _steps(update: RefUpdate, revisions: Revisions, have: set[str], limit: int) -> Iterator[RefUpdate]:
    """The steps before the last of a branch that is too heavy to come at once."""
    if not update.new or not update.name.startswith(b"refs/heads/"):
        return
    line = revisions.first_parents(update.new, have)
    known, at, old, kind = {*have}, 0, update.old, update.kind
    while at < len(line) - 1 and revisions.weight(line[-1:], known) > limit:
        at = _furthest(line, at, revisions, known, limit)
        if at >= len(line) - 1:
            return
        yield replace(update, kind=kind, old=old, new=line[at])
        known.add(line[at])
        old, kind, at = line[at], "update", at + 1


def _furthest(line: Sequence[str], at: int, revisions: Revisions, known: set[str], limit: int) -> int:
    """The last commit of the line, from `at` on, up to which all weighs at most `limit`; `at` itself at least."""
    low, high = at, len(line) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if revisions.weight([line[middle]], known) <= limit:
            low = middle
        else:
            high = middle - 1
    return low
