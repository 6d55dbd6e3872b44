"""The engine's own lock, and its limits of time and memory."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.query import locked_engine
from snapshotter.query.question import ask
from snapshotter.query.terms import QueryOptions
from snapshotter.store.opening import open_store
from tests.query.escapes import ESCAPES
from tests.support.lake import Lake, refused

BEYOND_THE_ENGINE = [
    sql
    for sql in ESCAPES
    if any(word in sql for word in ("{secret}", "{folder}", "http", "SET ", "SECRET s", "python_variable"))
    and not any(
        word in sql for word in ("{parquet}", "MACRO", "enable_logging", "SELECT 1; ", "SELECT 1) TO")
    )
]


@pytest.mark.parametrize("sql", BEYOND_THE_ENGINE, ids=range(len(BEYOND_THE_ENGINE)))
def test_the_engine_s_own_lock_holds_without_the_guard(tmp_path: Path, sql: str) -> None:
    a_python_variable = [(1,)]
    assert a_python_variable
    (tmp_path / "secret.csv").write_text("SECRET\n")
    with closing(locked_engine.connect(2**28, 2)) as connection:
        connection.execute("CREATE TABLE files (path VARCHAR)")
        locked_engine.lock(connection, [str(tmp_path / "allowed.parquet")])
        with pytest.raises(duckdb.Error) as raised:
            connection.execute(
                sql.format(secret=tmp_path / "secret.csv", folder=tmp_path, parquet="")
            ).fetchall()
    assert "SECRET\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_sql_that_runs_too_long_ends(lake: Lake) -> None:
    error = refused("SELECT count(*) FROM range(100000000000) a", lake.store, seconds=0.3)
    assert (error.code, error.exit_code) == ("query-time", 4)


def test_only_the_engine_s_time_counts() -> None:
    with ask(open_store("memory:"), "FROM range(20000)", QueryOptions(seconds=2)) as answer:
        rows = answer.texts()
        next(rows)
        time.sleep(2.2)
        assert sum(1 for _ in rows) == 19_999


def test_sql_that_needs_too_much_memory_ends(lake: Lake) -> None:
    error = refused("SELECT list(i) FROM range(100000000) t(i)", lake.store, memory=50_000_000)
    assert (error.code, error.exit_code) == ("query-memory", 4)


def test_a_cancelled_query_ends(lake: Lake) -> None:
    cancel = Cancel()
    threading.Timer(0.3, cancel.cancel, [Interrupted("stopped")]).start()
    sql = "SELECT count(*) FROM range(100000000000)"
    with pytest.raises(Interrupted), ask(lake.store, sql, QueryOptions(), cancel=cancel) as answer:
        list(answer.texts())
