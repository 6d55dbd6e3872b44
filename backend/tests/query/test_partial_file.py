"""Large tables: only their footer and the needed columns of the needed row groups are read, and rightly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanstore import ScanStore
from snapshotter.archive.sealed import Sealed
from snapshotter.base.errors import SnapshotterError
from snapshotter.query import sql_plan
from snapshotter.query.left_out import LeftOut
from snapshotter.query.partial_file import merged, without
from snapshotter.query.question import ask
from snapshotter.query.terms import QueryOptions
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from tests.support.lake import NOV, Counting, Lake, file_row

ROWS = 200_000
GROUPS = f"""
    SELECT 'src/' || lpad(i::VARCHAR, 9, '0') AS path, 'file' AS kind, i::BIGINT AS bytes, sha256(i::VARCHAR) AS blob,
      CASE WHEN i % 7 = 0 THEN 'Go' ELSE 'Python' END AS language, (i % 100)::BIGINT AS code
    FROM range({ROWS}) AS t(i)
"""
SMALL = 64 * 1024  # bytes; whatever is larger is read by parts


class Large(Lake):
    """A store of one large and one small table, both read as from a bucket."""

    def __init__(self, cache: Path, data: bytes) -> None:
        super().__init__(open_store("memory:"), cache)
        self.data = data
        self.taken: Sealed = self.made.add("h__large", NOV, {"files": (self.data, ROWS)})
        self.made.add("h__small", NOV, {"files": [file_row("x", 7)]})

    def part(self, sql: str, **options: Any) -> tuple[list[tuple[str | None, ...]], int]:
        """The rows, and how many bytes of the large table were read for them."""
        store = Counting(self.store)
        rows = self.ask(sql, store=store, whole=SMALL, **options)
        assert not any(
            m == "get" and "h__large" in key and key.endswith(".parquet") for m, key in store.calls
        )
        return rows, store.ranged


@pytest.fixture(scope="module")
def groups() -> bytes:
    return ScanStore(open_store("memory:")).parquet(GROUPS)


@pytest.fixture
def large(tmp_path: Path, groups: bytes) -> Large:
    return Large(tmp_path / "cache", groups)


@pytest.mark.parametrize(
    ("sql", "most"),
    [
        ("SELECT sum(code), count(*) FROM files", 0.10),
        ("SELECT language, count(*) FROM files GROUP BY ALL ORDER BY ALL", 0.10),
        ("SELECT count(*) FROM files", 0.10),
        ("SELECT repo, count(*) FROM files GROUP BY ALL ORDER BY ALL", 0.10),
        ("SELECT blob FROM files WHERE path = 'src/000000123'", 0.75),
        ("SELECT path FROM files WHERE bytes >= 199990 ORDER BY path", 0.15),
        ("SELECT path FROM files WHERE bytes < 3 OR bytes = 150000 ORDER BY path", 0.25),
        ("SELECT path FROM files WHERE path > 'src/000199997' AND language = 'Python' ORDER BY path", 0.25),
        ("SELECT path FROM files WHERE path = 'it''s' OR path = 'a'' AND bytes>''b' ORDER BY path", 0.25),
        ("SELECT path FROM files WHERE path = 'a'' AND bytes>5 AND path=''b'", 0.25),
        ("SELECT f FROM files AS f ORDER BY f.path LIMIT 2", 1.1),
        ("SELECT * FROM files ORDER BY path DESC, repo LIMIT 3", 1.1),
        ("SELECT a.path FROM files a JOIN files b USING (path) WHERE a.code = 1 AND b.bytes = 101", 1.1),
        ("SUMMARIZE SELECT code FROM files", 0.10),
        ("SELECT COLUMNS('^co') FROM files ORDER BY 1 DESC LIMIT 1", 0.10),
        (
            "WITH f AS (SELECT bytes FROM files) SELECT max(bytes) FROM f UNION ALL SELECT min(code) FROM files",
            0.25,
        ),
    ],
)
def test_the_answer_is_that_of_the_whole_and_costs_a_part(large: Large, sql: str, most: float) -> None:
    whole = large.ask(sql, cache=None)
    rows, read = large.part(sql)
    assert rows == whole
    assert large.left_out == []
    assert read <= most * len(large.data)
    assert large.part(sql) == (whole, 0)  # the parts are kept


def test_parts_add_up(large: Large) -> None:
    _, first = large.part("SELECT sum(code) FROM files")
    _, second = large.part("SELECT sum(code), sum(bytes) FROM files")
    assert 0 < second < len(large.data) - first
    (kept,) = (large.cache / "parts").glob("*.parquet")
    assert kept.stat().st_size == len(large.data)
    assert kept.stat().st_blocks * 512 < len(large.data)


def test_parquet_from_parts(large: Large, tmp_path: Path) -> None:
    with ask(
        large.store, "SELECT code FROM files", QueryOptions(whole=SMALL, output=tmp_path / "out")
    ) as answer:
        assert answer.parquet(tmp_path / "out") == ROWS + 1


class Short(Counting):
    """Ranges come back a byte short."""

    def get_range(self, key: str, start: int, end: int) -> bytes:
        return super().get_range(key, start, end)[:-1]


class Spoiled(Counting):
    """What lies beyond the footer's first read comes back as zeros."""

    def get_range(self, key: str, start: int, end: int) -> bytes:
        data = super().get_range(key, start, end)
        return data if end == self.size or (start == 0 and end == 4) else bytes(len(data))

    size = 0


