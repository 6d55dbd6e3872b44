"""How many scans of one process are under way, and which processes analyse their source."""

import threading
from contextlib import ExitStack

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.scan.scan_turns import ScanTurn, ScanTurns
from snapshotter.scan.symbols.records import Analysis
from snapshotter.scan.symbols.routing import QueuedBlob
from snapshotter.scan.symbols.shared_workers import SharedWorkers
from snapshotter.scan.symbols.workers import Workers

BYTES = 17 << 20


def is_blocked(turn: ScanTurn) -> bool:
    """Whether the scan waits until it may be large: then another thread would, too, and is told to stop."""
    cancel, told = Cancel(), threading.Event()

    def weigh() -> None:
        try:
            turn.weigh(cancel, more=BYTES)
        except Interrupted:
            told.set()

    thread = threading.Thread(target=weigh, daemon=True)
    thread.start()
    thread.join(0.2)
    waits = thread.is_alive()
    cancel.cancel(Interrupted("interrupted"))
    thread.join(30)
    assert not thread.is_alive(), "a cancellation ends the wait"
    assert told.is_set() == waits
    return waits


def test_many_small_scans_are_under_way_and_few_large_ones() -> None:
    turns = ScanTurns(4, 2)
    with ExitStack() as stack:
        first, second, third, fourth = (stack.enter_context(turns.one()) for _ in range(4))
        for small in (first, second, third, fourth):
            small.weigh(Cancel(), more=1 << 20, paths=1000)
        first.weigh(Cancel(), more=BYTES)
        first.weigh(Cancel(), more=BYTES)  # it is large already
        second.weigh(Cancel(), paths=5_000)
        assert is_blocked(third)
        first.__exit__()
        assert not is_blocked(fourth), "the place of the first"


def test_a_scan_is_large_by_all_that_it_was_told() -> None:
    turns = ScanTurns(2, 1)
    with turns.one() as first, turns.one() as second:
        for _ in range(2):
            first.weigh(Cancel(), more=BYTES // 2 + 1, paths=2_000)
        assert is_blocked(second)
    with turns.one() as first, turns.one() as second:
        for _ in range(3):
            first.weigh(Cancel(), paths=2_000)
        assert is_blocked(second)


def test_no_more_scans_than_may_be_are_under_way() -> None:
    turns, begun = ScanTurns(1, 1), threading.Event()

    def scan() -> None:
        with turns.one():
            begun.set()

    with turns.one():
        other = threading.Thread(target=scan)
        other.start()
        assert not begun.wait(0.2)
    other.join()
    assert begun.is_set()


def analysed(workers: Workers) -> list[Analysis]:
    blob = QueuedBlob("a", "Python", 10)
    return [analysis for _, analysis in workers.analyze([blob], lambda _: b"def f(): pass\n")]


def test_sets_that_are_to_be_used_from_the_beginning_are() -> None:
    impatient = Cancel()
    with SharedWorkers(2, 1, used=2) as shared, shared.turn(Cancel()) as first:
        threading.Timer(2.0, impatient.cancel, [Interrupted("waited")]).start()  # less than others wait
        with shared.turn(impatient) as second:
            assert second is not first


def test_scans_share_the_processes_that_run_and_start_others_only_where_those_are_busy() -> None:
    with SharedWorkers(2, 1) as shared:
        with shared.turn(Cancel()) as first:
            assert [symbol.name for one in analysed(first) for symbol in one.symbols] == ["f"]
        with shared.turn(Cancel()) as again:
            assert again is first
            with shared.turn(Cancel()) as second:
                assert second is not first
                assert not second.pids
                assert [symbol.name for one in analysed(second) for symbol in one.symbols] == ["f"]
                cancel = Cancel()
                threading.Timer(0.1, cancel.cancel, [Interrupted("interrupted")]).start()
                with pytest.raises(Interrupted), shared.turn(cancel):
                    pytest.fail("both are busy")
        pids = first.pids + second.pids
        assert len(pids) == 2
    assert not first.pids
    assert not second.pids
