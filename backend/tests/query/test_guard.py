"""What SQL may be run, and what it is told otherwise."""

from __future__ import annotations

from contextlib import closing

import duckdb
import pytest

from snapshotter.query import guard
from snapshotter.store.opening import open_store
from tests.query.escapes import ESCAPES
from tests.support.lake import NOV, Lake, file_row, refused


@pytest.fixture(scope="module")
def fenced(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A folder store with one table, beside it a secret."""
    place = tmp_path_factory.mktemp("fenced")
    (place / "secret.csv").write_text("SECRET\n")
    made = Lake(open_store(f"file:{place / 'store'}"), place / "cache")
    made.made.add("h__a", NOV, {"files": [file_row("x")]})
    return made


@pytest.mark.parametrize("sql", ESCAPES, ids=range(len(ESCAPES)))
def test_no_way_out_of_the_views(fenced: Lake, sql: str) -> None:
    a_python_variable = [1]
    assert a_python_variable
    place = fenced.cache.parent
    before = sorted(place.iterdir())
    parquet = next(place.rglob("files.parquet"))
    error = refused(sql.format(secret=place / "secret.csv", folder=place, parquet=parquet), fenced.store)
    assert (error.exit_code, error.code) == (2, "sql")
    assert "SECRET" not in str(error.as_dict())
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("WITH a AS (FROM files), b AS (FROM a) SELECT * FROM b JOIN refs USING (repo)", {"files", "refs"}),
        ('SELECT (SELECT count(*) FROM Secrets) FROM "SYMBOLS"', {"secrets", "symbols"}),
        ("PIVOT files ON language IN ('C') USING sum(code)", {"files"}),
        ("FROM imports UNION ALL BY NAME FROM dependencies", {"imports", "dependencies"}),
        ("SUMMARIZE ref_changes", {"ref_changes"}),
        ("SELECT * FROM snapshots, unnest([1]), range(3), generate_series(1, 2)", {"snapshots"}),
        ("VALUES (1)", set()),
    ],
)
def test_the_guard_knows_the_views_that_sql_reads(sql: str, named: set[str]) -> None:
    with closing(duckdb.connect()) as connection:
        assert guard.read(connection, sql).views == named


@pytest.mark.parametrize("end", ["", ";", " ; \n", ";;", "; -- done;", " -- done;", ";/* ; */;"])
def test_sql_may_end_as_it_does_in_a_shell(fenced: Lake, end: str) -> None:
    assert fenced.ask("SELECT 'é;' AS x" + end) == [("é;",)]


def test_sql_that_cannot_be_run_is_told_with_views_and_columns(lake: Lake) -> None:
    error = refused("SELECT nope FROM symbols", lake.store)
    assert "nope" in error.message
    assert "LINE 1" not in error.message
    assert "qualified_name" in error.hint
    assert "dependencies" in refused("SELECT * FROM nothing", lake.store).hint
    assert refused("SELEC 1", lake.store).code == "sql"
    assert "name its values" in refused("PIVOT files ON language USING sum(code)", lake.store).message
    assert "holds 2 statements" in refused("SELECT 1; SELECT 2", lake.store).message
    assert refused("SELECT 'x'::INTEGER", lake.store).exit_code == 2
