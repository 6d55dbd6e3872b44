"""Queues and leases: the leases on their way never sum above a host's limits, and every repository has its turn."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from snapshotter.fleet.hosts import MOST_TASKS, HostLimits, Hosts, Ticket
from snapshotter.fleet.outcome import BatchResult, LedgerRow, RepoOutcome, Retry, Trouble, Verdict

MIB = 1024 * 1024


def outcome(verdict: Verdict = "unchanged") -> RepoOutcome:
    row = LedgerRow(repo="r", verdict=verdict)
    return RepoOutcome(origin="o", repo="r", verdict=verdict, ledger=row, finished_at=datetime.now(UTC))


def result(ticket: Ticket, verdict: Verdict = "unchanged", **more: object) -> BatchResult:
    outcomes = [outcome(verdict)] * len(ticket.indexes)
    return BatchResult(number=ticket.number, outcomes=outcomes, **more)  # type: ignore[arg-type]


def hosts_of(counts: list[int], limits: HostLimits, weight: int = 1) -> Hosts:
    weights = [weight] * sum(counts)
    hosts, first = Hosts(limits, weights), 0
    for count in counts:
        hosts.add(range(first, first + count))
        first += count
    return hosts


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 120), min_size=1, max_size=4),
    st.integers(1, 12),
    st.one_of(st.none(), st.sampled_from([0.5, 1.0, 2.0, 5.0, 7.0, 50.0])),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_every_repository_has_one_turn_and_no_limit_is_ever_exceeded(
    counts: list[int], connections: int, rate: float | None, slots: int, random: object
) -> None:
    hosts = hosts_of(counts, HostLimits(connections, rate))
    now, sent, seen = 0.0, list[Ticket](), Counter[int]()
    while hosts.left or sent:
        while len(sent) < slots and (ticket := hosts.next(now, slots)):
            sent.append(ticket)
            seen.update(ticket.indexes)
            assert len(ticket.indexes) <= MOST_TASKS
        for host in range(len(counts)):
            leases = [ticket.lease for ticket in sent if ticket.host == host]
            assert sum(lease.connections for lease in leases) <= connections
            assert all(lease.connections >= 1 for lease in leases)
            if rate is not None:
                assert sum(lease.requests_per_second or 0 for lease in leases) <= rate
        now += 1.0
        if sent:  # it never stands still while there is something to do
            ticket = sent.pop(random.randrange(len(sent)))  # type: ignore[attr-defined]
            hosts.ended(ticket, result(ticket, requests=2, since_last=0.0), now)
        else:
            pytest.fail("nothing is on its way, and nothing can begin")
    assert seen == dict.fromkeys(range(sum(counts)), 1)


def test_one_host_alone_is_shared_by_all_slots() -> None:
    hosts = hosts_of([1000], HostLimits(8, 10.0))
    leases = [ticket.lease for _ in range(4) if (ticket := hosts.next(0.0, 4))]
    assert [lease.connections for lease in leases] == [2, 2, 2, 2]
    assert [lease.requests_per_second for lease in leases] == pytest.approx(
        [1.9] * 4
    )  # 2 each, with a margin


def test_a_share_is_never_less_than_one_connection_and_one_request_a_second() -> None:
    hosts = hosts_of([1000], HostLimits(2, 3.0))
    leases = [ticket.lease for _ in range(4) if (ticket := hosts.next(0.0, 4))]
    assert [lease.connections for lease in leases] == [1, 1]
    assert [lease.requests_per_second for lease in leases] == pytest.approx([0.95] * 2)


def test_many_hosts_are_worked_on_side_by_side_each_with_all_it_allows() -> None:
    hosts = hosts_of([100, 100], HostLimits(8))
    first, second = hosts.next(0.0, 2), hosts.next(0.0, 2)
    assert first and second
    assert {first.host, second.host} == {0, 1}
    assert [first.lease.connections, second.lease.connections] == [8, 8]


def test_a_host_with_fewer_connections_than_slots_has_no_more_batches_than_those() -> None:
    hosts = hosts_of([100], HostLimits(1))
    assert hosts.next(0.0, 4)
    assert hosts.next(0.0, 4) is None


def test_the_largest_come_first_after_those_of_unknown_size_and_large_ones_alone() -> None:
    weights = [5, 300 * MIB, 0, 40 * MIB, 30 * MIB, 7]
    hosts, taken = Hosts(HostLimits(8), weights), []
    hosts.add(range(len(weights)))
    while ticket := hosts.next(0.0, 1):
        taken.append(ticket.indexes)
        hosts.ended(ticket, result(ticket), 0.0)
    assert [index for batch in taken for index in batch] == [2, 1, 3, 4, 5, 0]
    assert all(sum(weights[index] for index in batch) <= 64 * MIB for batch in taken if len(batch) > 1)


@pytest.mark.parametrize(
    ("weights", "first"),
    [
        ([0] * 39 + [30 * MIB] * 125, 39),  # nobody knows what they weigh: something
        ([32 * MIB] * 8, 2),
        ([32 * MIB + 1] * 8, 1),
    ],
)
def test_a_batch_weighs_no_more_than_a_worker_may_be_away_for(weights: list[int], first: int) -> None:
    hosts = Hosts(HostLimits(8), weights)
    hosts.add(range(len(weights)))
    ticket = hosts.next(0.0, 1)
    assert ticket
    assert ticket.indexes == [*range(first)]


def test_batches_become_smaller_towards_the_end() -> None:
    hosts, sizes = hosts_of([200], HostLimits(8)), []
    while ticket := hosts.next(0.0, 2):
        sizes.append(len(ticket.indexes))
        hosts.ended(ticket, result(ticket), 0.0)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1


def test_the_next_lease_waits_as_if_the_last_one_went_on() -> None:
    hosts = hosts_of([2], HostLimits(1, 1.0))
    first = hosts.next(100.0, 1)
    assert first
    hosts.ended(first, result(first, requests=2, since_last=0.25), 101.0)
    second = hosts.next(101.0, 1)
    assert second
    assert second.lease.wait == pytest.approx(1 / 0.95 - 0.25)


def test_after_a_worker_s_death_its_last_request_may_have_been_just_now() -> None:
    hosts = hosts_of([2], HostLimits(1, 1.0))
    first = hosts.next(100.0, 1)
    assert first
    hosts.ended(first, None, 101.0)
    second = hosts.next(101.0, 1)
    assert second
    assert second.lease.wait == pytest.approx(1 / 0.95)


def test_a_host_that_asks_for_it_is_left_alone_and_no_other_is() -> None:
    hosts = hosts_of([10, 10], HostLimits(8))
    first, other = hosts.next(0.0, 2), hosts.next(0.0, 2)
    assert first and other
    hosts.ended(first, result(first, requests=1, pause=60.0), 1.0)
    hosts.ended(other, result(other), 1.0)
    again = hosts.next(1.0, 2)
    assert again
    assert again.host == other.host
    hosts.ended(again, result(again), 1.0)
    assert hosts.wake(1.0) == 61.0
    hosts.again(first.host, first.indexes[0], 0.0)
    assert {ticket.host for _ in range(4) if (ticket := hosts.next(61.0, 4))} == {0, 1}


def test_what_is_to_be_tried_again_waits_for_its_time() -> None:
    hosts = hosts_of([1], HostLimits(8))
    ticket = hosts.next(0.0, 1)
    assert ticket
    hosts.ended(ticket, BatchResult(number=1, outcomes=[], again=[Retry(index=0)]), 0.0)
    hosts.again(0, ticket.indexes[0], 30.0)
    assert hosts.next(0.0, 1) is None
    assert (hosts.wake(0.0), hosts.left) == (30.0, 1)
    assert hosts.next(30.0, 1)
    assert hosts.left == 0


def test_those_that_are_tried_again_are_taken_once_their_time_has_come_before_all_others() -> None:
    hosts = hosts_of([40], HostLimits(8))
    hosts.again(0, 7, 30.0)
    hosts.again(0, 9, 20.0)
    hosts.again(0, 8, 60.0)
    early = hosts.next(0.0, 1)
    assert early
    hosts.ended(early, result(early), 0.0)
    late = hosts.next(30.0, 1)
    assert late
    assert early.indexes == [*range(11)]
    assert late.indexes == [9, 7, *range(11, 17)]
    assert hosts.left == 43 - 11 - 8


def test_a_suspect_has_a_batch_of_its_own() -> None:
    hosts = hosts_of([30], HostLimits(8))
    ticket = hosts.next(0.0, 1)
    assert ticket
    assert len(ticket.indexes) > 1
    hosts.ended(ticket, None, 0.0)
    for index in ticket.indexes:
        hosts.again(0, index, 0.0, alone=True)
    assert hosts.left == 30
    for index in ticket.indexes:
        suspect = hosts.next(0.0, 1)
        assert suspect
        assert suspect.indexes == [index]
        hosts.ended(suspect, result(suspect), 0.0)
    others = hosts.next(0.0, 1)
    assert others
    assert len(others.indexes) > 1


def test_a_suspect_that_is_all_that_is_left_has_its_turn() -> None:
    hosts = hosts_of([1], HostLimits(8))
    ticket = hosts.next(0.0, 1)
    assert ticket
    hosts.ended(ticket, None, 0.0)
    hosts.again(0, 0, 0.0, alone=True)
    again = hosts.next(0.0, 1)
    assert again
    assert again.indexes == [0]


def test_slots_go_to_the_host_with_the_fewest_batches_and_then_to_the_one_with_most_left() -> None:
    hosts = hosts_of([50, 100, 75], HostLimits(8))
    chosen = [ticket.host for _ in range(6) if (ticket := hosts.next(0.0, 6))]
    assert chosen == [1, 2, 0, 1, 2, 0]


def test_a_host_s_share_counts_those_that_are_at_work_and_none_that_is_done() -> None:
    hosts = hosts_of([1, 100], HostLimits(8))
    small, large = hosts.next(0.0, 1), None
    assert small
    if small.host == 1:
        small, large = hosts.next(0.0, 1), small
    assert small
    assert small.host == 0
    if large:
        hosts.ended(large, result(large), 0.0)
    shared = hosts.next(0.0, 4)  # 4 slots for two hosts: the small one's last batch is on its way
    assert shared
    assert shared.lease.connections == 4
    hosts.ended(shared, result(shared), 0.0)
    hosts.ended(small, result(small), 0.0)
    own = hosts.next(0.0, 4)
    assert own
    assert own.lease.connections == 2


def test_what_is_left_makes_four_batches_for_each_slot() -> None:
    hosts = hosts_of([120], HostLimits(8))
    ticket = hosts.next(0.0, 3)
    assert ticket
    assert len(ticket.indexes) == 10


def test_the_first_host_that_may_be_asked_again_wakes() -> None:
    hosts = hosts_of([10, 10, 1], HostLimits(8))
    for host, pause in ((0, 60.0), (1, 30.0), (2, 10.0)):
        ticket = hosts.next(0.0, 1)
        assert ticket
        assert ticket.host == host
        hosts.ended(ticket, result(ticket, requests=1, pause=pause), 0.0)
    assert hosts.wake(0.0) == 30.0, "nobody waits for the third"


def test_a_try_that_is_lost_or_tells_nothing_leaves_room_for_another() -> None:
    hosts = Hosts(HostLimits(8, pauses=(10.0, 20.0)), [1] * 100)
    hosts.add(range(100))
    ticket = hosts.next(0.0, 1)
    assert ticket
    hosts.ended(ticket, result(ticket, "unreachable"), 0.0)
    for told in (None, BatchResult(number=1, outcomes=[], again=[Retry(index=0)])):
        probe = hosts.next(10.0, 1)
        assert probe
        assert len(probe.indexes) == 1
        hosts.ended(probe, told, 10.0)
    assert hosts.next(10.0, 1)


def in_turn(hosts: Hosts, *results: list[Verdict]) -> bool:
    """Whether the only host of many repositories is still asked after batches that ended so."""
    for verdicts in results:
        ticket = hosts.next(0.0, 1)
        assert ticket
        made = BatchResult(number=1, outcomes=[outcome(verdict) for verdict in verdicts])
        hosts.ended(ticket, made, 0.0)
    return hosts.next(0.0, 1) is not None


def test_misses_in_a_row_are_counted_over_batches() -> None:
    def host() -> Hosts:
        return hosts_of([1000], HostLimits(8))

    missed: Verdict = "unreachable"
    assert in_turn(host(), [missed] * 4)
    assert not in_turn(host(), [missed] * 4, [missed])
    assert in_turn(host(), [missed] * 4, ["gone"], [missed] * 4)
    assert in_turn(host(), [missed] * 4, ["new", missed], [missed] * 3)
    assert not in_turn(host(), [missed] * 4, ["new", missed], [missed] * 4)
    assert in_turn(host(), *[["new"]] * 9, [missed] * 4)


def test_whoever_is_given_up_is_given_up_with_all_that_waits() -> None:
    weights = [40 * MIB] * 8
    hosts = Hosts(HostLimits(8, pauses=(10.0,)), weights)
    hosts.add(range(8))
    hosts.add([])
    assert list(hosts.given_up(0.0)) == []
    ticket = hosts.next(0.0, 1)
    assert ticket
    hosts.ended(ticket, result(ticket, "unreachable"), 0.0)
    hosts.again(0, ticket.indexes[0], 1e9)
    for _ in range(4):  # as many as trip it, each alone for its weight
        ticket = hosts.next(0.0, 1)
        assert ticket
        hosts.ended(ticket, result(ticket, "unreachable"), 0.0)
        hosts.again(0, ticket.indexes[0], 0.0, alone=True)
    assert list(hosts.given_up(0.0)) == []
    probe = hosts.next(10.0, 1)
    assert probe
    hosts.ended(probe, result(probe, "unreachable"), 10.0)
    left = {*range(8)} - {*probe.indexes}
    assert sorted(hosts.given_up(10.0)) == [(0, index) for index in sorted(left)]
    assert hosts.left == 0
    assert list(hosts.given_up(10.0)) == []


def test_a_host_that_is_down_is_tried_by_one_and_at_last_given_up() -> None:
    hosts = Hosts(HostLimits(8, pauses=(10.0, 20.0)), [1] * 100)
    hosts.add(range(100))
    hosts.add([])
    ticket, now = hosts.next(0.0, 1), 0.0
    assert ticket
    hosts.ended(ticket, result(ticket, "unreachable"), now)
    left = hosts.left
    for _ in range(2):
        assert hosts.next(now, 1) is None
        wake = hosts.wake(now)
        assert wake
        now = wake
        probe = hosts.next(now, 1)
        assert probe
        assert len(probe.indexes) == 1
        assert hosts.next(now, 2) is None
        hosts.ended(probe, result(probe, "unreachable"), now)
    assert len(list(hosts.given_up(now))) == left - 2
    assert (hosts.left, hosts.wake(now), hosts.next(math.inf, 1)) == (0, None, None)


def test_a_host_that_asks_for_days_is_asked_again_after_some_minutes() -> None:
    hosts = hosts_of([100], HostLimits(8))
    ticket = hosts.next(0.0, 1)
    assert ticket
    hosts.ended(ticket, result(ticket, requests=1, pause=1e6), 0.0)
    assert hosts.wake(0.0) == 900.0


def test_a_host_that_limits_requests_is_as_one_that_is_down() -> None:
    hosts = hosts_of([100], HostLimits(8))
    ticket = hosts.next(0.0, 1)
    assert ticket
    busy = structs.replace(outcome("over-quota"), trouble=Trouble(code="origin-http", message="429"))
    hosts.ended(ticket, BatchResult(number=1, outcomes=[busy] * len(ticket.indexes)), 0.0)
    assert hosts.next(0.0, 1) is None


def test_a_host_of_which_some_are_reached_is_not_down() -> None:
    hosts = hosts_of([100], HostLimits(8))
    ticket = hosts.next(0.0, 1)
    assert ticket
    verdicts: list[Verdict] = ["unreachable"] * (len(ticket.indexes) - 1) + ["gone"]
    hosts.ended(ticket, BatchResult(number=1, outcomes=[outcome(verdict) for verdict in verdicts]), 0.0)
    assert hosts.next(0.0, 1)


def test_a_repository_that_stalls_at_each_try_closes_no_host() -> None:
    hosts = Hosts(HostLimits(8, pauses=(10.0, 20.0)), [1] * 4)
    hosts.add(range(4))
    now = 0.0
    for tries in range(
        1, 9
    ):  # four of them in turn, again and again: no more than four repositories miss the host
        ticket = hosts.next(now, 99)
        assert ticket, f"the host was closed after {tries} tries"
        retry = Retry(index=0, outcome=structs.replace(outcome("unreachable"), attempts=tries))
        hosts.ended(ticket, BatchResult(number=1, outcomes=[], again=[retry], requests=1), now)
        hosts.again(ticket.host, ticket.indexes[0], now + 1.0)
        now += 1.0
    assert hosts.left == 4


def test_whether_a_host_is_up_again_is_tried_by_one_that_has_not_missed_it() -> None:
    hosts = Hosts(HostLimits(8, pauses=(10.0, 20.0)), [1] * 8)
    hosts.add(range(8))
    missed = []
    for _ in range(5):
        ticket = hosts.next(0.0, 99)
        assert ticket
        retry = Retry(index=0, outcome=outcome("unreachable"))
        hosts.ended(ticket, BatchResult(number=1, outcomes=[], again=[retry]), 0.0)
        missed += ticket.indexes
        hosts.again(0, ticket.indexes[0], 5.0)
    assert hosts.next(5.0, 1) is None, "five of five could not reach it"
    for index in (5, 6):  # and what was not begun waits among those that are tried again
        probe = hosts.next(10.0, 1)
        assert probe
        assert probe.indexes[0] not in missed, index
        hosts.ended(probe, BatchResult(number=1, outcomes=[], again=[Retry(index=0)]), 10.0)
        hosts.again(0, probe.indexes[0], 10.0)


def test_a_batch_has_fifty_at_most_however_many_are_left() -> None:
    ticket = hosts_of([10_000], HostLimits(8)).next(0.0, 2)
    assert ticket
    assert len(ticket.indexes) == 50


def test_workers_that_take_several_at_once_get_so_many_while_each_has_a_share() -> None:
    hosts = Hosts(HostLimits(100), [1] * 40, together=8)
    hosts.add(range(40))
    sizes = []
    while ticket := hosts.next(0.0, 2):
        sizes.append(len(ticket.indexes))
        hosts.ended(ticket, result(ticket), 0.0)
    assert sizes == [8, 8, 8, 8, 4, 2, 1, 1]


def test_a_host_waits_while_it_is_down_or_asks_to_be_left_alone() -> None:
    hosts = hosts_of([100, 100], HostLimits(8, pauses=(10.0,)), weight=3)
    assert (hosts.load(1), hosts.weight(0)) == ((100, 300), 3)
    first, second = hosts.next(0.0, 2), hosts.next(0.0, 2)
    assert first and second
    assert not hosts.waits(first.host, 0.0) and not hosts.waits(second.host, 0.0)
    hosts.ended(first, result(first, requests=1, pause=60.0), 0.0)
    hosts.ended(second, result(second, "unreachable"), 0.0)
    assert (hosts.waits(first.host, 59.0), hosts.waits(first.host, 60.0)) == (True, False)
    assert hosts.waits(second.host, 9.0) and hosts.waits(second.host, 10.0), "down until a try says otherwise"
