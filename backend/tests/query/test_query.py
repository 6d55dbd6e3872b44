"""SQL over a store: the right rows of the right snapshots, nothing read that is not needed, nothing else reachable."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from snapshotter.archive import layout
from snapshotter.archive.later_scans import ScanRecord, seal_record
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Gap, Parent, RefChange, RefChangeList, RefChanges, Scan, Sealed, seal
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable, UsageError
from snapshotter.git.refs import Ref, RefsLedger
from snapshotter.query import guard, locked_engine, views
from snapshotter.query.cache import Cache, folder
from snapshotter.query.examples import EXAMPLES
from snapshotter.query.question import ask
from snapshotter.query.terms import QueryOptions
from snapshotter.scan.columns import COLUMNS
from snapshotter.store.objects import open_store
from tests.support.faults import FlippingStore, RecordingStore
from tests.support.lake import DAY, NOV, Counting, Lake, file_row, refused

LOG4J = "org.apache.logging.log4j:log4j-core"


@pytest.fixture(params=["folder", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    store = open_store("memory:" if request.param == "memory" else f"file:{tmp_path / 'store'}")
    return Lake(store, tmp_path / "cache")


@pytest.fixture
def folder_lake(tmp_path: Path) -> Lake:
    return Lake(open_store(f"file:{tmp_path / 'store'}"), tmp_path / "cache")


# Which snapshots


def three_days(lake: Lake) -> list[Sealed]:
    taken = [lake.made.add("h__a", NOV + day * DAY, {"files": [file_row("x", day + 1)]}) for day in range(3)]
    taken.append(lake.made.add("h__b", NOV, {"files": [file_row("y", 9)]}))
    return taken


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({}, ["3", "9"]),
        ({"at": datetime(2026, 11, 2, 23, 59, tzinfo=UTC)}, ["2", "9"]),
        ({"at": datetime(2026, 10, 1, tzinfo=UTC)}, []),
        ({"history": True}, ["1", "2", "3", "9"]),
        ({"history": True, "at": datetime(2026, 11, 2, 1, tzinfo=UTC)}, ["1", "2", "9"]),
        ({"repos": ("h__a",)}, ["3"]),
        ({"repos": ("h/b*",)}, ["9"]),
        ({"repos": ("h__a", "h__b")}, ["3", "9"]),
    ],
)
def test_the_snapshots_asked_for(lake: Lake, options: dict[str, Any], codes: list[str]) -> None:
    three_days(lake)
    for _ in range(2):  # cold, then with what is remembered
        assert [row[0] for row in lake.ask("SELECT code FROM files ORDER BY code", **options)] == codes


def test_rows_say_of_which_snapshot_they_are(lake: Lake) -> None:
    taken = three_days(lake)[2]
    assert lake.ask("SELECT repo, run_id, taken_at FROM files WHERE repo = 'h__a'") == [
        ("h__a", taken.manifest.run_id, "2026-11-03 00:00:00")
    ]


def test_a_scan_that_still_holds_counts_for_each_snapshot_that_refers_to_it(lake: Lake) -> None:
    first = lake.made.add("h__a", NOV, {"files": [file_row("x")]})
    later = lake.made.add("h__a", NOV + DAY, scan_of=first)
    assert lake.ask("SELECT run_id FROM files") == [(later.manifest.run_id,)]
    both = lake.ask("SELECT run_id FROM files ORDER BY run_id", history=True)
    assert both == [(first.manifest.run_id,), (later.manifest.run_id,)]


def later_scan(lake: Lake, of: Sealed, hours: int, path: str) -> RunKey:
    """A scan of a snapshot that was taken without one, as `snapshotter scan` records it."""
    made = lake.made.add(
        of.manifest.repo,
        of.manifest.started_at + timedelta(hours=hours),
        {"files": [file_row(path)]},
        put=False,
    )
    assert made.manifest.scan
    record = ScanRecord(
        schema_version=1,
        tool_version="0.1.0",
        run_id=made.manifest.run_id,
        repo=made.manifest.repo,
        of=Parent(run_id=of.manifest.run_id, manifest_sha256=of.sha256),
        started_at=NOV,
        finished_at=NOV,
        scan=made.manifest.scan,
    )
    lake.store.put_new(made.manifest.key.key(layout.SCAN), seal_record(record))
    return made.manifest.key


def test_a_scan_that_was_made_later_is_the_snapshot_s(lake: Lake) -> None:
    first = lake.made.add("h__a", NOV)
    second = lake.made.add("h__a", NOV + DAY)
    other = seal(msgspec.structs.replace(second.manifest, reason="another manifest under that name"))
    later_scan(lake, first, 1, "of-first")
    later_scan(lake, second, 1, "of-second, replaced")
    later_scan(lake, second, 2, "of-second")
    later_scan(lake, other, 3, "of no manifest that is there")
    sql = "SELECT run_id, path FROM files ORDER BY ALL"
    for _ in range(2):
        assert lake.ask(sql) == [(second.manifest.run_id, "of-second")]
    both = [(first.manifest.run_id, "of-first"), (second.manifest.run_id, "of-second")]
    assert lake.ask(sql, history=True) == both
    assert lake.ask("SELECT scan_run_id > run_id FROM snapshots") == [("true",)]


def test_a_later_scan_s_record_that_does_not_read_is_left_out(tmp_path: Path) -> None:
    lake = Lake(open_store("memory:"), tmp_path / "cache")
    key = later_scan(lake, lake.made.add("h__a", NOV), 1, "x")
    assert lake.ask("SELECT path FROM files", store=FlippingStore(lake.store, 9, layout.SCAN)) == []
    assert [(each.key, each.what) for each in lake.left_out] == [(key, "scan")]


def test_repositories_with_the_same_bytes_keep_their_rows(lake: Lake) -> None:
    for repo in ("h__a", "h__b"):
        lake.made.add(repo, NOV, {"files": [file_row("same")]})
    assert lake.ask("SELECT repo, path FROM files ORDER BY repo") == [("h__a", "same"), ("h__b", "same")]


def test_a_new_snapshot_is_seen_at_once(lake: Lake) -> None:
    three_days(lake)
    assert lake.ask("SELECT max(code) FROM files WHERE repo = 'h__a'") == [("3",)]
    lake.made.add("h__a", NOV + 4 * DAY, {"files": [file_row("x", 70)]})
    lake.made.add("h__c", NOV, {"files": [file_row("z", 80)]})
    assert lake.ask("SELECT code FROM files ORDER BY code") == [("9",), ("70",), ("80",)]


def test_a_run_without_a_manifest_is_no_snapshot(lake: Lake) -> None:
    lake.made.add("h__a", NOV, {"files": [file_row("x", 1)]})
    lake.made.add("h__a", NOV + DAY, {"files": [file_row("x", 2)]}, put=False)
    assert lake.ask("SELECT code FROM files", history=True) == [("1",)]


def test_an_empty_store_has_all_views_without_rows(lake: Lake) -> None:
    for view in views.VIEWS:
        assert lake.ask(f"SELECT * FROM {view}") == []


def test_every_view_has_the_columns_and_types_that_it_says(lake: Lake) -> None:
    three_days(lake)
    for view, columns in views.VIEWS.items():
        described = lake.ask(f"SELECT column_name, column_type FROM (DESCRIBE {view})")
        assert described == [(column.name, column.type) for column in columns], view


def test_a_glob_that_no_repo_is_like_is_an_error(lake: Lake) -> None:
    three_days(lake)
    assert refused("FROM files", lake.store, repos=("h__z*",)).code == "no-snapshot"


# The views of manifests and ledgers


def test_snapshots_refs_and_changes(lake: Lake) -> None:
    tag = Ref(b"refs/tags/v1", "c" * 40, "d" * 40)
    branches = [Ref(b"refs/heads/main", "a" * 40), Ref(b"refs/heads/\xff", "b" * 40)]
    ledger = RefsLedger.build([*branches, tag], b"refs/heads/main")
    change = RefChange(ref="refs/heads/main", old="1" * 40, new="a" * 40)
    changes = RefChanges(
        moved=RefChangeList(count=1, refs=[change]), rewritten=RefChangeList(count=1, refs=[change])
    )
    taken = lake.made.add(
        "h__a",
        NOV,
        {"files": [file_row("x")]},
        ledger=ledger,
        ref_changes=changes,
        labels={"team": "it's"},
        gaps=[Gap(kind="lfs", count=2)],
    )
    run = taken.manifest.run_id
    facts = "repo, run_id, refs, labels['team'], gaps[1].kind, scan_run_id, stored_bytes"
    assert lake.ask(f"SELECT {facts} FROM snapshots") == [
        ("h__a", run, "3", "it's", "lfs", run, str(sum(a.bytes for a in taken.manifest.artifacts)))
    ]
    assert lake.ask("SELECT ref, oid, peeled, symref, ref_bytes FROM refs ORDER BY ref") == [
        ("HEAD", "a" * 40, None, "refs/heads/main", None),
        ("refs/heads/\\xff", "b" * 40, None, None, "cmVmcy9oZWFkcy//"),
        ("refs/heads/main", "a" * 40, None, None, None),
        ("refs/tags/v1", "c" * 40, "d" * 40, None, None),
    ]
    assert lake.ask("SELECT change, ref, old, new FROM ref_changes ORDER BY change") == [
        ("moved", "refs/heads/main", "1" * 40, "a" * 40),
        ("rewritten", "refs/heads/main", "1" * 40, "a" * 40),
    ]


# Only what is needed


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT 1", set()),
        ("FROM snapshots", set()),
        ("FROM ref_changes", set()),
        ("SELECT count(*) FROM refs", {"refs.txt"}),
        ("SELECT count(*) FROM files", {"scan/files.parquet"}),
        (
            "SELECT * FROM snapshots s WHERE EXISTS (FROM symbols y WHERE y.repo = s.repo)",
            {"scan/symbols.parquet"},
        ),
        ("WITH f AS (FROM FILES) SELECT * FROM f, Main_x", None),
    ],
)
def test_only_what_the_sql_names_is_read(tmp_path: Path, sql: str, names: set[str] | None) -> None:
    lake = Lake(open_store("memory:"), tmp_path / "cache")
    symbol = {"path": "x", "name": "f", "kind": "function"}
    first = lake.made.add("h__a", NOV, {"files": [file_row("x")], "symbols": [symbol], "secrets": []})
    lake.made.add("h__a", NOV + DAY, scan_of=first)
    store = Counting(lake.store)
    if names is None:
        refused(sql, store)
        return
    lake.ask(sql, store=store)
    assert store.read == names | {layout.MANIFEST}
    again = Counting(lake.store)
    lake.ask(sql, store=again)
    assert again.read == set()  # all of it is kept on this machine


def test_a_folder_s_tables_are_read_in_place_and_not_copied(folder_lake: Lake) -> None:
    folder_lake.made.add("h__a", NOV, {"files": [file_row("x")]})
    folder_lake.ask("FROM files")
    assert list((folder_lake.cache / "objects").rglob("*.parquet")) == []


@pytest.mark.parametrize("name", ["it's", "a [b]* c?", "\N{SNOWMAN} \\ %", "x/../y"])
def test_a_store_may_be_called_anything(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    lake = Lake(open_store(f"file:{tmp_path / name}"), tmp_path / "cache")
    lake.made.add("h__a", NOV, {"files": [file_row("x")]})
    assert lake.ask("SELECT path FROM files") == [("x",)]
    with ask(lake.store, "SELECT path FROM files", QueryOptions(), output=tmp_path / name / "out") as answer:
        assert answer.parquet(tmp_path / name / "out") == 1


# What is damaged, hostile, older or newer


def rewritten(lake: Lake, sealed: Sealed, change: Callable[[Scan], Scan]) -> None:
    """A snapshot a day later whose manifest says something else about its scan."""
    scan = sealed.manifest.scan
    assert scan
    lake.made.add(
        sealed.manifest.repo,
        NOV + DAY,
        scan_of=seal(msgspec.structs.replace(sealed.manifest, scan=change(scan))),
    )


def artifact(**changes: Any) -> Callable[[Scan], Scan]:
    return lambda scan: msgspec.structs.replace(
        scan, artifacts=[msgspec.structs.replace(scan.artifacts[0], **changes)]
    )


@pytest.mark.parametrize(
    "change",
    [
        artifact(sha256="0" * 64),
        artifact(sha256="../../../etc/passwd"),
        artifact(bytes=7),
        artifact(key="h__b/2026/11/01/20261101T000000Z-00000000/scan/files.parquet"),
        artifact(key="../../etc/passwd"),
        artifact(name="scan/../files.parquet"),
        lambda scan: msgspec.structs.replace(scan, run_id="20261101T000000Z-00000000"),
        lambda scan: msgspec.structs.replace(scan, run_id="../x"),
        lambda scan: msgspec.structs.replace(scan, artifacts=[]),
    ],
)
def test_a_manifest_that_lies_about_its_table_is_left_out(lake: Lake, change: Callable[[Scan], Scan]) -> None:
    lake.made.add("h__b", NOV, {"files": [file_row("good")]})
    rewritten(lake, lake.made.add("h__a", NOV, {"files": [file_row("x")]}), change)
    assert lake.ask("SELECT path FROM files") == [("good",)]
    assert [(each.key.repo, each.what) for each in lake.left_out] == [("h__a", "files")]


@pytest.mark.parametrize("where", ["scan/files.parquet", "manifest.json", "refs.txt"])
def test_what_is_damaged_is_left_out_and_named(tmp_path: Path, where: str) -> None:
    lake = Lake(open_store("memory:"), tmp_path / "cache")
    lake.made.add("h__a", NOV, {"files": [file_row("x")]})
    store = FlippingStore(lake.store, 20, where)
    rows = lake.ask(
        "SELECT f.path, r.ref FROM snapshots LEFT JOIN files f ON true LEFT JOIN refs r ON true", store=store
    )
    assert len(rows) == {"manifest.json": 0, "refs.txt": 1, "scan/files.parquet": 2}[where]
    what = {"manifest.json": "snapshot", "refs.txt": "refs", "scan/files.parquet": "files"}[where]
    assert [(each.key.repo, each.what) for each in lake.left_out] == [("h__a", what)]
    assert lake.left_out[0].why
    lake.ask("SELECT f.path FROM files f, refs, snapshots")
    assert lake.left_out == []  # the damage was not remembered


def test_a_folder_s_damaged_table_is_left_out(folder_lake: Lake) -> None:
    root = folder_lake.store.place.folder
    assert root
    for repo in ("h__a", "h__b", "h__c", "h__d"):
        folder_lake.made.add(repo, NOV, {"files": [file_row(repo)]})
    flipped, short, gone = (next(root.glob(f"h__{name}/**/files.parquet")) for name in "abc")
    data = bytearray(flipped.read_bytes())
    data[30] ^= 1
    folder_lake.ask("FROM files")
    flipped.write_bytes(data)
    short.write_bytes(short.read_bytes()[:-9])
    gone.unlink()
    assert folder_lake.ask("SELECT path FROM files") == [("h__d",)]
    assert [each.key.repo for each in folder_lake.left_out] == ["h__a", "h__b", "h__c"]


def test_a_table_of_other_columns_is_left_out_an_older_or_newer_one_is_not(lake: Lake) -> None:
    known = ", ".join(f"NULL::{kind} AS {name}" for name, kind in COLUMNS["files"].items() if name != "path")
    tables = {
        "h__text": "SELECT 'x' AS path, 'many' AS bytes",
        "h__list": "SELECT ['x'] AS path",
        "h__struct": "SELECT {'a': 1} AS path, 'x' AS blob",
        "h__alien": "SELECT 1 AS something",
        "h__older": "SELECT 'old' AS path, 7::BIGINT AS code",
        "h__newer": f"SELECT {{'future': [1]}} AS later, {known}, 'new' AS path",
    }
    for repo, sql in tables.items():
        lake.made.add(repo, NOV, {"files": (lake.made.parquet(sql), 1)})
    lake.made.add("h__bytes", NOV, {"files": (b"PAR1 this is none PAR1", 1)})
    for _ in range(2):
        assert lake.ask("SELECT path, code, parse_error FROM files ORDER BY path") == [
            ("new", None, None),
            ("old", "7", None),
        ]
        assert {each.key.repo for each in lake.left_out} == {
            "h__text",
            "h__list",
            "h__struct",
            "h__alien",
            "h__bytes",
        }
        assert "bytes is VARCHAR" in next(each.why for each in lake.left_out if each.key.repo == "h__text")


def test_a_store_in_trouble_is_an_error_and_not_a_gap(tmp_path: Path) -> None:
    lake = Lake(open_store("memory:"), tmp_path / "cache")
    lake.made.add("h__a", NOV, {"files": [file_row("x")]})

    def fail(method: str, key: str) -> None:
        if method == "get" and key.endswith(".parquet"):
            raise Unavailable("S3 failed", code="store", hint="try again")

    assert refused("FROM files", RecordingStore(lake.store, fail)).code == "store"


# The fences

ESCAPES = [
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_parquet('{parquet}')",
    "SELECT * FROM parquet_metadata('{parquet}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM '{parquet}'",
    "SELECT * FROM read_json('{secret}')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('{secret}')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM ''{secret}'''))",
    "SELECT (SELECT content FROM read_text('{secret}'))",
    "WITH x AS (FROM read_text('{secret}')) FROM x",
    "SELECT * FROM files WHERE path IN (SELECT file FROM glob('{folder}/*'))",
    "DESCRIBE '{parquet}'",
    "SUMMARIZE '{secret}'",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY files FROM '{secret}'",
    "ATTACH '{folder}/new.db'",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP MACRO m() AS TABLE FROM read_text('{secret}')",
    "INSERT INTO files SELECT 1",
    "DROP VIEW files",
    "EXPORT DATABASE '{folder}/export'",
    "IMPORT DATABASE '{folder}'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET allowed_paths = ['{secret}']",
    "SET allowed_directories = ['/']",
    "SET memory_limit = '64GB'",
    "SET temp_directory = '{folder}'",
    "SET python_enable_replacements = true",
    "SET lock_configuration = false",
    "RESET enable_external_access",
    "PRAGMA enable_external_access = true",
    "CREATE SECRET s (TYPE s3)",
    "CALL enable_logging(storage = 'file', storage_path = '{folder}')",
    "SELECT getenv('HOME')",
    "SELECT current_setting('allowed_paths')",
    "SELECT write_log('x')",
    "SELECT * FROM a_python_variable",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM _scans_files",
    "WITH a AS (WITH _scans_files AS (SELECT 1) FROM _scans_files) FROM _scans_files",
    "WITH a AS (WITH pg_settings AS (SELECT 1) FROM pg_settings) FROM pg_settings",
    "WITH a AS (WITH Duckdb_Databases AS (SELECT 1) FROM duckdb_databases) FROM DUCKDB_DATABASES",
    'WITH a AS (WITH "{secret}" AS (SELECT 1) FROM "{secret}") FROM \'{secret}\'',
    "SELECT 1; COPY (SELECT 1) TO '{folder}/out.csv'",
    "SELECT 1) TO '{folder}/out.csv'; --",
    "PREPARE p AS SELECT 1",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/out.csv'",
    "",
    "-- nothing",
    "SELECT " + "abs(" * 900 + "1" + ")" * 900,
    "SELECT " + "abs(" * 3000 + "1" + ")" * 3000,
    "SELECT 1 -- " + "x" * 300_000,
]


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
    with closing(locked_engine.connect(2**28)) as connection:
        connection.execute("CREATE TABLE files (path VARCHAR)")
        locked_engine.lock(connection, [tmp_path / "allowed.parquet"])
        with pytest.raises(duckdb.Error) as raised:
            connection.execute(
                sql.format(secret=tmp_path / "secret.csv", folder=tmp_path, parquet="")
            ).fetchall()
    assert "SECRET\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


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


def test_refs_that_need_too_much_memory_end_it_too(folder_lake: Lake) -> None:
    lake = folder_lake
    many = RefsLedger.build(Ref(b"refs/tags/%06d" % number, f"{number:040x}") for number in range(60_000))
    lake.made.add("h__a", NOV, ledger=many)
    assert refused("SELECT max(oid) FROM refs", lake.store, memory=4_000_000).code == "query-memory"
    assert lake.ask("SELECT count(*) FROM refs") == [("60000",)]


def test_a_cancelled_query_ends(lake: Lake) -> None:
    cancel = Cancel()
    threading.Timer(0.3, cancel.cancel, [Interrupted("stopped")]).start()
    sql = "SELECT count(*) FROM range(100000000000)"
    with pytest.raises(Interrupted), ask(lake.store, sql, QueryOptions(), cancel=cancel) as answer:
        list(answer.texts())


# The cache


def test_the_cache_is_private_and_refuses_a_folder_that_others_may_write(tmp_path: Path) -> None:
    made = Cache.prepared(tmp_path / "mine", 1)
    assert {path.stat().st_mode & 0o777 for path in [made.root, *made.root.iterdir()]} == {0o700}
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(UsageError, match="written to by others"):
        Cache.prepared(shared, 1)
    for useless in (Path(os.devnull) / "x", tmp_path / "a*"):
        with pytest.raises(UsageError):
            Cache.prepared(useless, 1)


def test_the_cache_forgets_what_was_not_used_for_longest_and_nothing_in_use(tmp_path: Path) -> None:
    made = Cache.prepared(tmp_path, 10_000)
    old, older, new = ("1" * 64, "2" * 64, "3" * 64)
    for digest, hours in ((old, 5), (older, 9), (new, 0)):
        path = made.keep(digest, b"x" * 8000)
        os.utime(path, (time.time() - hours * 3600,) * 2)
    made.shrink()
    assert [made.find(each) is not None for each in (old, older, new)] == [False, False, True]
    Cache.prepared(tmp_path, 0).shrink()
    assert made.find(new)


def test_a_kept_ledger_that_was_altered_is_not_used(tmp_path: Path) -> None:
    lake = Lake(open_store("memory:"), tmp_path / "cache")
    lake.made.add("h__a", NOV)
    sql = "SELECT oid FROM refs WHERE ref = 'refs/heads/main'"
    assert lake.ask(sql) == [("a" * 40,)]
    (kept,) = (tmp_path / "cache" / "objects").rglob("*.parquet")
    kept.write_bytes(kept.read_bytes().replace(b"a" * 40, b"b" * 40))
    assert lake.ask(sql) == [("a" * 40,)]


def test_an_index_that_does_not_read_is_made_anew(lake: Lake) -> None:
    three_days(lake)
    lake.ask("FROM files")
    for path in (lake.cache / "index").iterdir():
        path.write_bytes(path.read_bytes()[:-20])
    assert len(lake.ask("FROM files")) == 2


def test_where_the_cache_is(tmp_path: Path) -> None:
    assert folder("", {"HOME": str(tmp_path)}) == tmp_path / ".cache" / "snapshotter"
    assert folder("", {"HOME": os.devnull}) is None
    assert folder("", {}) is None
    assert folder("", {"HOME": os.devnull, "XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "snapshotter"
    assert folder(str(tmp_path / "x"), {"HOME": os.devnull}) == tmp_path / "x"


# Versions and examples


def test_version_keys_order_as_people_mean() -> None:
    ordered = [
        "0.9",
        "1.0.dev1",
        "1.0a1",
        "1.0-beta2",
        "1.0-M1",
        "1.0-rc1",
        "1.0-rc2",
        "1.0-SNAPSHOT",
        "1.0",
        "1.0.post1",
        "1.0.1",
        "1.2",
        "1.9",
        "1.10",
        "2.9",
        "2.16.9",
        "2.17.0-rc1",
        "2.17",
        "2.17.1",
        "10.0",
        "20260101",
    ]
    same = [("1.0", "1"), ("v1.0", "1.0.0"), ("1.0+build7", "1.0"), ("V2", "2"), ("32.1.3-jre", "32.1.3")]
    with closing(locked_engine.connect(2**28)) as connection:
        for macro in views.MACROS:
            connection.execute(macro)

        def key(version: str) -> Any:
            found = connection.execute("SELECT version_key(?::VARCHAR)", [version]).fetchone()
            return found[0] if found else None

        keys = [key(version) for version in ordered]
        assert keys == sorted(keys)
        assert len({tuple(each) for each in keys}) == len(ordered)
        assert [key(a) == key(b) for a, b in same] == [True] * len(same)
        assert [key(version) for version in ("", "main", "a" * 40, "1" * 40, "*")] == [None] * 5


def dependency(name: str, version: str | None, **more: Any) -> dict[str, Any]:
    return {"path": "pom.xml", "ecosystem": "maven", "name": name, "version": version} | more


@pytest.fixture
def told(lake: Lake) -> Iterator[Callable[[str], Sequence[tuple[str | None, ...]]]]:
    """Answers the example whose question begins so, over a store in which each has an answer."""
    old, new = datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)
    secret = {"path": ".env", "rule": "aws", "line": 3, "fingerprint": "f1"}
    change = RefChange(ref="refs/heads/main", old="1" * 40, new="2" * 40)
    rewrite = RefChanges(
        rewritten=RefChangeList(count=1, refs=[change]), moved=RefChangeList(count=1, refs=[change])
    )
    lake.made.add(
        "h__a",
        old,
        {
            "files": [file_row("gone.py", 5), file_row("a.py", 50), file_row("same.py", 60)],
            "dependencies": [dependency(LOG4J, "2.9.0")],
        },
    )
    lake.made.add(
        "h__a",
        new,
        {
            "files": [
                file_row("new.go", 300, language="Go"),
                file_row("u/u.go", 1, language="Go"),
                file_row("a.py", 51),
                file_row("same.py", 60),
                file_row("vendor/v.py", 7, vendored=True),
            ],
            "dependencies": [
                dependency(LOG4J, "2.9.1"),
                dependency("other:log4j-core", "1.0"),
                dependency("actions/checkout", None, requirement="v4", ecosystem="github"),
                dependency("actions/cache", "c" * 40, requirement="c" * 40, ecosystem="github"),
            ],
            "secrets": [secret | {"path": "later.env"}],
            "imports": [
                {"path": "a.py", "language": "Python", "module": "same", "resolved_path": "same.py"},
                {"path": "new.go", "language": "Go", "module": "example.com/m/u", "resolved_path": "u"},
            ],
            "symbols": [
                {
                    "path": "a.py",
                    "name": "parse_url",
                    "kind": "function",
                    "line": 4,
                    "signature": "parse_url(x)",
                }
            ],
        },
        ref_changes=rewrite,
    )
    lake.made.add("h__b", old + DAY, {"secrets": [secret], "dependencies": [dependency(LOG4J, "2.17.0")]})
    lake.made.add(
        "h__c", datetime.now(UTC) - timedelta(hours=1), {"dependencies": [dependency(LOG4J, "2.100")]}
    )

    def answer(start: str) -> Sequence[tuple[str | None, ...]]:
        (example,) = [each for each in EXAMPLES if each.question.startswith(start)]
        assert '"' not in example.sql
        return lake.ask(example.sql, history="--history" in example.flags)

    yield answer


ANSWERS: dict[str, Sequence[tuple[str | None, ...]]] = {
    "Who still uses log4j": [("h__a", "pom.xml", "2.9.1")],
    "Where did each secret first appear": [("f1", "2026-10-21 00:00:00", "h__b", ".env", "3", "aws")],
    "What changed between two dates": [
        ("h__a", "a.py", "changed"),
        ("h__a", "gone.py", "removed"),
        ("h__a", "new.go", "added"),
        ("h__a", "u/u.go", "added"),
        ("h__a", "vendor/v.py", "added"),
    ],
    "Which files are the largest": [
        ("h__a", "new.go", "3000", "Go"),
        ("h__a", "same.py", "600", "Python"),
        ("h__a", "a.py", "510", "Python"),
        ("h__a", "vendor/v.py", "70", "Python"),
        ("h__a", "u/u.go", "10", "Go"),
    ],
    "Where did the languages shift most": [("h__a", "Go", "0", "301"), ("h__a", "Python", "115", "118")],
    "Which files does nobody import": [("h__a", "new.go", "300"), ("h__a", "a.py", "51")],
    "Which branches were rewritten": [("2026-11-20 00:00:00", "h__a", "refs/heads/main", "1" * 40, "2" * 40)],
    "Which GitHub Actions": [("actions/checkout", "v4", "1")],
    "Where is a function or class": [("h__a", "a.py", "4", "function", "parse_url(x)")],
}


@pytest.mark.parametrize("question", ANSWERS)
def test_the_examples_answer_their_questions(
    told: Callable[[str], Sequence[tuple[str | None, ...]]], question: str
) -> None:
    assert told(question) == ANSWERS[question]


def test_the_example_of_repositories_without_a_new_snapshot(
    told: Callable[[str], Sequence[tuple[str | None, ...]]],
) -> None:
    assert [row[0] for row in told("Which repositories lack")] == ["h__b", "h__a"]


def test_there_are_ten_examples_and_each_has_a_known_answer() -> None:
    assert len(EXAMPLES) == 10
    assert len(ANSWERS) == 9
