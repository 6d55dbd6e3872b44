"""What changed in the refs between two snapshots, and which branches were rewritten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime

from snapshotter.archive.manifest import LIST_CAP, RefChange, RefChangeList, RefChanges
from snapshotter.base.errors import Unusable
from snapshotter.base.text import decode_name, raw_if_changed
from snapshotter.capture.tips import MAX_PACK, commits_only
from snapshotter.git.commit import committed_at, parents
from snapshotter.git.pack import read_pack
from snapshotter.git.ref_names import HEADS
from snapshotter.git.refs import RefsLedger
from snapshotter.transport import Transport

MAX_JUDGED = (
    50  # moved branches: each costs the origin a request; above, whether they were rewritten is unknown
)
_AT_ONCE = 4

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


class OriginJudge:
    """A judge that asks the origin: one commits-only fetch for each branch, wanting the new tip with the old tip
    as the only have. Other haves would cut the walk short and make false alarms.

    `committed_at` is when each tip was made whose commits came, by its id.
    """

    def __init__(self, transport: Transport, fmt: str) -> None:
        self._transport, self._fmt = transport, fmt
        self.committed_at: dict[str, datetime] = {}

    def __call__(self, branches: Sequence[Moved]) -> dict[bytes, bool | None]:
        """The verdicts by the branches' names; none for more than MAX_JUDGED."""
        if len(branches) > MAX_JUDGED:
            return {}
        with ThreadPoolExecutor(min(_AT_ONCE, len(branches)), thread_name_prefix="ancestry") as pool:
            answers = list(pool.map(self._holds, branches))
        return {change[0]: answer for change, answer in zip(branches, answers, strict=True)}

    def _holds(self, change: Moved) -> bool | None:
        _, old, new = change
        with closing(self._transport.fork()) as fork:
            pack = commits_only(fork, [new], [old])
        try:
            return None if pack is None else self._reaches(new, old, pack)
        except Unusable:
            return None  # no pack of commits: whether it was rewritten stays unknown, the snapshot stands

    def _reaches(self, new: str, old: str, pack: bytearray) -> bool:
        """Whether `old` is `new` or an ancestor of it, by the commits that `new` has and `old` has not."""
        ancestry: dict[str, list[str]] = {}
        for item in read_pack(pack, self._fmt, max_bytes=8 * MAX_PACK):  # inflated, which bounds a bomb
            if item.type == "commit":
                ancestry[item.oid] = parents(item.data)
            if item.oid == new and (when := committed_at(item.data)) is not None:
                self.committed_at[new] = when
        queue, seen = [new], {new}
        while queue:
            oid = queue.pop()
            if oid == old:
                return True
            for parent in ancestry.get(oid, ()):
                if parent not in seen:
                    seen.add(parent)
                    queue.append(parent)
        return False


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
