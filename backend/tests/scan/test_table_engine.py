"""Engines that are lent to one small scan after another: each has nothing of the scan before, and there are two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from snapshotter.base.kept_threads import started
from snapshotter.scan.table_engine import LIMITS_OF_FEW, TableEngines


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[TableEngines]:
    with TableEngines(temp=tmp_path, tmpfs=tmp_path / "none") as engines:
        yield engines


def test_two_scans_have_an_engine_at_once_and_a_third_waits(engines: TableEngines) -> None:
    two, three = threading.Barrier(2), threading.Barrier(3)

    def meeting(barrier: threading.Barrier, seconds: float) -> bool:
        with engines.lent():
            try:
                barrier.wait(seconds)
            except threading.BrokenBarrierError:
                return False
            return True

    assert [future.result() for future in [started(lambda: meeting(two, 60)) for _ in range(2)]] == [True] * 2
    assert not any(future.result() for future in [started(lambda: meeting(three, 0.5)) for _ in range(3)])


def test_files_that_a_scan_leaves_are_gone_for_the_next(engines: TableEngines) -> None:
    with engines.lent() as engine:
        (engine.folder / "symbols.parquet").write_bytes(b"of a repository")
    with engines.lent() as again:
        assert again.connection is engine.connection
        assert not [path for path in again.folder.iterdir() if path.name != "spill"]


def test_an_engine_with_a_table_that_nobody_knows_is_lent_to_nobody(engines: TableEngines) -> None:
    with engines.lent() as engine:
        engine.connection.execute("CREATE TABLE stray AS SELECT 1 AS a")
    assert not engine.folder.exists()
    with engines.lent() as other, pytest.raises(duckdb.CatalogException):
        other.connection.execute("FROM stray")


def test_an_engine_that_failed_ends_at_once_with_its_folder(engines: TableEngines) -> None:
    with pytest.raises(ZeroDivisionError), engines.lent() as engine:
        raise ZeroDivisionError
    assert not engine.folder.exists()
    with pytest.raises(duckdb.ConnectionException):
        engine.connection.execute("SELECT 1")


@pytest.mark.parametrize("spill", [1, 1 << 40])
def test_an_engine_spills_into_memory_if_that_has_room(tmp_path: Path, spill: int) -> None:
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    for folder in (memory, disk):
        folder.mkdir()
    limits = LIMITS_OF_FEW._replace(spill=spill)
    with TableEngines(limits, temp=disk, tmpfs=memory) as engines, engines.lent() as engine:
        assert engine.folder.parent == (memory if spill == 1 else disk)
