"""The same work on many things at once: what comes of it, and what ends it without a wait."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable
from snapshotter.base.room import Room, Stay
from snapshotter.base.side_by_side import side_by_side
from tests.support.batches import until


class Gate:
    """Work that is held until the gate opens, unless the thing is what `fails` or is `quick`."""

    def __init__(self, fails: int | None = None) -> None:
        self.fails = fails
        self.came, self.opened = threading.Semaphore(0), threading.Event()
        self.cancels: list[Cancel] = []
        self.done: list[int] = []

    def __call__(self, thing: int, cancel: Cancel) -> int:
        self.cancels.append(cancel)
        if thing == self.fails:
            assert self.came.acquire(timeout=60)  # another is held by now
            raise Unavailable(f"{thing} failed")
        self.came.release()
        assert self.opened.wait(60)
        self.done.append(thing)
        return thing


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_results_come_in_the_order_of_the_things(at_once: int) -> None:
    assert side_by_side(lambda thing, _: thing * thing, range(50), at_once, Cancel()) == [
        n * n for n in range(50)
    ]
    assert side_by_side(lambda thing, _: thing, (), at_once, Cancel()) == []


def test_so_many_are_worked_on_at_once_and_no_more() -> None:
    meeting, most, at_work = threading.Barrier(3, timeout=60), 0, 0
    lock = threading.Lock()

    def work(thing: int, cancel: Cancel) -> None:
        nonlocal most, at_work
        with lock:
            at_work += 1
            most = max(most, at_work)
        meeting.wait()
        with lock:
            at_work -= 1

    side_by_side(work, range(9), 3, Cancel())
    assert most == 3


def test_a_cancellation_ends_it_without_what_is_held() -> None:
    gate, cancel = Gate(), Cancel()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(side_by_side, gate, range(9), 2, cancel)
        try:
            assert gate.came.acquire(timeout=60) and gate.came.acquire(timeout=60)
            cancel.cancel(Unavailable("no time is left"))
            with pytest.raises(Unavailable, match="no time is left"):
                working.result(60)
            assert gate.done == []
        finally:
            gate.opened.set()
    until(lambda: len(gate.done) == 2)
    assert all(each.cancelled for each in gate.cancels) and len(gate.cancels) == 2, "no other is begun"


def test_the_first_error_ends_it_without_what_is_held() -> None:
    gate = Gate(fails=1)
    try:
        with pytest.raises(Unavailable, match="1 failed"):
            side_by_side(gate, range(9), 2, Cancel())
        assert gate.done == []
    finally:
        gate.opened.set()
    until(lambda: gate.done == [0])
    assert all(each.cancelled for each in gate.cancels) and len(gate.cancels) == 2, "no other is begun"


def test_the_error_that_ended_it_is_told_and_not_those_that_it_led_to() -> None:
    def work(thing: int, cancel: Cancel) -> None:
        if thing:
            raise KeyError(thing)
        cancel.sleep(60)

    with pytest.raises(KeyError, match="1"):
        side_by_side(work, [0, 1], 2, Cancel(), Stay())


def test_what_is_cancelled_already_is_not_begun() -> None:
    cancel, gate = Cancel(), Gate()
    cancel.cancel()
    with pytest.raises(Interrupted):
        side_by_side(gate, range(9), 2, cancel)
    assert gate.cancels == []


def full(room: Room) -> bool:
    try:
        room.take(1)
    except Interrupted:
        return True
    room.give_back(1)
    return False


def test_with_a_stay_an_error_comes_once_nothing_is_under_way() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(thing: int, cancel: Cancel) -> None:
        if thing:
            assert begun.wait(60)
            raise Unavailable("it failed")
        begun.set()
        with pytest.raises(Interrupted):
            cancel.sleep(60)
        time.sleep(1)  # for longer than between two looks
        ended.set()

    with pytest.raises(Unavailable, match="it failed"):
        side_by_side(work, [0, 1], 2, Cancel(), Stay())
    assert ended.is_set()


def test_with_a_stay_what_a_cancellation_leaves_under_way_keeps_its_room() -> None:
    looks, cancel, gate = Cancel(), Cancel(), Gate()
    looks.cancel()  # who looks for room does not wait for it
    room = Room(1, looks)

    def work() -> None:
        with Stay(room.of(1)) as stay:
            side_by_side(gate, range(9), 2, cancel, stay)

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            assert gate.came.acquire(timeout=60)
            cancel.cancel()
            with pytest.raises(Interrupted):
                working.result(60)
            assert full(room)
        finally:
            gate.opened.set()
    until(lambda: not full(room))
