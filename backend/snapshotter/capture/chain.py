"""Which kind of snapshot is due and why, and what its chain becomes. Nothing here reads or writes anything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct

from snapshotter.archive.layout import RunId
from snapshotter.archive.manifest import ChainBytes, Kind
from snapshotter.base.text import human_span
from snapshotter.git.refs import RefsLedger

MAX_INCREMENTS: Final = 24  # each costs a restore one more bundle, and one more object that may be damaged
_NOTHING: Final = ChainBytes(base=0, increments=0)


class Chain(Struct, frozen=True):
    """The runs that restore a snapshot, base first, and their weight. Empty for a snapshot without refs."""

    runs: tuple[str, ...] = ()
    weight: ChainBytes = _NOTHING

    @property
    def increments(self) -> int:
        """How many runs follow the base."""
        return len(self.runs) - 1


class Foundation(Struct, frozen=True):
    """What an increment would build on: the parent's chain, its refs (None if they cannot be read), and what
    is wrong with the chain (None if nothing is)."""

    chain: Chain
    refs: RefsLedger | None
    damage: str | None = None


class BasePolicy(Struct, frozen=True):
    """When a base is due although an increment could be taken. `full` asks for one."""

    full: bool = False
    max_age: timedelta | None = None
    max_increments: int = MAX_INCREMENTS


class Decision(NamedTuple):
    """The kind of snapshot to take, and why, in words for people."""

    kind: Kind
    reason: str


def decide(
    refs: RefsLedger,
    parent: Foundation | None,
    policy: BasePolicy,
    now: datetime,
    *,
    why_no_parent: str = "the first snapshot",
) -> Decision:
    """The kind that is due for an origin with these `refs`, at `now` (UTC)."""
    if not refs.tips:
        return Decision("empty", "the origin has no refs")
    if parent is None:
        return Decision("base", why_no_parent)
    if reason := _base_due(refs, parent, policy, now):  # also of an origin that is unchanged
        return Decision("base", reason)
    if parent.refs is not None and parent.refs.sha256 == refs.sha256:
        return Decision("unchanged", "the refs are the same")
    return Decision("increment", "the refs changed")


def grown(chain: Chain, kind: Kind, run: str, size: int) -> Chain:
    """The chain of a snapshot of `kind` taken by `run`, whose parent's is `chain`; its bundle has `size` bytes."""
    if kind == "base":
        return Chain((run,), ChainBytes(base=size, increments=0))
    if kind == "empty":
        return Chain()
    if kind == "unchanged":
        return chain
    weight = ChainBytes(base=chain.weight.base, increments=chain.weight.increments + size)
    return Chain((*chain.runs, run), weight)


def _base_due(refs: RefsLedger, parent: Foundation, policy: BasePolicy, now: datetime) -> str | None:
    """Why a base is due, in words for people. Returns None if none is."""
    chain = parent.chain
    if policy.full:
        return "asked for (--full)"
    if parent.refs is None:
        return "the parent's refs cannot be read"
    # An increment names branch tips as what it needs, and no tags: those may point at what is no commit.
    if not parent.refs.branch_tips or not chain.runs:
        return "the parent has no branches to build on"
    if parent.refs.object_format != refs.object_format:
        return f"the origin's object format was {parent.refs.object_format} and is {refs.object_format}"
    if parent.damage is not None:
        return parent.damage
    if chain.increments >= policy.max_increments:
        return f"the chain has {policy.max_increments} increments"
    if chain.weight.increments > chain.weight.base:  # then a restore reads less from a new base
        return "the increments outweigh the base"
    # Whoever expires objects sets an age: a quiet repository's base would expire under its increments.
    if policy.max_age is not None and now - RunId(chain.runs[0]).started_at > policy.max_age:
        return f"the base is older than {human_span(policy.max_age)}"
    return None
