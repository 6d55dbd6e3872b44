"""Several origins of a job at once: that they are, what each costs the others, and what all of them may cost."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import pytest

from githost import GitHost
from snapshotter.archive.sealed import Sealed
from snapshotter.base import kept_threads
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Terminated
from snapshotter.base.observer import Observer
from snapshotter.base.settings import Settings
from snapshotter.capture import plan as plans
from snapshotter.fleet.at_once import IN_TURN, AtOnce, SharedPlan
from snapshotter.git.origin_parsing import parse
from tests.fleet.test_run import in_order, round_of
from tests.support.git import Origin

PATIENCE = 60.0  # seconds after which a test that hangs fails
NAMES = ("a.git", "b.git", "c.git", "d.git")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    for name in NAMES:
        Origin(tmp_path / "served" / name).commit()
    with GitHost(tmp_path / "served") as host:
        yield host


def of(request: str) -> str:
    """The repository that a request is about."""
    return request.split("/")[1]


def test_two_origins_are_under_way_at_once(host: GitHost, tmp_path: Path) -> None:
    together, met = threading.Barrier(2), set[str]()

    def meet(request: str) -> None:
        if of(request) not in met:
            met.add(of(request))
            together.wait(PATIENCE)

    host.fault = meet
    results = list(round_of(tmp_path, Cancel(), at_once=2).take_each([host.url(name) for name in NAMES[:2]]))
    assert [result.error for _, result in results] == [None, None]
    assert not together.broken


def test_a_job_goes_on_with_the_threads_that_it_got(
    host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, start = iter([True, False]), kept_threads.started  # the second is refused

    def refusing(work: Callable[[], object]) -> Future[object]:
        if next(given, True):
            return start(work)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(kept_threads, "started", refusing)
    urls = [host.url(name) for name in NAMES]
    results = in_order(round_of(tmp_path, Cancel(), at_once=3).take_each(urls))
    assert [(result.origin, result.error) for result in results] == [(url, None) for url in urls]


def test_one_at_once_means_one_after_the_other(host: GitHost, tmp_path: Path) -> None:
    told: list[str] = []

    def begun(origin: str) -> Observer:
        told.append(f"begun {origin}")
        return Observer()

    def ended(sealed: Sealed) -> None:
        told.append(f"ended {sealed.manifest.origin}")

    urls = [host.url(name) for name in NAMES]
    results = list(round_of(tmp_path, Cancel(), ended, told=begun).take_each(urls))
    assert [index for index, _ in results] == [0, 1, 2, 3]
    assert told == [f"{what} {url}" for url in urls for what in ("begun", "ended")]


def test_an_origin_that_hangs_costs_the_others_nothing_but_its_slot(host: GitHost, tmp_path: Path) -> None:
    released = threading.Event()

    def hang(request: str) -> None:
        if of(request) == NAMES[0]:
            released.wait(PATIENCE)

    host.fault = hang
    urls = [host.url(name) for name in NAMES]
    results = round_of(tmp_path, Cancel(), at_once=2).take_each([*urls, f"{urls[0]}/"])
    first = [next(results) for _ in range(4)]
    assert sorted(index for index, _ in first) == [1, 2, 3, 4]
    twice = dict(first)[4].error
    assert twice is not None
    assert twice.message == f"the job names this origin twice; the first time as {urls[0]}"
    released.set()
    assert [(index, result.error) for index, result in results] == [(0, None)]


def test_a_cancellation_ends_those_under_way_and_the_others_are_never_asked(
    host: GitHost, tmp_path: Path
) -> None:
    cancel, ended, asked = Cancel(), threading.Event(), set[str]()
    together = threading.Barrier(2, action=lambda: cancel.cancel(Terminated("stopped by SIGTERM")))

    def hang(request: str) -> None:
        asked.add(of(request))
        with suppress(threading.BrokenBarrierError):
            together.wait(PATIENCE)
        ended.wait(PATIENCE)

    host.fault = hang
    urls = [host.url(name) for name in NAMES]
    results = in_order(round_of(tmp_path, cancel, at_once=2).take_each(urls))
    ended.set()
    assert [type(result.error) for result in results] == [Terminated] * 4
    assert [result.origin for result in results] == urls
    assert asked == set(NAMES[:2])


def plan(**settings: str) -> plans.Plan:
    return plans.make(Settings(settings), plans.RequestedOptions(scan=False), {})


CANCELLED = Cancel()
CANCELLED.cancel()


def fitting(rooms: Iterable[AbstractContextManager[object]]) -> list[bool]:
    """Which of them there is room for, one after the other: who waits is cancelled."""
    with ExitStack() as stack:
        found = []
        for room in rooms:
            try:
                stack.enter_context(room)
                found.append(True)
            except Interrupted:
                found.append(False)
        return found


def test_origins_of_one_host_share_its_connections_and_all_share_the_memory_for_packs() -> None:
    in_force = plan(SNAPSHOTTER_SEGMENT_SIZE="1MiB", SNAPSHOTTER_UPLOADS="1")
    shared = SharedPlan(in_force, AtOnce(4, connections=2, memory=9 << 20), CANCELLED)
    one, two, other, local = (
        shared.of(parse(text)) for text in ("https://h/a", "https://h:443/b", "https://h:444/c", "/d")
    )
    assert one.connect.turns is two.connect.turns
    assert other.connect.turns is not one.connect.turns
    assert one.connect.credentials is in_force.connect.credentials
    assert local.connect is in_force.connect
    for _ in range(2):
        one.connect.turns.begin(Cancel())
    waiting = Cancel()
    threading.Timer(0.1, waiting.cancel, [Terminated("stopped by SIGTERM")]).start()
    with pytest.raises(Terminated):
        two.connect.turns.begin(waiting)
    assert fitting(each.options.room for each in (one, other, local)) == [True, True, False]


def test_a_pack_that_is_larger_than_the_memory_for_all_goes_alone() -> None:
    room = SharedPlan(plan(), AtOnce(4, memory=1), CANCELLED).of(parse("/x")).options.room
    assert fitting([room, room]) == [True, False]


def test_eight_packs_with_their_lfs_objects_have_room_at_once_by_default() -> None:
    at_once, in_force = AtOnce.of(Settings({}), 8), plan()
    assert in_force.options.held_bytes == 4 * (16 << 20)
    room = SharedPlan(in_force, at_once, CANCELLED).of(parse("/x")).options.room
    assert fitting([room] * 9) == [True] * 8 + [False]


def test_one_origin_after_the_other_has_the_plan_as_it_is() -> None:
    in_force = plan()
    assert SharedPlan(in_force, IN_TURN, Cancel()).of(parse("https://h/a")) is in_force


def test_no_more_origins_are_taken_at_once_than_there_are() -> None:
    assert AtOnce.of(Settings({}), 2).origins == 2
    assert AtOnce.of(Settings({}), 50).origins == 8
    assert AtOnce.of(Settings({"SNAPSHOTTER_JOB_ORIGINS": "1"}), 50) == IN_TURN


def test_engines_that_nobody_needs_are_not_loaded() -> None:
    program = (
        "import sys\nfrom snapshotter.scan.late_engines import LateEngines\n"
        "with LateEngines() as engines:\n    assert 'duckdb' not in sys.modules\n"
        "    with engines.lent() as one: pass\n    with engines.lent() as two: assert one is two\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
