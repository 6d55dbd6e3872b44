"""Rows of a fleet's results as Parquet: what is written is what is read, and whatever else lies there does no harm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapshotter.archive.fleet_table import COLUMNS, MAX_MANIFEST, MAX_TEXT, STORED, ResultRow
from snapshotter.base.errors import Damaged
from snapshotter.fleet import result_rows, result_tables
from snapshotter.fleet.result_tables import ResultTables
from snapshotter.fleet.row_store import RowStore
from tests.support.results import outcome

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
COUNTS = st.integers(0, 2**31 - 1)
RUNS = st.none() | st.from_regex(
    r"2026(0[1-9]|1[0-2])(0[1-9]|1[0-9])T(0[0-9]|1[0-9])[0-5][0-9][0-5][0-9]Z-[0-9a-f]{8}", fullmatch=True
)
ROWS = st.builds(
    ResultRow,
    repo=st.from_regex(r"[a-z0-9]{1,20}__[A-Za-z0-9._-]{1,40}", fullmatch=True),
    run_id=RUNS,
    origin=TEXT,
    source=TEXT,
    path=TEXT,
    id=TEXT,
    optional=st.booleans(),
    verdict=st.from_regex("[a-z][a-z-]{0,20}", fullmatch=True),
    ok=st.booleans(),
    finished_at=TIMES,
    wrote=st.booleans(),
    kind=st.none() | st.just("base"),
    error_code=st.none() | TEXT,
    error=st.none() | TEXT,
    hint=st.none() | TEXT,
    exit_code=st.none() | st.integers(0, 255),
    moved_to=st.none() | TEXT,
    good_run_id=RUNS,
    good_at=st.none() | TIMES,
    refs_sha256=st.none() | st.from_regex("[0-9a-f]{64}", fullmatch=True),
    base_at=st.none() | TIMES,
    chain_length=COUNTS,
    chain_bytes=st.integers(0, 2**62),
    receipt_at=st.none() | TIMES,
    receipt_ok=st.none() | st.booleans(),
    gaps=COUNTS,
    secrets=st.none() | COUNTS,
    stored_bytes=st.integers(0, 2**62),
    seconds=st.floats(0, 1e9, allow_nan=False),
    requests=COUNTS,
    attempts=COUNTS,
    failures=COUNTS,
    recent=st.text("=+~x-", max_size=10),
    manifest=st.none() | TEXT,
)


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[ResultTables]:
    with ResultTables(tmp_path, 1024 * 1024) as made:
        yield made


def parquet(folder: Path, **changed: str) -> bytes:
    """A table of one sound row, of which some columns are other SQL."""
    sound = {column.name: f"NULL::{column.type}" for column in STORED} | {
        "repo": "'host.test__a'",
        "origin": "'https://host.test/a'",
        **dict.fromkeys(("source", "path", "id", "recent"), "''"),
        "verdict": "'new'",
        **dict.fromkeys(("optional", "ok", "wrote"), "true"),
        "finished_at": "TIMESTAMP '2026-11-27 03:17:02'",
        **{
            column.name: f"0::{column.type}"
            for column in COLUMNS
            if column.type in ("BIGINT", "INTEGER", "DOUBLE") and column.name not in ("secrets", "exit_code")
        },
    }
    made = ", ".join(f'{sql} AS "{name}"' for name, sql in (sound | changed).items() if sql)
    path = folder / "made.parquet"
    duckdb.connect().execute(f"COPY (SELECT {made} FROM range(1)) TO '{path}' (FORMAT parquet)")
    return path.read_bytes()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=8, unique_by=lambda row: row.repo))
def test_what_is_written_is_what_is_read(tables: ResultTables, tmp_path: Path, rows: list[ResultRow]) -> None:
    (part,) = tables.parts(rows)
    assert list(tables.read(part.data, "x")) == rows
    (tmp_path / "rows").unlink(missing_ok=True)
    with RowStore(tmp_path / "rows") as kept:
        kept.put(rows)
        assert list(kept) == sorted(rows, key=lambda row: row.repo.encode())
        assert kept.get([row.repo for row in rows]) == rows


def test_a_table_made_by_hand_reads(tables: ResultTables, tmp_path: Path) -> None:
    (row,) = tables.read(parquet(tmp_path), "x")
    assert row is not None
    assert row.repo == "host.test__a"


@pytest.mark.parametrize(
    ("column", "sql"),
    [
        ("repo", "'_jobs'"),
        ("repo", "'../../etc'"),
        ("repo", "NULL::VARCHAR"),
        ("origin", f"repeat('x', {MAX_TEXT + 1})"),
        ("origin", "repeat('x', 50000000)"),
        ("manifest", f"repeat('x', {MAX_MANIFEST + 1})"),
        ("run_id", "'20269927T031702Z-00000000'"),
        ("run_id", "'20261127T031702Z-00000000' || chr(10)"),
        ("refs_sha256", "'ab'"),
        ("verdict", "'NEW'"),
        ("verdict", "'<script>'"),
        ("recent", "repeat('x', 11)"),
        ("chain_bytes", "-1::BIGINT"),
        ("seconds", "'nan'::DOUBLE"),
        ("seconds", "'inf'::DOUBLE"),
        ("finished_at", "NULL::TIMESTAMP"),
        ("finished_at", "'infinity'::TIMESTAMP"),
        ("good_at", "TIMESTAMP '290000-01-01'"),
        ("base_at", "TIMESTAMP '2000-01-01 (BC)'"),
        ("ok", "NULL::BOOLEAN"),
    ],
)
def test_a_row_that_no_run_writes_is_none(
    tables: ResultTables, tmp_path: Path, column: str, sql: str
) -> None:
    assert list(tables.read(parquet(tmp_path, **{column: sql}), "x")) == [None]


@pytest.mark.parametrize(
    "changed",
    [
        {"repo": ""},
        {"repo": "['a']"},
        {"chain_bytes": "0::UBIGINT"},
        {"good_at": "'2026-01-01'"},
        {"manifest": "''::BLOB"},
    ],
)
def test_other_columns_are_no_results(tables: ResultTables, tmp_path: Path, changed: dict[str, str]) -> None:
    with pytest.raises(Damaged, match="columns"):
        list(tables.read(parquet(tmp_path, **changed), "x"))


def test_a_column_that_a_later_release_adds_is_passed_over(tables: ResultTables, tmp_path: Path) -> None:
    assert None not in list(tables.read(parquet(tmp_path, later="'x'"), "x"))


def test_more_rows_than_any_run_writes_are_not_read(
    tables: ResultTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_tables, "MAX_ROWS", 5)
    (part,) = tables.parts(result_rows.row(outcome(f"r{number}"), None) for number in range(6))
    with pytest.raises(Damaged, match="too many rows"):
        list(tables.read(part.data, "x"))


def _flipped(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 37):
        yield data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def test_damage_anywhere_is_told_or_makes_no_other_row_than_of_results(
    tables: ResultTables, tmp_path: Path
) -> None:
    data = parquet(tmp_path)
    for bad in (
        b"",
        b"PAR1",
        b"{}",
        data[:-40],
        data + b"x",
        b"PAR1" + data[4:-12] + b"\xff\xff\xff\x7fPAR1",
    ):
        with pytest.raises(Damaged):
            list(tables.read(bad, "x"))
    for bad in _flipped(data):
        try:
            found: list[Any] = list(tables.read(bad, "x"))
        except Damaged:
            continue
        assert all(row is None or isinstance(row, ResultRow) for row in found)


def test_a_string_that_unpacks_to_gigabytes_is_cut_before_it_is_text(
    tables: ResultTables, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.parquet"
    sound = duckdb.connect()
    sound.execute(f"CREATE VIEW sound AS FROM read_parquet('{_kept(tmp_path)}')")
    sound.execute(
        f"COPY (SELECT * REPLACE (repeat('x', 4000000) AS error) FROM sound, range(2000))"
        f" TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
    )
    data = path.read_bytes()
    assert len(data) < result_tables.MAX_PART
    try:
        assert list(tables.read(data, "x")) == [None] * 2000
    except Damaged as told:  # more than its memory holds
        assert "Parquet" in told.message


def _kept(folder: Path) -> Path:
    path = folder / "sound.parquet"
    path.write_bytes(parquet(folder))
    return path


def test_the_tables_reach_nothing_but_their_folder(tables: ResultTables, tmp_path: Path) -> None:
    list(tables.parts([result_rows.row(outcome("a"), None)]))
    assert sorted(path.name for path in tmp_path.iterdir()) == [], "files on their way are gone"
