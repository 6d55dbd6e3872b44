"""Which kind is due and why, case by case; and what the chain becomes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from snapshotter.archive.manifest import ChainBytes
from snapshotter.capture.chain import BasePolicy, Chain, Foundation, decide, grown
from snapshotter.git.refs import Ref, RefsLedger

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RUNS = tuple(f"202611{day:02}T120000Z-0123abcd" for day in range(1, 23))
NOTHING = RefsLedger()
BEFORE = RefsLedger.build([Ref(b"refs/heads/main", "a" * 40)])
AFTER = RefsLedger.build([Ref(b"refs/heads/main", "b" * 40)])
SHA256 = RefsLedger.build([Ref(b"refs/heads/main", "b" * 64)])
TAGS = RefsLedger.build([Ref(b"refs/tags/v1", "a" * 40)])


def chain(runs: int = 2, base: int = 100, increments: int = 10) -> Chain:
    return Chain(RUNS[:runs], ChainBytes(base=base, increments=increments))


SOUND = Foundation(chain(), BEFORE)
DAMAGED = Foundation(chain(), BEFORE, "the receipt of a run says so")
UNREADABLE = Foundation(chain(), None)


@pytest.mark.parametrize(
    ("refs", "parent", "policy", "kind", "reason"),
    [
        (NOTHING, None, {}, "empty", "the origin has no refs"),
        (NOTHING, SOUND, {"full": True}, "empty", "the origin has no refs"),
        (AFTER, None, {}, "base", "the first snapshot"),
        (AFTER, None, {"full": True}, "base", "the first snapshot"),
        (AFTER, SOUND, {}, "increment", "the refs changed"),
        (BEFORE, SOUND, {}, "unchanged", "the refs are the same"),
        (TAGS, SOUND, {}, "increment", "the refs changed"),
        (AFTER, SOUND, {"full": True}, "base", "asked for (--full)"),
        (BEFORE, SOUND, {"full": True}, "base", "asked for (--full)"),
        (AFTER, UNREADABLE, {}, "base", "the parent's refs cannot be read"),
        (AFTER, UNREADABLE, {"full": True}, "base", "asked for (--full)"),
        (AFTER, Foundation(chain(), TAGS), {}, "base", "the parent has no branches to build on"),
        (AFTER, Foundation(Chain(), NOTHING), {}, "base", "the parent has no branches to build on"),
        (AFTER, Foundation(Chain(), BEFORE), {}, "base", "the parent has no branches to build on"),
        (SHA256, SOUND, {}, "base", "the origin's object format was sha1 and is sha256"),
        (AFTER, Foundation(chain(), SHA256), {}, "base", "the origin's object format was sha256 and is sha1"),
        (SHA256, DAMAGED, {}, "base", "the origin's object format was sha1 and is sha256"),
        (SHA256, SOUND, {"full": True}, "base", "asked for (--full)"),
        (SHA256, UNREADABLE, {}, "base", "the parent's refs cannot be read"),
        (AFTER, DAMAGED, {}, "base", "the receipt of a run says so"),
        (BEFORE, DAMAGED, {}, "base", "the receipt of a run says so"),
        (AFTER, Foundation(chain(3), BEFORE), {"max_increments": 3}, "increment", "the refs changed"),
        (AFTER, Foundation(chain(4), BEFORE), {"max_increments": 3}, "base", "the chain has 3 increments"),
        (BEFORE, Foundation(chain(4), BEFORE), {"max_increments": 3}, "base", "the chain has 3 increments"),
        (AFTER, Foundation(chain(increments=100), BEFORE), {}, "increment", "the refs changed"),
        (AFTER, Foundation(chain(increments=101), BEFORE), {}, "base", "the increments outweigh the base"),
        (AFTER, SOUND, {"max_age": timedelta(days=22)}, "increment", "the refs changed"),
        (
            AFTER,
            SOUND,
            {"max_age": timedelta(days=22, seconds=-1)},
            "base",
            "the base is older than 21 days 23 hours 59 minutes 59 seconds",
        ),
        (BEFORE, SOUND, {"max_age": timedelta(days=1)}, "base", "the base is older than 1 day"),
    ],
)
def test_the_kind_that_is_due(
    refs: RefsLedger, parent: Foundation | None, policy: dict[str, Any], kind: str, reason: str
) -> None:
    assert decide(refs, parent, BasePolicy(**policy), NOW) == (kind, reason)


def test_without_a_parent_the_search_says_why() -> None:
    why = "the newest snapshot's manifest cannot be read"
    assert decide(AFTER, None, BasePolicy(), NOW, why_no_parent=why) == ("base", why)


def test_by_default_twenty_four_increments_follow_a_base() -> None:
    for increments, kind in [(23, "increment"), (24, "base")]:
        runs = ("20261123T000000Z-0123abcd",) * (increments + 1)
        assert decide(AFTER, Foundation(Chain(runs), BEFORE), BasePolicy(), NOW).kind == kind


@pytest.mark.parametrize(
    ("before", "kind", "after"),
    [
        (Chain(), "base", Chain(("now",), ChainBytes(base=7, increments=0))),
        (chain(), "base", Chain(("now",), ChainBytes(base=7, increments=0))),
        (chain(), "increment", Chain((*RUNS[:2], "now"), ChainBytes(base=100, increments=17))),
        (chain(), "unchanged", chain()),
        (Chain(), "unchanged", Chain()),
        (chain(), "empty", Chain()),
    ],
)
def test_what_the_chain_becomes(before: Chain, kind: Any, after: Chain) -> None:
    assert grown(before, kind, "now", 7) == after
