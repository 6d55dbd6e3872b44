"""The engine's process: its limits are limits, it ends with the query, and it is told nothing of ours."""

from __future__ import annotations

import os
import resource
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable, UsageError
from snapshotter.query.engine import Engine, EngineFailed, Late
from snapshotter.store.opening import open_store
from tests.support.cli import cli
from tests.support.lake import refused

MIB = 1024 * 1024
NOBODY_INTERRUPTS = "SELECT levenshtein(repeat('ab', 500000), repeat('ba', 500000))"


@pytest.fixture
def engine() -> Engine:
    return Engine(64 * MIB, Cancel())


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# DuckDB's own limit counts neither: the first throws, the second has the process end itself.
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT list_transform(range(30000000), x -> [x::varchar])",
        "SELECT histogram(i::VARCHAR || repeat('x', 100)) FROM range(4000000) t(i)",
    ],
)
def test_sql_whose_memory_duckdb_does_not_count_ends_all_the_same(engine: Engine, sql: str) -> None:
    with engine:
        peak = Path(f"/proc/{engine.pid}/status")
        with pytest.raises((EngineFailed, Unavailable)) as raised:
            engine.execute(sql)
        code = raised.value.kind if isinstance(raised.value, EngineFailed) else raised.value.code
        assert code in ("memory", "query-memory")
        with suppress(OSError):  # it may have ended itself
            if "VmHWM" in (status := peak.read_text()):
                assert int(status.partition("VmHWM:")[2].split()[0]) < 1024 * 1024  # KiB


@pytest.mark.parametrize("sql", [NOBODY_INTERRUPTS, "SELECT count(*) FROM range(100000000000)"])
def test_a_statement_that_nothing_interrupts_ends_at_its_time(engine: Engine, sql: str) -> None:
    with engine:
        engine.execute("SELECT 1")
        with pytest.raises(Late):
            engine.execute(sql, seconds=0.3)
        with pytest.raises(Unavailable):
            engine.execute("SELECT 1")


def test_the_process_ends_with_the_query_and_with_a_cancellation(engine: Engine) -> None:
    with engine:
        pid = engine.pid
        engine.execute("SELECT 1")
        assert not gone(pid)
    assert gone(pid)
    cancel = Cancel()
    with Engine(64 * MIB, cancel) as other:
        other.execute("SELECT 1")
        threading.Timer(0.2, cancel.cancel, [Interrupted("stopped")]).start()
        with pytest.raises(Interrupted):
            other.execute("SELECT count(*) FROM range(100000000000)")
    assert gone(other.pid)


def test_an_engine_whose_parent_was_killed_ends_by_its_processor_time(engine: Engine) -> None:
    with engine:
        engine.execute("SELECT 1", seconds=1)
        soft, _ = resource.prlimit(engine.pid, resource.RLIMIT_CPU)
        assert 1 < soft <= 1 + 2 * (os.cpu_count() or 1) + 2


def test_an_engine_that_crashes_is_an_error_of_the_query(engine: Engine) -> None:
    with engine:
        engine.execute("SELECT 1")
        threading.Timer(0.2, os.kill, [engine.pid, signal.SIGSEGV]).start()
        with pytest.raises(Unavailable, match="ended the engine") as raised:
            engine.execute("SELECT count(*) FROM range(100000000000)")
    assert (raised.value.code, bool(raised.value.hint)) == ("query-engine", True)


def test_an_engine_that_cannot_start_is_not_called_lack_of_memory() -> None:
    with Engine(10**30, Cancel()) as engine, pytest.raises(Unavailable, match="does not start") as raised:
        engine.execute("SELECT 1")
    assert raised.value.code == "query-engine"


def test_rows_come_whole_however_long_they_are(engine: Engine) -> None:
    with engine:
        rows = list(engine.rows("SELECT i, repeat('é', 100_000) FROM range(130) t(i)"))
    assert [row[0] for row in rows] == list(range(130))
    assert {row[1] for row in rows} == {"é" * 100_000}


def test_the_process_is_told_nothing_of_ours(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPSHOTTER_GIT_TOKEN", "a secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    with engine:
        engine.execute("SELECT 1")
        assert b"secret" not in Path(f"/proc/{engine.pid}/environ").read_bytes()


def test_sql_that_is_no_text_is_refused(engine: Engine) -> None:
    with engine, pytest.raises(UsageError, match="no Unicode"):
        engine.read("SELECT '\udc80'", seconds=10)


def test_too_much_memory_and_time_name_the_flag_that_helps() -> None:
    store = open_store("memory:")
    memory = refused("SELECT list_transform(range(30000000), x -> [x])", store, memory=64 * MIB)
    late = refused(NOBODY_INTERRUPTS, store, seconds=0.3)
    assert (memory.code, "--memory" in memory.hint) == ("query-memory", True)
    assert (late.code, "--timeout" in late.hint) == ("query-time", True)


def test_the_command_ends_at_its_time(tmp_path: Path) -> None:
    done = cli(
        *("query", NOBODY_INTERRUPTS, "--timeout", "1s", "--store", tmp_path),
        SNAPSHOTTER_CACHE=str(tmp_path / "cache"),
    )
    assert (done.code, "ran for longer than 1 s" in done.err) == (4, True)


def test_modules_of_the_working_directory_are_not_run(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the checkout of a stranger's repository."""
    for name in ("duckdb", "msgspec", "socket"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with engine:
        assert list(engine.rows("SELECT 1")) == [(1,)]
    assert not (tmp_path / "run").exists()
