"""A host's breaker: it opens on misses in a row, lets one try after each pause, and gives up after the last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snapshotter.fleet.breaker import Breaker


def test_it_opens_after_so_many_misses_in_a_row_and_closes_at_a_success() -> None:
    breaker = Breaker(3, (10.0,))
    breaker.missed(0.0, 2)
    assert breaker.state(0.0) == "closed"
    breaker.reached()
    breaker.missed(0.0, 2)
    assert breaker.state(0.0) == "closed"
    breaker.missed(5.0)
    assert (breaker.state(5.0), breaker.until) == ("open", 15.0)
    assert breaker.state(15.0) == "trying"
    breaker.try_one()
    assert breaker.state(16.0) == "open"  # one tries already
    breaker.reached()
    assert breaker.state(16.0) == "closed"
    breaker.missed(20.0, 3)
    assert breaker.state(30.0) == "trying", "no try is under way any more"


def test_each_try_in_vain_makes_the_pause_longer_and_the_last_one_gives_up() -> None:
    breaker, now, waited = Breaker(1, (1.0, 2.0, 4.0)), 0.0, []
    breaker.missed(now)
    while breaker.state(now) != "given-up":
        waited.append(breaker.until - now)
        now = breaker.until
        assert breaker.state(now) == "trying"
        breaker.try_one()
        breaker.missed(now)
    assert waited == [1.0, 2.0, 4.0]


def test_what_was_on_its_way_when_it_opened_makes_nothing_worse() -> None:
    breaker = Breaker(1, (10.0, 20.0))
    breaker.missed(0.0)
    breaker.missed(1.0, 50)
    assert breaker.until == 10.0
    breaker.reached()  # but it may make it better
    assert breaker.state(1.0) == "closed"


def test_a_try_that_told_nothing_leaves_room_for_another() -> None:
    breaker = Breaker(1, (1.0,))
    breaker.missed(0.0)
    breaker.try_one()
    breaker.unknown()
    assert breaker.state(1.0) == "trying"


@given(st.lists(st.sampled_from(["miss", "reach", "try", "wait"]), max_size=60))
def test_only_misses_open_it_and_only_one_tries_at_a_time(steps: list[str]) -> None:
    breaker, now, misses, trying = Breaker(3, (5.0, 5.0)), 0.0, 0, False
    for step in steps:
        state = breaker.state(now)
        if step == "try" and state == "trying":
            assert not trying
            breaker.try_one()
            trying = True
        elif step == "miss" and state in ("closed", "trying", "open"):
            breaker.missed(now)
            misses, trying = misses + 1, False
        elif step == "reach":
            breaker.reached()
            misses, trying = 0, False
        else:
            now += 5.0
        if misses < 3:
            assert breaker.state(now) == "closed"
