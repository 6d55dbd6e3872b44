"""What changed in the refs between two snapshots, and which branches were rewritten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime

from snapshotter.archive.manifest import LIST_CAP, RefChange, RefChangeList, RefChanges
from snapshotter.base.errors import Unusable
from snapshotter.base.text import decode_name, raw_if_changed
from snapshotter.capture.pack_front import AwaitedFront
from snapshotter.capture.tips import MAX_PACK, at_the_front, commits_only
from snapshotter.git.commit import committed_at, parents
from snapshotter.git.pack import PackObject, read_pack
from snapshotter.git.ref_names import HEADS
from snapshotter.git.refs import RefsLedger
from snapshotter.transport import Transport

MAX_JUDGED = 50  # moves: each costs the origin a request; above, whether branches were rewritten is unknown
_AT_ONCE = 4
_MOST_STEPS = 1_000_000  # from commit to parent, for all branches together

Moved = tuple[bytes, str, str]  # ref name, old oid, new oid
Judge = Callable[[Sequence[Moved]], dict[bytes, bool | None]]


def compare(old: RefsLedger, new: RefsLedger, judge: Judge) -> RefChanges:
    """The changes from `old` to `new`.

    `judge` answers for each moved branch whether the new tip descends from the old one: True (a fast-forward),
    False (rewritten), None (unknown). It is not asked about two object formats: no history holds ids of both,
    so every branch that moved from one to the other was rewritten.
    """
    before, after = _named(old), _named(new)
    moved = [
        (name, before[name], after[name])
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    ]
    branches = [change for change in moved if change[0].startswith(HEADS)]
    if old.object_format != new.object_format:
        verdicts: dict[bytes, bool | None] = dict.fromkeys((name for name, _, _ in branches), False)
    else:
        verdicts = judge(branches) if branches else {}
    return RefChanges(
        created=_listed([(name, None, after[name]) for name in sorted(after.keys() - before.keys())]),
        deleted=_listed([(name, before[name], None) for name in sorted(before.keys() - after.keys())]),
        moved=_listed(moved),
        rewritten=_listed([change for change in branches if verdicts.get(change[0]) is False]),
        unknown=_listed([change for change in branches if verdicts.get(change[0]) is None]),
    )


def forward(changes: RefChanges) -> RefChangeList:
    """The refs that moved forward, as people are told.

    In a manifest `moved` also lists the branches that were rewritten and those whose ancestry is unknown.
    """
    others = {change.ref for part in (changes.rewritten, changes.unknown) for change in part.refs}
    refs = [change for change in changes.moved.refs if change.ref not in others]
    return RefChangeList(
        count=changes.moved.count - changes.rewritten.count - changes.unknown.count, refs=refs
    )


class _Commits:
    """Commits that came, by their ids: their parents, and when they were made."""

    def __init__(self, objects: Iterable[PackObject]) -> None:
        self.parents: dict[str, list[str]] = {}
        self.made_at: dict[str, datetime] = {}
        for item in objects:
            if item.type == "commit":
                self.parents[item.oid] = parents(item.data)
                if (when := committed_at(item.data)) is not None:
                    self.made_at[item.oid] = when
        self._steps_left = _MOST_STEPS

    def reaches(self, new: str, old: str) -> bool | None:
        """Whether `old` is `new` or an ancestor of it, as far as these commits tell; None if too many have been gone
        through, for this and for others."""
        queue, seen = [new], {new}
        while queue:
            if not self._steps_left:
                return None
            self._steps_left -= 1
            oid = queue.pop()
            if oid == old:
                return True
            for parent in self.parents.get(oid, ()):
                if parent not in seen:
                    seen.add(parent)
                    queue.append(parent)
        return False


class OriginJudge:
    """A judge that reads the `front` of the history's pack, and asks the origin what that does not show.

    The commits in it may show that a branch moved forward, and never that it did not: what other branches had is left
    out of it. Then one commits-only fetch for each branch wants the new tip with the old tip as the only have.

    `committed_at` is when each tip was made whose commits came, by its id.
    """

    def __init__(self, transport: Transport, fmt: str, front: AwaitedFront) -> None:
        self._transport, self._fmt, self._front = transport, fmt, front
        self.committed_at: dict[str, datetime] = {}

    def __call__(self, branches: Sequence[Moved]) -> dict[bytes, bool | None]:
        """The verdicts by the branches' names. Branches that moved alike are one question; with more than MAX_JUDGED
        there are no other verdicts than the front shows."""
        moves = sorted({(old, new) for _, old, new in branches})
        came = _Commits(at_the_front(self._front.result(), self._fmt))
        verdicts: dict[tuple[str, str], bool | None] = {
            (old, new): True for old, new in moves if came.reaches(new, old)
        }
        self.committed_at.update({new: came.made_at[new] for _, new in verdicts if new in came.made_at})
        left = [move for move in moves if move not in verdicts]
        if left and len(left) <= MAX_JUDGED:
            with ThreadPoolExecutor(min(_AT_ONCE, len(left)), thread_name_prefix="ancestry") as pool:
                verdicts |= zip(left, pool.map(self._holds, left), strict=True)
        return {name: verdicts.get((old, new)) for name, old, new in branches}

    def _holds(self, move: tuple[str, str]) -> bool | None:
        old, new = move
        with closing(self._transport.fork()) as fork:
            pack = commits_only(fork, [new], [old])
        try:
            if pack is None:
                return None
            objects = read_pack(pack, self._fmt, max_bytes=8 * MAX_PACK)  # inflated, which bounds a bomb
            came = _Commits(objects)
        except Unusable:
            return None  # no pack of commits: whether it was rewritten stays unknown, the snapshot stands
        if (when := came.made_at.get(new)) is not None:
            self.committed_at[new] = when
        return came.reaches(new, old)


def by_record(steps: Sequence[RefChanges | None]) -> Judge:
    """A judge that reads the manifests between two snapshots, oldest step first, and asks no origin.

    A branch that any step rewrote is rewritten. One that every step moved forward, or left alone, is not. If a
    step is missing, or does not know of the branch, the answer is None.
    """

    def judge(branches: Sequence[Moved]) -> dict[bytes, bool | None]:
        verdicts: dict[bytes, bool | None] = {}
        for name, _, _ in branches:
            verdicts[name] = _recorded(decode_name(name), steps)
        return verdicts

    return judge


def _recorded(name: str, steps: Sequence[RefChanges | None]) -> bool | None:
    verdict: bool | None = True
    for step in steps:
        if step is None:
            return None
        if any(change.ref == name for change in step.rewritten.refs):
            return False
        parts = (step.unknown, step.rewritten, step.deleted, step.created)
        cut = any(part.count > len(part.refs) for part in parts)
        # Whoever made the branch anew, or is not in a list that was cut, may have rewritten it all the same.
        gone = any(
            change.ref == name for part in (step.unknown, step.deleted, step.created) for change in part.refs
        )
        verdict = None if cut or gone else verdict
    return verdict


def _named(ledger: RefsLedger) -> dict[bytes, str]:
    """What each ref holds; HEAD by its target when it is symbolic."""
    values = dict(ledger.oids)
    # By its target, so that another default branch is told as a move of HEAD, and a new commit on it is not.
    if ledger.head_target is not None:
        values[b"HEAD"] = decode_name(ledger.head_target)
    return values


def _listed(changes: Iterable[tuple[bytes, str | None, str | None]]) -> RefChangeList:
    every = list(changes)
    first = [
        RefChange(ref=decode_name(name), old=old, new=new, ref_bytes=raw_if_changed(name))
        for name, old, new in every[:LIST_CAP]
    ]
    return RefChangeList(count=len(every), refs=first)
