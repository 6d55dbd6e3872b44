"""What a push would change: the refs afterwards are the snapshot's, whatever was there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.git.refs import Ref, RefListing, RefsLedger
from snapshotter.recover import push_plan
from snapshotter.recover.push_plan import PushPlan

NAMES = [
    b"refs/heads/main",
    b"refs/heads/a",
    b"refs/heads/a/b",
    b"refs/tags/v1",
    b"refs/notes/x",
    b"refs/pull/1/head",
]
IDS = [digit * 40 for digit in "123"]
REFS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(IDS))


def plan_of(wanted: dict[bytes, str], there: dict[bytes, str], kept: bool = False) -> PushPlan:
    ledger = RefsLedger.build([Ref(name, oid) for name, oid in wanted.items()], b"refs/heads/main")
    listing = RefListing(tuple(Ref(name, oid) for name, oid in there.items()))
    return push_plan.make(
        "repo/run", "https://host/x", ledger, listing, lambda old, new: (bool(new and new > old), kept)
    )


@given(REFS, REFS)
def test_the_updates_make_the_refs_the_snapshots_and_leave_the_hosts_own(
    wanted: dict[bytes, str], there: dict[bytes, str]
) -> None:
    plan = plan_of(wanted, there)
    after = dict(there)
    for update in plan.updates:
        assert after.get(update.name) == update.old, "a lease on what is there"
        if update.new:
            after[update.name] = update.new
        else:
            del after[update.name]
    own = {name: oid for name, oid in wanted.items() if not push_plan.is_hosts_own(name)}
    stays = {name: oid for name, oid in there.items() if push_plan.is_hosts_own(name)}
    assert after == own | stays
    assert {update.name for update in plan.losing} == {
        name for name, oid in there.items() if name not in stays and own.get(name, "0") < oid
    }
    assert [*plan.untouched] == [*stays]


@given(REFS, REFS)
def test_no_name_is_made_while_another_is_in_its_way(
    wanted: dict[bytes, str], there: dict[bytes, str]
) -> None:
    ledger_names = {*wanted}
    if any(other.startswith(name + b"/") for name in ledger_names for other in ledger_names):
        return  # no repository has both
    present = {*there}
    for update in plan_of(wanted, there).updates:
        if update.new is None:
            present.discard(update.name)
            continue
        if update.kind == "create":
            in_the_way = {
                name
                for name in present - ledger_names
                if name.startswith(update.name + b"/") or update.name.startswith(name + b"/")
            }
            assert not in_the_way
        present.add(update.name)


@given(REFS, REFS, REFS)
def test_the_digest_stands_for_all_that_would_change(
    wanted: dict[bytes, str], there: dict[bytes, str], later: dict[bytes, str]
) -> None:
    first, second = plan_of(wanted, there), plan_of(wanted, later)
    assert (first.digest == second.digest) == ([*first.updates] == [*second.updates])


def test_the_default_branch_goes_before_the_others() -> None:
    plan = plan_of(dict.fromkeys(NAMES, IDS[0]), {b"refs/heads/zzz": IDS[1]})
    assert plan.updates[0].name == b"refs/heads/main"
    assert plan.updates[-1].kind == "delete"
