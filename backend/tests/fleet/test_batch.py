"""A batch in this process: its tasks over real HTTP, within its lease, and what it leaves for later."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import structs

from snapshotter.base import kept_threads
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.kept_threads import started
from snapshotter.base.settings import Settings
from snapshotter.base.unexpected import as_error
from snapshotter.capture.plan import RequestedOptions
from snapshotter.fleet.batch import run_batch
from snapshotter.fleet.engine import NoWorker
from snapshotter.fleet.outcome import Batch, Lease, LedgerRow, RepoOutcome, Task
from snapshotter.fleet.taking import Taking, failed_outcome
from snapshotter.fleet.workshop import Workshop, workshop
from snapshotter.git.origin_parsing import parse
from snapshotter.transport.turns import HostTurns
from tests.fleet.test_at_once import fitting
from tests.support.fleet_host import FleetHost


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FleetHost]:
    with FleetHost(tmp_path / "srv", {"quiet": 6, "growing": 1, "stalling": 1, "missing": 1}) as host:
        yield host


def settings(tmp_path: Path, **more: str) -> dict[str, str]:
    plain = {"SNAPSHOTTER_SCAN": "0", "SNAPSHOTTER_LFS": "none", "SNAPSHOTTER_STORE": str(tmp_path / "store")}
    return plain | more


def task(url: str, **more: object) -> Task:
    return Task(origin=url, repo=parse(url).repo, **more)  # type: ignore[arg-type]


def batch(tmp_path: Path, *tasks: Task, lease: Lease | None = None, **more: object) -> Batch:
    facts = {"settings": settings(tmp_path), "lease": lease or Lease(connections=4)} | more
    return Batch(number=1, host="h", tasks=list(tasks), **facts)  # type: ignore[arg-type]


def test_a_batch_keeps_within_its_lease(host: FleetHost, tmp_path: Path) -> None:
    tasks = [task(host.repo_url(name)) for name in host.having("quiet")]
    before = host.connections
    result = run_batch(batch(tmp_path, *tasks, lease=Lease(connections=2, requests_per_second=20, wait=0.3)))
    assert {outcome.verdict for outcome in result.outcomes} == {"new"}
    assert host.connections - before <= 2
    assert host.most_in_a_second() <= 20
    assert result.requests == len(host.requests) == sum(outcome.requests for outcome in result.outcomes)
    assert result.since_last is not None
    assert not result.again


@pytest.mark.parametrize(
    ("origin", "tasks", "connections", "scan", "threads"),
    [
        ("https://h.test/{}", 50, 3, False, 6),  # while one asks, another may wait for the store
        ("https://h.test/{}", 50, 3, True, 12),  # or for a search for secrets
        ("https://h.test/{}", 50, 40, True, 16),
        ("https://h.test/{}", 5, 3, False, 5),
        ("ssh://h.test/{}", 50, 6, False, 3),  # each may have a second child, beside that for the pack
        ("ssh://h.test/{}", 50, 1, False, 1),
    ],
)
def test_a_batch_has_as_many_threads_as_can_be_at_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    origin: str,
    tasks: int,
    connections: int,
    scan: bool,
    threads: int,
) -> None:
    begun: list[object] = []

    def counted(work: Callable[[], object]) -> Future[object]:
        begun.append(work)
        return started(work)

    monkeypatch.setattr(kept_threads, "started", counted)
    monkeypatch.setattr(
        Taking, "outcome", lambda _, each: (failed_outcome(each, Unavailable("no")), Unavailable("no"))
    )
    options = RequestedOptions(scan=scan)
    given = [task(origin.format(number), options=options, attempt=3) for number in range(tasks)]
    result = run_batch(batch(tmp_path, *given, lease=Lease(connections=connections)))
    assert len(result.outcomes) + len(result.again) == tasks
    assert len(begun) == threads


def refuse_threads(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """From the one after so many, as a limit of processes does."""
    given = iter(range(after))

    def refusing(work: Callable[[], object]) -> Future[object]:
        if next(given, None) is None:
            raise RuntimeError("can't start new thread")
        return started(work)

    monkeypatch.setattr(kept_threads, "started", refusing)


def test_a_batch_goes_on_with_the_threads_that_it_got(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_threads(monkeypatch, after=2)
    monkeypatch.setattr(Taking, "outcome", lambda _, each: (failed_outcome(each, Unavailable("no")), None))
    given = [task(f"https://h.test/{number}") for number in range(20)]
    result = run_batch(batch(tmp_path, *given))
    assert len(result.outcomes) == 20
    assert not result.again


@pytest.mark.parametrize("within", [False, True])
def test_a_batch_without_any_thread_blames_no_repository(
    host: FleetHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: bool
) -> None:
    """Neither where its own threads are refused, nor where one gets no other beside it."""
    refuse_threads(monkeypatch, after=1 if within else 0)
    tasks = [task(host.repo_url(name)) for name in host.having("quiet")]
    with pytest.raises(NoWorker, match="no further thread") as caught:
        run_batch(batch(tmp_path, *tasks))
    assert "ulimit -u" in caught.value.hint


def test_what_one_thread_is_refused_is_left_to_the_others_or_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = iter([True])

    def outcome(_: Taking, each: Task) -> tuple[RepoOutcome, SnapshotterError | None]:
        error = as_error(RuntimeError("can't start new thread")) if next(refused, False) else None
        return failed_outcome(each, error or Unavailable("no")), error

    monkeypatch.setattr(Taking, "outcome", outcome)
    given = [task(f"https://h.test/{number}") for number in range(8)]
    result = run_batch(batch(tmp_path, *given))
    assert len(result.outcomes) == 7
    assert [retry.outcome for retry in result.again] == [None]


def test_options_that_differ_open_no_connection_beside_those_of_the_lease(tmp_path: Path) -> None:
    with FleetHost(tmp_path / "srv", {"quiet": 24, "slow": 4}) as host:
        kinds = (
            RequestedOptions(),
            RequestedOptions(max_chain_age="30d"),
            RequestedOptions(idle_timeout="30s"),
            RequestedOptions(max_refs=1000),
        )
        tasks = [
            task(host.repo_url(name), options=kinds[number % 4]) for number, name in enumerate(host.names)
        ]
        result = run_batch(batch(tmp_path, *tasks, lease=Lease(connections=4)))
        assert {outcome.verdict for outcome in result.outcomes} == {"new"}
        assert host.most_at_once <= 4
        assert host.open_now == 0, "the next lease of the host may be another process's"


def test_no_connection_outlives_its_lease_whatever_became_of_its_repositories(tmp_path: Path) -> None:
    counts = {"quiet": 3, "shallow": 3, "broken": 3, "secret": 3, "vanishing": 3, "cut": 3}
    with FleetHost(tmp_path / "srv", counts) as host:
        gc.collect()
        gc.disable()  # what ends with an error is a circle, which is collected some time
        try:
            result = run_batch(batch(tmp_path, *(task(host.repo_url(name)) for name in host.names)))
            left = host.open_now
        finally:
            gc.enable()
        assert len(result.outcomes) + len(result.again) == len(host.names)
        assert left == 0


def test_rows_of_a_run_make_the_next_one_cheap(host: FleetHost, tmp_path: Path) -> None:
    tasks = [task(host.repo_url(name)) for name in host.having("quiet")]
    rows = {outcome.repo: outcome.ledger for outcome in run_batch(batch(tmp_path, *tasks)).outcomes}
    known = [structs.replace(each, last=rows[each.repo]) for each in tasks]
    again = run_batch(batch(tmp_path, *known, ledger_only=True)).outcomes
    assert {(each.verdict, each.wrote, each.requests) for each in again} == {("unchanged", False, 1)}
    for outcome in again:
        assert (outcome.run, outcome.ledger.manifest) == (rows[outcome.repo].run, rows[outcome.repo].manifest)
        assert outcome.ledger.good_at > rows[outcome.repo].good_at  # type: ignore[operator]


def test_a_failure_keeps_what_the_last_run_knew(host: FleetHost, tmp_path: Path) -> None:
    (url,) = map(host.repo_url, host.having("missing"))
    last = LedgerRow(
        repo=parse(url).repo, run="r", refs="x", bytes=7, good_run="r", verdict="new", failures=1
    )
    (outcome,) = run_batch(batch(tmp_path, task(url, last=last))).outcomes
    assert (outcome.verdict, outcome.run, outcome.good) == ("gone", "", False)
    assert outcome.ledger == structs.replace(last, verdict="gone", failures=2)


def test_a_wiki_without_a_page_is_empty_and_no_failure(host: FleetHost, tmp_path: Path) -> None:
    (url,) = map(host.repo_url, host.having("missing"))
    (outcome,) = run_batch(batch(tmp_path, task(url, optional=True))).outcomes
    assert (outcome.verdict, outcome.trouble) == ("empty", None)


def test_what_does_not_come_to_an_end_in_time_is_left_for_later(host: FleetHost, tmp_path: Path) -> None:
    names = host.having("stalling", "quiet")
    result = run_batch(batch(tmp_path, *(task(host.repo_url(name)) for name in names), seconds=4.0))
    (again,) = result.again
    assert names[again.index].startswith("stalling")
    assert again.outcome is None
    assert len(result.outcomes) == len(names) - 1


def test_of_a_host_that_is_down_most_are_not_asked(tmp_path: Path) -> None:
    tasks = [task(f"http://127.0.0.1:1/r{n}.git") for n in range(60)]
    result = run_batch(batch(tmp_path, *tasks))
    begun = [retry for retry in result.again if retry.outcome is not None]
    assert not result.outcomes
    assert len(result.again) == len(tasks)
    assert 5 <= len(begun) <= 16
    assert {each.outcome.verdict for each in begun if each.outcome} == {"unreachable"}


def test_the_last_try_is_the_outcome(tmp_path: Path) -> None:
    (outcome,) = run_batch(batch(tmp_path, task("http://127.0.0.1:1/r.git", attempt=3))).outcomes
    assert (outcome.verdict, outcome.attempts) == ("unreachable", 3)


def test_options_that_make_no_sense_are_their_own_repository_s_failure(
    host: FleetHost, tmp_path: Path
) -> None:
    good, bad = (host.repo_url(name) for name in host.having("quiet")[:2])
    wrong = RequestedOptions(segment_size="huge")
    outcomes = run_batch(batch(tmp_path, task(good), task(bad, options=wrong))).outcomes
    found = {outcome.origin: outcome for outcome in outcomes}
    assert (found[good].verdict, found[bad].verdict) == ("new", "failed")
    assert found[bad].trouble is not None
    assert "huge" in found[bad].trouble.message


def test_what_this_run_took_before_it_was_killed_is_not_taken_again(host: FleetHost, tmp_path: Path) -> None:
    (url,) = map(host.repo_url, host.having("growing"))
    (first,) = run_batch(batch(tmp_path, task(url))).outcomes
    host.requests.clear()
    (again,) = run_batch(batch(tmp_path, task(url, done_since=first.finished_at.replace(year=2020)))).outcomes
    assert (again.run, again.verdict, again.wrote, host.requests) == (first.run, "new", True, [])


@pytest.mark.parametrize("ledger_only", [False, True])
@pytest.mark.parametrize("what", ["growing", "empty"])
def test_a_batch_that_an_engine_has_done_twice_is_done_once(
    tmp_path: Path, what: str, ledger_only: bool
) -> None:
    with FleetHost(tmp_path / "srv", {what: 1}) as host:
        given = task(host.repo_url(f"{what}-0"))
        asked = structs.replace(batch(tmp_path, given), ledger_only=ledger_only, sent_at=datetime.now(UTC))
        first, second = (run_batch(asked).outcomes[0] for _ in range(2))
        assert (second.run, second.verdict, second.wrote) == (first.run, first.verdict, True)
        assert first.verdict == ("new" if what == "growing" else "empty")
        later = structs.replace(asked, sent_at=datetime.now(UTC))
        (unchanged,) = run_batch(later).outcomes
        assert unchanged.verdict == ("unchanged" if what == "growing" else "empty")
        assert (unchanged.run == first.run, unchanged.wrote) == (ledger_only, not ledger_only)
        if what == "growing":
            host.next_day()
            (grown,) = run_batch(later).outcomes
            assert (grown.kind, grown.verdict, grown.wrote) == ("increment", "new", True)


def test_labels_and_where_it_comes_from_are_kept(host: FleetHost, tmp_path: Path) -> None:
    (url,) = map(host.repo_url, host.having("growing"))
    given = task(url, labels={"team": "core"}, source="github h/o", path="o/x", id="7")
    (outcome,) = run_batch(batch(tmp_path, given)).outcomes
    assert (outcome.source, outcome.path, outcome.id) == ("github h/o", "o/x", "7")
    assert b'"labels":{"team":"core"}' in outcome.ledger.manifest


@pytest.mark.parametrize("allowed", ["0", "1"])
def test_plain_http_to_another_machine_is_allowed_by_its_setting_alone(tmp_path: Path, allowed: str) -> None:
    with workshop(settings(tmp_path, SNAPSHOTTER_ALLOW_HTTP=allowed)) as shop:
        plan = shop.plan(RequestedOptions(), {"a": "b"}, ledger_only=True)
    assert (plan.connect.allow_http, plan.options.changes_only) == (allowed == "1", True)
    assert plan.options.labels == {"a": "b"}


def test_packs_of_which_memory_has_room_for_one_come_one_after_the_other(
    host: FleetHost, tmp_path: Path
) -> None:
    values = settings(tmp_path, SNAPSHOTTER_FLEET_MEMORY="1MiB")
    with workshop(values) as shop:
        plan = shop.plan(RequestedOptions(), {}, ledger_only=False)
        taking = Taking(shop.store, plan, shop.rules, HostTurns(8), Cancel())
        taken: list[RepoOutcome] = []
        with plan.options.room:  # somebody else is at it: an unchanged one needs no room, a new one waits
            taken += run_batch(batch(tmp_path, task(host.repo_url("missing-0")), settings=values)).outcomes
        taken.append(taking.outcome(task(host.repo_url("quiet-0")))[0])
        with plan.options.room:
            taken.append(taking.outcome(task(host.repo_url("quiet-0")))[0])
    assert [outcome.verdict for outcome in taken] == ["gone", "new", "unchanged"]


def test_room_is_counted_by_each_repository_s_own_segments(tmp_path: Path) -> None:
    values = settings(tmp_path, SNAPSHOTTER_UPLOADS="2", SNAPSHOTTER_FLEET_MEMORY="7GiB")
    cancel = Cancel()
    cancel.cancel()
    shop = Workshop(Settings(values), cancel)
    large, small = (
        shop.plan(RequestedOptions(segment_size=size), {}, ledger_only=False).options.room
        for size in ("1GiB", None)
    )
    assert fitting([large, large, large, small]) == [True, True, False, True]


@pytest.fixture
def shrunk(tmp_path: Path) -> Iterator[tuple[FleetHost, Task]]:
    """A repository that a run has found shrunk, and the task of the next run."""
    with FleetHost(tmp_path / "srv", {"shrinking": 1}) as host:
        given = task(host.repo_url("shrinking-0"))
        (first,) = run_batch(batch(tmp_path, given)).outcomes
        host.next_day()
        (second,) = run_batch(batch(tmp_path, structs.replace(given, last=first.ledger))).outcomes
        assert (first.verdict, second.verdict) == ("new", "shrunk")
        assert second.ledger.good_run == first.run
        yield host, structs.replace(given, last=second.ledger)


@pytest.mark.parametrize("ledger_only", [False, True])
def test_what_has_shrunk_is_told_for_as_long_as_its_base_is_that(
    tmp_path: Path, shrunk: tuple[FleetHost, Task], *, ledger_only: bool
) -> None:
    host, given = shrunk
    assert given.last
    good, asked = given.last.good_run, batch(tmp_path, given, ledger_only=ledger_only)
    (third,) = run_batch(asked).outcomes
    assert (third.verdict, third.kind, third.requests) == (
        "shrunk",
        "base" if ledger_only else "unchanged",
        1,
    )
    assert (third.ledger.good_run, third.ledger.failures) == (good, 2)

    host.down = True
    given = structs.replace(given, last=third.ledger, attempt=3)
    (fourth,) = run_batch(batch(tmp_path, given)).outcomes
    assert fourth.verdict == "unreachable"
    host.down = False
    host.commit("shrinking-0", 100)
    (fifth,) = run_batch(batch(tmp_path, structs.replace(given, last=fourth.ledger))).outcomes
    assert (fifth.verdict, fifth.kind) == ("shrunk", "increment")
    assert fifth.trouble is not None
    assert "--full" in fifth.trouble.hint


@pytest.mark.parametrize("how", ["grew", "by hand", "any share"])
def test_what_has_shrunk_is_good_again_once_it_grew_or_somebody_says_so(
    tmp_path: Path, shrunk: tuple[FleetHost, Task], how: str
) -> None:
    host, given = shrunk
    asked = batch(tmp_path, given)
    if how == "grew":
        host.commit("shrinking-0", 100_000)
    elif how == "by hand":
        full = structs.replace(given, last=None, options=RequestedOptions(full=True))
        run_batch(batch(tmp_path, full))
    else:
        asked = structs.replace(asked, settings=settings(tmp_path, SNAPSHOTTER_FLEET_SHRUNK="100%"))
    (again,) = run_batch(asked).outcomes
    assert (again.verdict, again.good) == ("new" if how == "grew" else "unchanged", True)
    assert again.ledger.good_run == again.run
    (later,) = run_batch(batch(tmp_path, structs.replace(given, last=again.ledger))).outcomes
    assert later.good


def test_what_had_shrunk_before_the_run_was_killed_is_told_by_the_one_that_goes_on(tmp_path: Path) -> None:
    with FleetHost(tmp_path / "srv", {"shrinking": 1}) as host:
        given = task(host.repo_url("shrinking-0"))
        (first,) = run_batch(batch(tmp_path, given)).outcomes
        began = datetime.now(UTC)
        known = structs.replace(given, last=first.ledger)
        host.next_day()
        run_batch(batch(tmp_path, known))  # and what became of it was lost
        (again,) = run_batch(batch(tmp_path, structs.replace(known, done_since=began))).outcomes
    assert (again.verdict, again.requests) == ("shrunk", 0)


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("has_row", [False, True])
@pytest.mark.parametrize("how", ["resumed", "done twice"])
def test_what_shrank_is_told_though_the_worker_that_took_it_was_lost(
    tmp_path: Path, how: str, *, has_row: bool, weighed: bool
) -> None:
    with FleetHost(tmp_path / "srv", {"shrinking": 1}) as host:
        given = task(host.repo_url("shrinking-0"))
        (first,) = run_batch(batch(tmp_path, given)).outcomes
        began = datetime.now(UTC)
        known = structs.replace(given, last=first.ledger if has_row else None)
        host.next_day()
        unweighed = {} if weighed else {"SNAPSHOTTER_FLEET_SHRUNK": "100%"}  # it died before it was weighed
        (lost,) = run_batch(batch(tmp_path, known, settings=settings(tmp_path, **unweighed))).outcomes
        assert lost.kind == ("base" if weighed else "increment")
        if how == "resumed":
            asked = batch(tmp_path, structs.replace(known, done_since=began))
        else:
            asked = structs.replace(batch(tmp_path, known), sent_at=began)
        (again,) = run_batch(asked).outcomes
    assert (again.verdict, again.kind, again.wrote) == ("shrunk", "base", True)
    assert (again.run == lost.run) == weighed
