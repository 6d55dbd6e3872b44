"""What a push would do, or did, in words and as a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from snapshotter.base.text import decode_name, human_bytes, plural
from snapshotter.cli.describe import without_lfs
from snapshotter.git.ref_names import named, shown
from snapshotter.recover.push import Pushed
from snapshotter.recover.push_plan import RefUpdate

_MOST: Final = 40  # lines of refs of one kind
_SIGNS: Final = {"create": "+", "update": ">", "rewrite": "!", "delete": "-"}


def planned(pushed: Pushed) -> list[str]:
    """What a push would change, and what would be lost."""
    plan = pushed.plan
    if not plan.updates:
        return [f"{plan.url} has the snapshot's refs already", *_lfs(pushed), *_beside(pushed)]
    lines = [f"{plan.url} would get {_counts(plan.updates)}, about {human_bytes(plan.weight)}"]
    for kind in ("delete", "rewrite", "update", "create"):
        chosen = [each for each in plan.updates if each.kind == kind]
        lines += [f"  {_SIGNS[kind]} {_line(each)}" for each in chosen[:_MOST]]
        if len(chosen) > _MOST:
            lines.append(f"  {_SIGNS[kind]} and {len(chosen) - _MOST:,} more")
    lines += [*_lfs(pushed), *_beside(pushed)]
    if plan.losing:
        lines += ["", f"to lose these: --prune --digest {plan.digest}"]
    return lines


def pushed(done: Pushed) -> list[str]:
    """What a push did."""
    plan = done.plan
    if not plan.updates:
        return [f"{plan.url} had the snapshot's refs already", *_lfs(done), *_beside(done)]
    taken = {*done.taken}
    counts = _counts([each for each in plan.updates if each.name in taken])
    proven = "; every one was read back" if taken else ""
    return [
        f"{plan.url} got {counts} in {plural(done.pushes, 'push', 'pushes')}{proven}",
        *_lfs(done),
        *_beside(done),
    ]


def document(done: Pushed, *, dry_run: bool) -> dict[str, object]:
    """The same for `--json`."""
    plan = done.plan
    return {
        "snapshot": plan.snapshot,
        "url": plan.url,
        "dry_run": dry_run,
        "digest": plan.digest,
        "bytes": plan.weight,
        "pushes": done.pushes,
        "updates": [
            {
                "ref": decode_name(each.name),
                "kind": each.kind,
                "old": each.old,
                "new": each.new,
                "kept": each.kept,
                "taken": each.name in {*done.taken},
            }
            for each in plan.updates
        ],
        "left_out": _names(plan.left_out),
        "untouched": _names(plan.untouched),
        "refused": [{"ref": decode_name(name), "why": each.why} for name, each in done.refused.items()],
        "lfs": {
            "objects": done.lfs.objects,
            "bytes": done.lfs.bytes,
            "missing": done.lfs.restored.missing,
            "damaged": done.lfs.restored.damaged,
            "unread": done.lfs.restored.unread,
            "refused": [
                {"oid": pointer.oid, "why": error.message} for pointer, error in done.lfs.refused.items()
            ],
        },
        "head": plan.head and decode_name(plan.head),
        "head_there": done.head_there and decode_name(done.head_there),
    }


def _lfs(done: Pushed) -> list[str]:
    lfs, restored = done.lfs, done.lfs.restored
    if not restored.objects:
        return []
    there, weight = lfs.objects - len(lfs.refused), lfs.bytes - sum(each.bytes for each in lfs.refused)
    lines = [f"  LFS {there:,} of {plural(restored.objects, 'object')}, {human_bytes(weight)}"]
    if restored.missing:
        lines.append(f"  the snapshot has not {restored.missing:,} of them")
    lines += [f"  {fact}" for fact in without_lfs(restored)]
    return lines


def _beside(done: Pushed) -> list[str]:
    plan = done.plan
    lines = []
    hidden = [name for name, refusal in done.refused.items() if refusal.hidden]
    if plan.left_out:
        lines.append(f"  left out, as hosts make them themselves: {named(plan.left_out)}")
    if hidden:
        lines.append(f"  left out, as the host hides them: {named(hidden)}")
    if plan.untouched:
        lines.append(f"  untouched, as the host made them: {named(plan.untouched)}")
    if plan.head and plan.head != done.head_there and (done.head_there or done.pushes):
        there = shown(done.head_there) if done.head_there else "not told"
        lines.append(
            f"  its default branch is {there}, the snapshot's {shown(plan.head)}: set it at the host"
        )
    return lines


def _line(update: RefUpdate) -> str:
    if update.kind == "create":
        return shown(update.name)
    old = (update.old or "")[:12]
    if update.kind == "update":
        return f"{shown(update.name)} from {old}, which it keeps"
    fate = (
        "whose history the snapshot has"
        if update.kept
        else "whose history the snapshot has not: it would be lost"
    )
    return f"{shown(update.name)}, at {old}, {fate}"


def _counts(updates: Sequence[RefUpdate]) -> str:
    words = {"create": "new", "update": "brought forward", "rewrite": "rewritten", "delete": "deleted"}
    counts = {kind: sum(each.kind == kind for each in updates) for kind in words}
    told = [f"{count:,} {words[kind]}" for kind, count in counts.items() if count]
    return f"{plural(len(updates), 'ref')} ({', '.join(told)})" if told else "no ref"


def _names(names: Iterable[bytes]) -> list[str]:
    return [decode_name(name) for name in names]
