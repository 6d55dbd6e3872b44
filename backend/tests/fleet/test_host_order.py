"""The order of hosts: the best of those that may be asked, and no look at those about which nothing changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.fleet.host_order import HostOrder, Rank


class Facts:
    """What is true of hosts. Counts how often one is looked at."""

    def __init__(self, count: int) -> None:
        self.ranks: list[Rank | None] = [(0, -number) for number in range(count)]
        self.opens: list[float | None] = [None] * count
        self.looks = 0
        self.order = HostOrder()
        for _ in range(count):
            self.order.add()

    def at(self, now: float) -> Facts:
        """The same, when whatever opens until then has opened."""
        for number, time in enumerate(self.opens):
            if time is not None and time <= now:
                self.ranks[number], self.opens[number] = (0, -number), None
        return self

    def look(self, number: int) -> tuple[Rank | None, float | None]:
        """See Look."""
        self.looks += 1
        return self.ranks[number], self.opens[number]

    def change(self, number: int, rank: Rank | None, opens: float | None) -> None:
        """Something happened to a host."""
        self.ranks[number], self.opens[number] = rank, opens if rank is None else None
        self.order.changed(number)


changes = st.tuples(
    st.integers(0, 9),
    st.one_of(st.none(), st.tuples(st.integers(0, 3), st.integers(-5, 0))),
    st.integers(1, 9),
)


@given(st.lists(st.lists(changes, max_size=5), max_size=30))
def test_the_first_is_the_best_of_all_and_the_wake_the_soonest(
    steps: list[list[tuple[int, Rank | None, int]]],
) -> None:
    facts = Facts(10)
    for now, step in enumerate(steps):
        facts.at(now)
        for number, rank, after in step:
            facts.change(number, rank, now + after)
        first = facts.order.first(now, facts.look)
        best = min((rank for rank in facts.ranks if rank is not None), default=None)
        assert (facts.ranks[first] if first is not None else None) == best
        soonest = min((time for time in facts.opens if time is not None), default=None)
        wake = facts.order.wake(now, facts.look)
        assert (wake is None) == (soonest is None)
        assert wake is None or soonest is None or now < wake <= soonest


def test_of_a_thousand_hosts_only_those_that_changed_are_looked_at() -> None:
    facts = Facts(1000)
    assert facts.order.first(0.0, facts.look) == 999
    facts.looks = 0
    for number in range(500):
        facts.change(999 - number, (1, 0), None)
        assert facts.order.first(0.0, facts.look) == 998 - number
    assert facts.looks == 500


def test_a_host_that_was_to_open_and_opened_before_wakes_nobody() -> None:
    facts = Facts(1)
    facts.change(0, None, 5.0)
    assert facts.order.wake(0.0, facts.look) == 5.0
    facts.change(0, (0, 0), None)
    assert facts.order.wake(0.0, facts.look) is None
    assert facts.order.first(0.0, facts.look) == 0