def error_of(store: Store, sql: str) -> SnapshotterError:
    with pytest.raises(SnapshotterError) as raised, ask(store, sql, QueryOptions(whole=SMALL)) as answer:
        list(answer.texts())
    return raised.value


def test_a_range_that_comes_short_is_no_answer(large: Large) -> None:
    store = Short(large.store)
    left: list[LeftOut] = []
    with ask(store, "SELECT sum(code) FROM files", QueryOptions(whole=SMALL)) as answer:
        left = answer.left_out
    assert [each.key.repo for each in left] == ["h__large"]


def test_bytes_that_were_not_fetched_are_an_error_and_never_an_answer(large: Large) -> None:
    store = Spoiled(large.store)
    store.size = len(large.data)
    for sql in (
        "SELECT sum(code) FROM files",
        "SELECT max(path) FROM files",
        "SELECT count(DISTINCT language) FROM files",
    ):
        error = error_of(store, sql)
        assert (error.code, error.exit_code) == ("query-data", 4)
        assert "h__large" in error.message, error.message


def test_a_large_object_that_is_no_parquet_is_left_out(large: Large) -> None:
    for repo, data in (
        ("h__none", b"x" * 100_000),
        ("h__foot", b"PAR1" + b"x" * 100_000 + b"\xff\xff\xff\x7fPAR1"),
    ):
        large.made.add(repo, NOV, {"files": (data, 1)})
    assert large.part("SELECT count(*) FROM files")[0] == [(str(ROWS + 1),)]
    assert sorted(each.key.repo for each in large.left_out) == ["h__foot", "h__none"]


def test_the_plan_names_tables_and_columns(large: Large) -> None:
    """Were DuckDB to write its plans otherwise, every column would be read: right, and slow. This would tell."""
    seen: list[sql_plan.Reading] = []
    original = sql_plan.readings

    def spy(*arguments: Any) -> list[sql_plan.Reading]:
        seen.extend(original(*arguments))
        return seen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sql_plan, "readings", spy)
        large.part("SELECT sum(code) FROM files WHERE bytes > 5")
    assert seen
    for each in seen:
        assert (each.table, each.columns) == ("files", {"code", "_place_files"})
    assert {condition for each in seen for condition in each.conditions} == {"bytes>5"}


SPANS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], sum(pair))), max_size=8
)


@given(SPANS, SPANS)
def test_spans_are_sets_of_bytes(wanted: list[tuple[int, int]], have: list[tuple[int, int]]) -> None:
    def members(spans: list[tuple[int, int]]) -> set[int]:
        return {at for start, end in spans for at in range(start, end)}

    joined = merged(have, 0)
    assert members(joined) == members(have)
    assert joined == sorted(joined)
    missing = [part for span in merged(wanted, 0) for part in without(span, joined)]
    assert members(missing) == members(wanted) - members(have)
    assert members(merged(wanted, 5)) >= members(wanted)
