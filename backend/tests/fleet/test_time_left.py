"""The time that is left of a run: told once it is known, by what is slowest, and not before."""

from __future__ import annotations

import pytest

from snapshotter.fleet.time_left import Load, TimeLeft

MIB = 1 << 20


def test_nothing_is_told_before_enough_is_done() -> None:
    left = TimeLeft(Load(1000, 1000 * MIB), 0.0)
    left.sent(0, Load(1000, 1000 * MIB), 0.0)
    assert left.seconds(5.0) is None
    left.done(0, Load(19, 19 * MIB))
    assert left.seconds(10.0) is None
    left.done(0, Load(1, MIB))
    assert left.seconds(20.0) == pytest.approx(980)


def test_of_few_a_tenth_is_enough() -> None:
    left = TimeLeft(Load(8, 8), 0.0)
    left.sent(0, Load(8, 8), 0.0)
    left.done(0, Load(1, 1))
    assert left.seconds(1.0) == pytest.approx(7)


def test_while_the_largest_are_at_work_nobody_can_tell() -> None:
    total = Load(1000, 1000 * MIB)
    left = TimeLeft(total, 0.0)
    left.sent(0, total, 0.0)
    left.done(0, Load(20, 800 * MIB))  # 4,900 s by their number, 25 s by their bytes
    assert left.seconds(100.0) is None
    left.done(0, Load(680, 100 * MIB))  # 86 s, or 22 s: nobody knows
    assert left.seconds(200.0) is None
    left.done(0, Load(280, 98 * MIB))  # 6 s, or 1 s: it is nearly over
    assert left.seconds(300.0) == pytest.approx(300 * 20 / 980)


def test_the_slowest_host_is_what_a_run_waits_for() -> None:
    left = TimeLeft(Load(1000, 1000), 0.0)
    left.sent(0, Load(900, 900), 0.0)
    left.sent(1, Load(100, 100), 0.0)
    left.done(0, Load(810, 810))
    assert left.seconds(90.0) is None, "of the other host nothing is known"
    left.done(1, Load(10, 10))
    assert left.seconds(90.0) == pytest.approx(810)
    left.done(1, Load(90, 90))
    assert left.seconds(91.0) == pytest.approx(91 / 9)
    assert list(left.hosts) == [0]


def test_a_host_counts_from_when_its_own_work_began() -> None:
    left = TimeLeft(Load(200, 200), 0.0)
    left.sent(0, Load(100, 100), 0.0)
    left.done(0, Load(100, 100))
    left.sent(1, Load(100, 100), 100.0)
    left.sent(1, Load(100, 100), 105.0)
    left.done(1, Load(50, 50))
    assert left.seconds(110.0) == pytest.approx(110 / 3)
