"""Keys: run ids that sort by time, and nothing that is not a run's read as one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snapshotter.archive.layout import (
    RunId,
    RunKey,
    day_prefix,
    parse_key,
    parse_time,
    segment_name,
    time_span,
)

times = st.datetimes(datetime(2000, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC))
run_ids = st.builds(
    lambda time, tail: RunId(f"{time:%Y%m%dT%H%M%SZ}-{tail:08x}"), times, st.integers(0, 0xFFFFFFFF)
)
ID = "20261123T120000Z-0123abcd"


@given(times, st.integers(-14, 14))
def test_a_run_id_is_the_time_in_utc(time: datetime, offset: int) -> None:
    local = time.astimezone(timezone(timedelta(hours=offset)))
    run_id = RunId.new(local)
    assert RunId.parse(run_id.text) == run_id
    assert run_id.started_at == time.replace(microsecond=0)


@given(run_ids, run_ids)
def test_run_ids_sort_by_time(one: RunId, other: RunId) -> None:
    if one.started_at != other.started_at:
        assert (one < other) == (one.started_at < other.started_at)
    keys = sorted([RunKey("r", one).key("manifest.json"), RunKey("r", other).key("a")])
    assert keys[0].startswith(RunKey("r", min(one, other)).folder)


@given(run_ids, st.integers(0, 0xFFFFFFFF))
@example(RunId(ID[:17] + "ffffffff"), 0)
@example(RunId(ID[:17] + "fffffffe"), 0)
@example(RunId(ID[:17] + "00000000"), 0)
def test_a_child_of_the_same_second_sorts_after_its_parent(parent: RunId, tail: int) -> None:
    child = RunId(f"{parent.text[:17]}{tail:08x}").or_after(parent)
    assert child > parent
    assert RunId.parse(child.text) == child
    assert child.started_at - parent.started_at in (timedelta(0), timedelta(seconds=1))


@given(run_ids, run_ids)
def test_an_id_of_another_second_is_left_alone(one: RunId, other: RunId) -> None:
    if one.started_at != other.started_at:
        assert one.or_after(other) is one


@pytest.mark.parametrize(
    "text",
    [
        "",
        ID + "\n",
        ID.upper(),
        ID[:-1],
        ID + "0",
        "20261323T120000Z-0123abcd",
        "20260230T120000Z-0123abcd",
        "20261123T250000Z-0123abcd",
        "\u0662\u0660261123T120000Z-0123abcd",
        "../" + ID,
    ],
)
def test_what_is_no_run_id(text: str) -> None:
    assert RunId.parse(text) is None


@given(
    st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,20}\Z"),
    run_ids,
    st.sampled_from(["manifest.json", "receipts/x.json"]),
)
def test_a_key_survives_parsing(repo: str, run_id: RunId, name: str) -> None:
    key = RunKey(repo, run_id)
    assert parse_key(key.key(name)) == (key, name)
    assert key.key(name).startswith(day_prefix(repo, run_id.started_at) + "/")


@pytest.mark.parametrize(
    "key",
    [
        f"r/2026/11/24/{ID}/manifest.json",  # under a day that is not its own
        f"r/2026/11/23/{ID}/",
        f"r/2026/11/23/{ID}",
        f"/2026/11/23/{ID}/x",
        f"a/r/2026/11/23/{ID}/x",
        f"r/2026/11/23/{ID}x/manifest.json",
        "_diagnostics/x",
        "policy-tests/2026/x",
        "",
    ],
)
def test_keys_that_are_no_runs(key: str) -> None:
    assert parse_key(key) is None


def test_names_of_segments_sort_as_they_are_cut() -> None:
    assert segment_name(0, only=True) == "history.bundle"
    names = [segment_name(index, only=False) for index in range(10_000)]
    assert names == sorted(names)
    assert (names[0], names[-1]) == ("history.bundle.0000", "history.bundle.9999")


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("2026-11-23", datetime(2026, 11, 23, 23, 59, 59, 999999, UTC)),
        ("2026-11-23T12:00Z", datetime(2026, 11, 23, 12, 0, 59, 999999, UTC)),
        ("2026-11-23T12:00:30Z", datetime(2026, 11, 23, 12, 0, 30, 999999, UTC)),
        ("9999-12-31", None),
        ("2026-02-30", None),
        ("2026-11-23T12:00", datetime(2026, 11, 23, 12, 0, 59, 999999, UTC)),
        ("2026-11-23T12:00:30", datetime(2026, 11, 23, 12, 0, 30, 999999, UTC)),
        ("2026-11-23T12:00+02:00", datetime(2026, 11, 23, 10, 0, 59, 999999, UTC)),
        ("2026-11-23T12:00:30-00:30", datetime(2026, 11, 23, 12, 30, 30, 999999, UTC)),
        ("0001-01-01T00:00+02:00", None),
        ("2026-11-23T24:00", None),
        ("2026-11-23T12", None),
        ("2026-11-23T12:00:30.5", None),
        ("20261123", None),
        ("٢٠٢٦-11-23", None),
        ("main", None),
        ("", None),
    ],
)
def test_a_time_means_its_last_moment(text: str, last: datetime | None) -> None:
    assert parse_time(text) == last


@pytest.mark.parametrize(
    "text", ["2026-11-23", "2026-11-23T00:00", "2026-11-23T00:00:00Z", "2026-11-23T02:00+02:00"]
)
def test_and_begins_with_its_first(text: str) -> None:
    span = time_span(text)
    assert span is not None
    assert span[0] == datetime(2026, 11, 23, tzinfo=UTC)
    assert span[0].tzinfo is UTC


def test_a_time_without_a_zone_is_utc_wherever_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "<+0545>-5:45")
    time.tzset()
    try:
        assert time_span("2026-11-23T12:00") == time_span("2026-11-23T12:00Z")
        day = time_span("2026-11-23")
        assert day is not None
        assert day[0] == datetime(2026, 11, 23, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()
