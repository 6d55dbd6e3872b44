"""What a push would change at a host, and what would be lost there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

from snapshotter.base.errors import UsageError
from snapshotter.git.ref_names import named, shown
from snapshotter.git.refs import RefListing, RefsLedger

Kind = Literal["create", "update", "rewrite", "delete"]
"""`update` keeps all that the ref had; `rewrite` does not."""

# Hosts make these by themselves, and refuse them from others; clones have the last ones.
_HOSTS_OWN: Final = (
    *(b"refs/pull/", b"refs/pull-requests/", b"refs/merge-requests/", b"refs/changes/", b"refs/keep-around/"),
    *(b"refs/pipelines/", b"refs/environments/", b"refs/cache-automerge/", b"refs/users/", b"refs/groups/"),
    *(b"refs/sequences/", b"refs/starred-changes/", b"refs/meta/", b"refs/for/", b"refs/drafts/"),
    *(b"refs/remotes/", b"refs/stash", b"refs/worktree/", b"refs/bisect/", b"refs/rewritten/"),
)


@dataclass(frozen=True)
class RefUpdate:
    """A ref that a push changes from `old` to `new`; None where it does not exist.

    `kept` is whether what the ref had is in the snapshot's history, so that nothing is lost with it.
    """

    name: bytes
    kind: Kind
    old: str | None
    new: str | None
    kept: bool = True


@dataclass(frozen=True)
class PushPlan:
    """What a push would change in the repository `url`.

    `left_out` are the snapshot's refs that hosts make by themselves, `untouched` those of the repository's own kind
    that stay. `weight` is what is to be sent, about, in bytes. `head` is the snapshot's default branch,
    None if its HEAD names none.
    """

    snapshot: str
    url: str
    updates: Sequence[RefUpdate]
    left_out: Sequence[bytes]
    untouched: Sequence[bytes]
    head: bytes | None
    weight: int = 0

    @cached_property
    def digest(self) -> str:
        """16 hex digits that stand for all of it: what is there now, and what would come of it."""
        lines = [f"{self.snapshot}\n{self.url}\n".encode()]
        lines += [b"%b %b %b\n" % (_text(each.old), _text(each.new), each.name) for each in self.updates]
        return hashlib.sha256(b"".join(lines)).hexdigest()[:16]

    @property
    def losing(self) -> list[RefUpdate]:
        """The updates after which a ref no longer has what it had."""
        return [each for each in self.updates if each.kind in ("rewrite", "delete")]

    def check_additive(self) -> None:
        """Raise UsageError if a ref of the repository would be rewritten or deleted."""
        if not self.losing:
            return
        gone = [each.name for each in self.losing if each.kind == "delete"]
        rewritten = [each.name for each in self.losing if each.kind == "rewrite"]
        details = []
        if gone:
            details.append(f"the snapshot has no {named(gone)}")
        if rewritten:
            details.append(f"the snapshot has another history of {named(rewritten)}")
        raise UsageError(
            f"{self.url} is not empty, and holds what the snapshot does not",
            code="not-empty",
            details=tuple(details),
            hint="push into an empty repository; `--prune --dry-run` shows what would be lost here",
        )


def is_hosts_own(name: bytes) -> bool:
    """Whether hosts make refs of this name by themselves, and take none from others."""
    return name.startswith(_HOSTS_OWN)


def make(
    snapshot: str,
    url: str,
    ledger: RefsLedger,
    there: RefListing,
    judge: Callable[[str, str | None], tuple[bool, bool]],
) -> PushPlan:
    """The plan that makes the repository's refs, as listed in `there`, the snapshot's.

    `judge` tells of an old id and a new one whether the new one keeps the old one's history, and whether the snapshot
    does.
    """
    wanted = {ref.name: ref.oid for ref in ledger if not is_hosts_own(ref.name)}
    present = {ref.name: ref.oid for ref in there if not is_hosts_own(ref.name)}
    updates = []
    for name, new in wanted.items():
        old = present.get(name)
        if old is None:
            updates.append(RefUpdate(name, "create", None, new))
        elif old != new:
            forward, kept = judge(old, new)
            updates.append(RefUpdate(name, "update" if forward else "rewrite", old, new, kept))
    for name, old in present.items():
        if name not in wanted:
            updates.append(RefUpdate(name, "delete", old, None, judge(old, None)[1]))
    return PushPlan(
        snapshot,
        url,
        tuple(_in_order(updates, ledger.head_target)),
        tuple(ref.name for ref in ledger if is_hosts_own(ref.name)),
        tuple(ref.name for ref in there if is_hosts_own(ref.name)),
        ledger.head_target if ledger.head_target in wanted else None,
    )


def differences(plan: PushPlan, there: RefListing, refused: Sequence[bytes]) -> list[str]:
    """How the repository's refs differ from what was pushed; empty if they do not."""
    skipped = {*refused}
    wrong = [
        each.name
        for each in plan.updates
        if each.name not in skipped and there.oids.get(each.name) != each.new
    ]
    return [f"{shown(name)} is not what was pushed" for name in wrong]


def _in_order(updates: Sequence[RefUpdate], head: bytes | None) -> list[RefUpdate]:
    """The default branch first, since hosts take the first branch of an empty repository for it; deletions last, but
    for those whose name is in the way of a new one."""
    new = {each.name for each in updates if each.kind == "create"}
    folders = {folder for name in new for folder in _folders(name)}

    def in_the_way(name: bytes) -> bool:
        return name in folders or any(folder in new for folder in _folders(name))

    def rank(update: RefUpdate) -> tuple[int, bytes]:
        if update.kind == "delete":
            return (0 if in_the_way(update.name) else 9), update.name
        if update.name == head:
            return 1, update.name
        return (2 if update.name.startswith(b"refs/heads/") else 3), update.name

    return sorted(updates, key=rank)


def _folders(name: bytes) -> list[bytes]:
    """The names of which `name` would be below."""
    parts = name.split(b"/")
    return [b"/".join(parts[:depth]) for depth in range(2, len(parts))]


def _text(oid: str | None) -> bytes:
    return (oid or "-").encode()
