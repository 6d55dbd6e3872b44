"""A fleet's results in the store: what a run records, what a kill leaves of it, and what the next run knows by it."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path

import pytest

from snapshotter.archive import fleet_runs
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.fleet import recording, result_rows, result_tables, stored_summary
from snapshotter.fleet.outcome import Trouble
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from tests.support.faults import RecordingStore
from tests.support.lab import Words
from tests.support.results import DAY, NOW, bench, outcome, run, summary


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"file:{tmp_path / 'store'}")


def names(store: Store) -> list[str]:
    """The objects of the only run, by their names in its folder."""
    return [entry.key.partition("Z-")[2][9:] for entry in store.list("_fleet")]


def test_a_run_leaves_its_results_and_its_summary_last(store: Store, tmp_path: Path) -> None:
    watched = RecordingStore(store)
    told = run(watched, tmp_path / "t", [outcome("a"), outcome("b", "gone")])

    assert names(store) == ["results.parquet", "started.lab.json", "summary.json"]
    puts = [call for call in watched.calls if call[0] == "put_new"]
    assert puts[-1][1].endswith("/summary.json")
    (key,) = {RunKey("_fleet", RunId(told.run_id))}
    kept = json.loads(store.get(key.key("summary.json")))
    assert (kept["inventory"], kept["verdicts"], kept["origins"]) == ("lab", {"new": 1, "gone": 1}, 2)
    assert stored_summary.read(store, key).parts == told.parts
    assert told.parts[0].rows == 2


def test_the_next_run_knows_what_this_one_found(store: Store, tmp_path: Path) -> None:
    taken = outcome("a", ledger={"manifest": b'{"kind":"base"}', "failures": 0, "bytes": 77})
    broken = outcome(
        "b", "failed", trouble=Trouble(code="shallow", message="it is shallow"), ledger={"failures": 3}
    )
    run(store, tmp_path / "t", [taken, broken])

    with bench(store, tmp_path / "t") as next_run:
        last = next_run.last()
        asked = ["host.test__b", "host.test__never", "host.test__a"]
        assert last.rows(asked) == [broken.ledger, None, taken.ledger]
        assert [head and head.weight for head in last.heads(asked)] == [1000, None, 77]
        assert [head and head.good_at for head in last.heads(asked)] == [0.0, None, NOW.timestamp()]
        assert last.summary is not None
        assert last.summary.verdicts == {"new": 1, "failed": 1}


def test_the_results_of_another_inventory_are_not_its_own(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "t", [outcome("a")], name="theirs")
    with bench(store, tmp_path / "t") as made:
        assert made.last("ours").summary is None
        assert made.rows.last.get(["host.test__a"]) == [None]


def test_the_newest_result_counts_however_old_it_is(store: Store, tmp_path: Path) -> None:
    for days, name in ((900, "old"), (400, "newer")):
        run(store, tmp_path / "t", [outcome(name, at=NOW - days * DAY)], at=NOW - days * DAY)
    run(store, tmp_path / "t", [outcome("other")], name="theirs")
    with bench(store, tmp_path / "t") as made:
        made.last()
        assert [row.repo for row in made.rows.last] == ["host.test__newer"]


def test_a_run_from_the_future_is_not_the_last(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "t", [outcome("a")])
    run(store, tmp_path / "t", [outcome("b")], at=NOW + 300 * DAY)
    with bench(store, tmp_path / "t") as made:
        made.last()
        assert [row.repo for row in made.rows.last] == ["host.test__a"]


def test_how_the_last_runs_ended_goes_on_from_run_to_run(store: Store, tmp_path: Path) -> None:
    for number, verdict in enumerate(("new", "partial", "failed", "unreachable") * 3):
        at = NOW + number * DAY
        run(store, tmp_path / "t", [outcome("a", verdict, at=at)], at=at)  # type: ignore[arg-type]
    with bench(store, tmp_path / "t") as made:
        made.last(now=NOW + 20 * DAY)
        assert [row.recent for row in made.rows.last] == ["xx+~xx+~xx"]


def test_what_was_recorded_before_a_kill_is_not_done_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "CHECKPOINT_ROWS", 2)
    with bench(store, tmp_path / "t") as killed:
        first = killed.recorder()
        first.begin()
        first.record([outcome("a"), outcome("b", "unreachable")])
        first.record([outcome("c")])  # no checkpoint has it

    with bench(store, tmp_path / "t") as resumed:
        second = resumed.recorder(RunId(first.run_id))
        assert second.resume(resumed.reader, NOW) == 2
        assert second.taken([f"host.test__{name}" for name in "abc"]) == ["new", None, None]
        second.record([outcome("b"), outcome("c")])
        told = second.end(summary(second, [outcome(name) for name in "abc"]))
    assert names(store) == [
        "checkpoints/000001.parquet",
        "checkpoints/000002.parquet",
        "results.parquet",
        "started.lab.json",
        "summary.json",
    ]
    assert told.parts[0].rows == 3
    with bench(store, tmp_path / "t") as made:
        made.last()
        assert [row.verdict for row in made.rows.last] == ["new"] * 3


def test_a_checkpoint_comes_after_a_time_too(store: Store, tmp_path: Path) -> None:
    now = 0.0
    with bench(store, tmp_path / "t") as made:
        recorder = recording.StoreRecorder(store, "lab", RunId.new(NOW), made.rows, clock=lambda: now)
        recorder.begin()
        recorder.record([outcome("a")])
        assert "checkpoints/000001.parquet" not in names(store)
        now = recording.CHECKPOINT_SECONDS
        recorder.record([outcome("b")])
        assert "checkpoints/000001.parquet" in names(store)
        recorder.record([outcome("c")])
        assert "checkpoints/000002.parquet" not in names(store), "its time begins anew"
        recorder.checkpoint()
        assert "checkpoints/000002.parquet" in names(store)
        recorder.checkpoint()
        assert "checkpoints/000003.parquet" not in names(store), "nothing was recorded since"


def test_rows_that_a_run_keeps_are_among_its_results(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "t", [outcome("a"), outcome("b")])
    with bench(store, tmp_path / "t") as made:
        made.last()
        recorder = made.recorder(at=NOW + DAY)
        recorder.begin()
        recorder.record([outcome("a", "gone", at=NOW + DAY)])
        kept = [row for row in made.rows.last if row.repo == "host.test__b"]
        recorder.end(summary(recorder, [outcome("a", "gone")]), kept=kept)
    with bench(store, tmp_path / "t") as made:
        made.last(now=NOW + 2 * DAY)
        assert [(row.repo, row.verdict) for row in made.rows.last] == [
            ("host.test__a", "gone"),
            ("host.test__b", "new"),
        ]


def test_a_run_that_never_ended_stands_over_the_result_before_it(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "t", [outcome("a"), outcome("b")])
    later = outcome("a", at=NOW + DAY)
    with bench(store, tmp_path / "t") as killed:
        recorder = killed.recorder(at=NOW + DAY)
        recorder.begin()
        recorder.record([later])
        recorder.checkpoint()
    with bench(store, tmp_path / "t") as made:
        last = made.last(now=NOW + 2 * DAY)
        assert last.rows(["host.test__a"]) == [later.ledger]
        assert [run.key.run_id.text for run in last.unended] == [recorder.run_id]
        assert len(made.rows.last) == 2


@pytest.mark.parametrize("ended", [True, False])
def test_only_a_run_of_this_inventory_that_did_not_end_is_resumed(
    store: Store, tmp_path: Path, ended: bool
) -> None:
    told = run(store, tmp_path / "t", [outcome("a")])
    with bench(store, tmp_path / "t") as made:
        id_ = RunId(told.run_id) if ended else RunId.new(NOW)
        with pytest.raises(UsageError, match="has ended" if ended else "no run"):
            made.recorder(id_).resume(made.reader, NOW)


def test_two_processes_that_resume_one_run_lose_nothing(store: Store, tmp_path: Path) -> None:
    with bench(store, tmp_path / "t") as first, bench(store, tmp_path / "t") as second:
        one = first.recorder()
        one.begin()
        two = second.recorder(RunId(one.run_id))
        two.resume(second.reader, NOW)
        for recorder, name in ((one, "a"), (two, "b")):
            recorder.record([outcome(name)])
            recorder.checkpoint()
        one.end(summary(one, [outcome("a")]))
        with pytest.raises(Unavailable) as ended:
            two.end(summary(two, [outcome("b")]))
        assert ended.value.code == "exists"
    with bench(store, tmp_path / "t") as made:
        rows = list(made.reader.checkpoints(fleet_runs.folder(store, RunId(one.run_id)), NOW))
    assert [row.repo for row in rows] == ["host.test__a", "host.test__b"]


def test_results_are_in_parts_of_a_bounded_size(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_tables, "_PART_ROWS", 40)
    outcomes = [outcome(f"r{number:03d}") for number in range(100)]
    told = run(store, tmp_path / "t", outcomes)
    assert [(part.name, part.rows) for part in told.parts] == [
        ("results.0000.parquet", 40),
        ("results.0001.parquet", 40),
        ("results.0002.parquet", 20),
    ]
    with bench(store, tmp_path / "t") as made:
        made.last()
        assert len(made.rows.last) == 100


def test_a_part_that_is_too_large_is_halved(tmp_path: Path) -> None:
    noise = random.Random(7)
    rows = [
        result_rows.row(outcome(f"r{number:03d}", now=noise.randbytes(400).hex()), None)
        for number in range(64)
    ]
    with result_tables.ResultTables(tmp_path, 16 * 1024) as tables:
        parts = list(tables.parts(rows))
        assert len(parts) > 1
        assert all(len(part.data) <= 16 * 1024 for part in parts)
        assert [row for part in parts for row in tables.read(part.data, "x")] == rows


def test_parts_that_a_killed_run_left_are_not_in_the_way(store: Store, tmp_path: Path) -> None:
    with bench(store, tmp_path / "t") as killed:
        first = killed.recorder()
        first.begin()
        first.record([outcome("a")])
        first.checkpoint()
        store.put_new(RunKey("_fleet", RunId(first.run_id)).key("results.parquet"), b"half")
    with bench(store, tmp_path / "t") as made:
        second = made.recorder(RunId(first.run_id))
        second.resume(made.reader, NOW)
        told = second.end(summary(second, [outcome("a")]))
    assert [part.name for part in told.parts] == ["results.0001.parquet"]


def test_a_damaged_last_result_is_none_and_is_told(store: Store, tmp_path: Path) -> None:
    told = run(store, tmp_path / "t", [outcome("a")])
    file = tmp_path / "store" / RunKey("_fleet", RunId(told.run_id)).key("summary.json")
    file.write_bytes(file.read_bytes().replace(b'"origins":1', b'"origins":2'))
    words = Words()
    with bench(store, tmp_path / "t", words) as made:
        assert made.last().summary is None
        assert len(made.rows.last) == 0
    assert ["self_sha256" in warning for warning in words.warnings] == [True]


def test_in_place_of_a_damaged_result_stands_the_one_before(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "t", [outcome("a"), outcome("b")], at=NOW - 2 * DAY)
    for days, name in ((1, "b"), (0, "c")):
        at = NOW - days * DAY
        told = run(store, tmp_path / "t", [outcome(name, "failed", at=at)], at=at)
        file = tmp_path / "store" / RunKey("_fleet", RunId(told.run_id)).key("summary.json")
        file.write_bytes(file.read_bytes()[:-2])
    words = Words()
    with bench(store, tmp_path / "t", words) as made:
        last = made.last()
        assert last.summary is not None
        assert last.summary.started_at == NOW - 2 * DAY
        assert not last.unended, "they have ended, whatever became of what they said of it"
        assert [(row.repo, row.verdict) for row in made.rows.last] == [
            ("host.test__a", "new"),
            ("host.test__b", "new"),
        ]
        newest = made.reader.newest_of_each(NOW - 3 * DAY, NOW)
        assert [row.repo for row in newest] == ["host.test__a", "host.test__b"]
    assert len(words.warnings) == 4


def test_what_a_run_with_a_damaged_summary_had_recorded_stands(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store, tmp_path / "t", [outcome("a")], at=NOW - DAY)
    monkeypatch.setattr(recording, "CHECKPOINT_ROWS", 1)
    told = run(store, tmp_path / "t", [outcome("a", "failed")])
    (tmp_path / "store" / RunKey("_fleet", RunId(told.run_id)).key("summary.json")).write_bytes(b"{")
    with bench(store, tmp_path / "t", Words()) as made:
        made.last()
        assert [row.verdict for row in made.rows.last] == ["failed"]


def test_a_damaged_part_costs_its_rows_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_tables, "_PART_ROWS", 1)
    told = run(store, tmp_path / "t", [outcome("a"), outcome("b"), outcome("c")])
    folder = tmp_path / "store" / RunKey("_fleet", RunId(told.run_id)).folder
    part = folder / "results.0001.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    (folder / "results.0002.parquet").unlink()
    words = Words()
    with bench(store, tmp_path / "t", words) as made:
        assert made.last().summary is not None
        assert [row.repo for row in made.rows.last] == ["host.test__a"]
    assert len(words.warnings) == 2


def test_a_result_of_the_future_makes_nothing_fresh(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path / "t", [outcome("a", ledger={"good_at": NOW + 400 * DAY}), outcome("b")])
    words = Words()
    with bench(store, tmp_path / "t", words) as made:
        made.last(now=NOW + timedelta(hours=1))
        assert [row.repo for row in made.rows.last] == ["host.test__b"]
    assert "1 row that no run writes" in words.warnings[0]
