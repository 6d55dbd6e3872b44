"""The tables of a scan: exact values, the same bytes for the same rows, and a hostile parent."""

import hashlib
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snapshotter.base.errors import Unavailable
from snapshotter.scan import loading, table_engine, table_rows
from snapshotter.scan.columns import COLUMNS, REQUIRED, order
from snapshotter.scan.parquet import ScanTables
from snapshotter.scan.redaction import Redaction
from snapshotter.scan.symbols.records import Analysis, Import
from snapshotter.scan.table_engine import TableEngine, TableEngines

Rows = dict[str, list[tuple[Any, ...]]]

TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(
        ["", "\0", "a\0b", "\r\n", "\n", '"', "'", "\\", "\\ud800", "\x1b[31m", "null", "NULL", "1", "é"]
    ),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "VARCHAR": TEXT,
    "VARCHAR[]": st.lists(TEXT, max_size=4),
    "BIGINT": st.integers(-(2**63), 2**63 - 1),
    "INTEGER": st.integers(-(2**31), 2**31 - 1),
    "BOOLEAN": st.booleans(),
}


def row_of(table: str) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(
        *(
            VALUES[kind] if name in REQUIRED[table] else st.none() | VALUES[kind]
            for name, kind in COLUMNS[table].items()
        )
    )


def rows_of(table: str) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    unique = (lambda row: row[0]) if table == "files" else None
    return st.lists(row_of(table), max_size=30, unique_by=unique)


EVERY = st.fixed_dictionaries({table: rows_of(table) for table in COLUMNS})


def filled(tables: ScanTables, rows: Rows) -> None:
    for table, those in rows.items():
        tables.add(table, those)


def select(tables: ScanTables, table: str) -> list[tuple[Any, ...]]:
    return tables.connection.execute(f"FROM {table} ORDER BY {order(table)}").fetchall()


def multiset(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    return sorted(repr(row) for row in rows)


def write(folder: Path, rows: Rows, name: str = "out", **options: int) -> dict[str, Path]:
    (folder / name).mkdir()
    with ScanTables(temp=folder, **options) as tables:
        filled(tables, rows)
        return tables.write(folder / name)


def contents(written: dict[str, Path]) -> dict[str, str]:
    return {table: hashlib.sha256(path.read_bytes()).hexdigest() for table, path in written.items()}


def repository(files: int, each: int, seed: int = 0) -> Rows:
    """Rows of a tree, with ties, repeated rows and nulls."""
    pick = random.Random(seed)
    rows: Rows = {table: [] for table in COLUMNS}
    for n in range(files):
        path, blob = f"src/m{n % 7}/f{n}.py", f"{n:040x}"
        rows["files"].append(
            (
                path,
                None,
                "100644",
                blob,
                "file",
                n,
                "Python",
                n,
                n,
                0,
                0,
                1,
                *[False] * 5,
                None,
                None,
                None,
                None,
            )
        )
        for _ in range(each):
            name, line = f"n{pick.randrange(5)}", pick.randrange(20)
            rows["symbols"].append(
                (path, blob, "Python", "function", name, name, line, line, "", pick.choice(["", None]))
            )
            rows["imports"].append(
                (path, blob, "Python", name, pick.choice([[], ["a"], ["a", "b"]]), line, None)
            )
        rows["dependencies"].append(
            (path, blob, "pypi", f"d{n}", None, ">=1", "runtime", True, f"pkg:pypi/d{n}")
        )
        rows["secrets"].append((path, blob, "rule", pick.choice([None, 3]), "low", f"{n:064x}"))
    return rows


@given(EVERY)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_value_comes_back_exactly_from_memory_from_parquet_and_from_a_parent(
    tmp_path: Path, rows: Rows
) -> None:
    with ScanTables(temp=tmp_path) as tables:
        filled(tables, rows)
        assert tables.counts() == {table: len(those) for table, those in rows.items()}
        for table, those in rows.items():
            assert multiset(select(tables, table)) == multiset(those)
        written = tables.write(tmp_path)
    with ScanTables(temp=tmp_path) as tables:
        tables.load_before(written)
        for table, those in rows.items():
            assert select(tables, table) == []
            found = tables.connection.execute(f"FROM before_{table}").fetchall()
            assert multiset(found) == multiset(those)
        before = [tuple(row[name] for name in COLUMNS["files"]) for row in tables.before_files()]
        assert multiset(before) == multiset(rows["files"])


@pytest.mark.parametrize("length", [1_000_000, 5_000_000])
def test_long_text_comes_back_exactly(tmp_path: Path, length: int) -> None:
    texts = ["\0" * length, 'é\n"\\' * (length // 4), "x" * length]
    rows = [("p", "b", "Python", "function", text, "q", 1, 1, text, None) for text in texts]
    with ScanTables(temp=tmp_path) as tables:
        tables.add("symbols", rows)
        assert multiset(select(tables, "symbols")) == multiset(rows)
        tables.add("imports", [("p", "b", "Python", texts[0], [texts[1], ""], 1, None)])
        assert select(tables, "imports") == [("p", "b", "Python", texts[0], [texts[1], ""], 1, None)]


def test_rows_that_fill_the_waiting_file_many_times_are_all_added_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "MAX_FILE", 10_000)
    monkeypatch.setattr(loading, "MAX_LINE", 2_000)
    rows = repository(300, 3)
    with ScanTables(temp=tmp_path) as tables:
        filled(tables, rows)
        for table, those in rows.items():
            assert multiset(select(tables, table)) == multiset(those)


def test_a_row_of_too_few_values_is_refused(tmp_path: Path) -> None:
    with ScanTables(temp=tmp_path) as tables, pytest.raises(ValueError, match="shorter"):
        tables.add("secrets", [("p", "b", "rule", 1, "low")])


def test_a_path_has_one_row(tmp_path: Path) -> None:
    rows = repository(1, 0)["files"]
    with ScanTables(temp=tmp_path) as tables:
        tables.add("files", rows)
        with pytest.raises(duckdb.ConstraintException):
            tables.add("files", rows)


def test_the_files_hold_every_column_in_its_type_and_order(tmp_path: Path) -> None:
    for rows in (repository(3, 2), {}):
        written = write(tmp_path, rows, f"out{len(rows)}")
        for table, path in written.items():
            found = duckdb.execute("DESCRIBE FROM read_parquet(?)", [str(path)]).fetchall()
            assert [(name, kind) for name, kind, *_ in found] == list(COLUMNS[table].items())


def test_the_same_rows_make_the_same_bytes_in_any_order_by_any_number_of_threads(tmp_path: Path) -> None:
    rows = repository(900, 50)  # several row groups
    first = write(tmp_path, rows, "first", threads=1)
    groups = duckdb.execute(
        "SELECT num_row_groups FROM parquet_file_metadata(?)", [str(first["symbols"])]
    ).fetchone()
    assert groups == (3,)
    for number, threads in enumerate((1, 4, 4)):
        shuffled = {table: random.Random(number).sample(those, len(those)) for table, those in rows.items()}
        again = write(tmp_path, shuffled, f"again{number}", threads=threads)
        assert contents(again) == contents(first)


def test_rows_that_spill_make_the_same_bytes(tmp_path: Path) -> None:
    rows = repository(400, 100)
    rows["symbols"] = [(*row[:8], "s" * 1000, row[9]) for row in rows["symbols"]]
    first = write(tmp_path, rows, "roomy", memory=2000)
    assert contents(write(tmp_path, rows, "tight", memory=128)) == contents(first)


def test_what_is_carried_equals_what_is_added(tmp_path: Path) -> None:
    now = repository(60, 5)
    before = {table: [(f"old/{row[0]}", *row[1:]) for row in those] for table, those in now.items()}
    parent = write(tmp_path, before, "parent")
    carried = {row[0] for row in now["files"][:50]}
    (tmp_path / "incremental").mkdir()
    with ScanTables(temp=tmp_path) as tables:
        tables.load_before(parent)
        tables.carry((path, f"old/{path}") for path in carried)
        tables.add("files", now["files"])
        for table in ("symbols", "imports", "dependencies", "secrets"):
            tables.add(table, [row for row in now[table] if row[0] not in carried])
        incremental = tables.write(tmp_path / "incremental")
    assert contents(incremental) == contents(write(tmp_path, now, "full"))


def test_without_a_key_a_finding_is_told_by_rule_place_and_order(tmp_path: Path) -> None:
    def marks(repo: str, *rows: tuple[str, str, int]) -> dict[tuple[str, str, int], str]:
        with ScanTables(temp=tmp_path) as tables:
            tables.add("secrets", [(path, "b", rule, line, "low", "") for path, rule, line in rows])
            tables.mark_secrets(repo)
            return {(row[0], row[2], row[3]): row[5] for row in select(tables, "secrets")}

    first = marks("r", ("a", "x", 1), ("a", "x", 5), ("a", "y", 5), ("b", "x", 1))
    assert len(set(first.values())) == 4
    moved = marks("r", ("a", "x", 11), ("a", "x", 15), ("a", "y", 15), ("b", "x", 1))
    assert list(moved.values()) == list(first.values()), "an edit above them changes nothing"
    assert set(marks("s", *first).values()).isdisjoint(first.values()), "another repository has other secrets"


def test_one_path_before_may_stand_at_two_paths_now_and_an_unknown_one_gives_nothing(tmp_path: Path) -> None:
    parent = write(
        tmp_path, {"secrets": [("old", "b", "rule", 1, "low", "f"), ("other", "c", "rule", 1, "low", "g")]}
    )
    with ScanTables(temp=tmp_path) as tables:
        tables.load_before(parent)
        tables.carry([("one", "old"), ("two", "old"), ("three", "unknown")])
        tables.carry([])
        assert [(row[0], row[1]) for row in select(tables, "secrets")] == [("one", "b"), ("two", "b")]


def test_without_a_parent_the_tables_before_are_empty(tmp_path: Path) -> None:
    with ScanTables(temp=tmp_path) as tables:
        assert tables.before_files() == []
        tables.carry([("a", "a")])
        assert set(tables.counts().values()) == {0}
        for table in COLUMNS:
            assert tables.connection.execute(f"FROM before_{table}").fetchall() == []


def test_paths_changed_compares_paths_and_nothing_else(tmp_path: Path) -> None:
    rows = repository(4, 1)
    parent = write(tmp_path, rows)
    others = [(row[0], None, "100755", "other", *row[4:]) for row in rows["files"]]
    for chosen, changed in ((others, False), (others[:3], True), ([*others, ("new", *others[0][1:])], True)):
        with ScanTables(temp=tmp_path) as tables:
            tables.load_before(parent)
            tables.add("files", chosen)
            assert tables.paths_changed() is changed


def test_imports_are_resolved_into_a_row_for_each_file(tmp_path: Path) -> None:
    asked: list[tuple[str, str, Import]] = []

    def find(path: str, language: str, item: Import) -> list[tuple[tuple[str, ...], str | None]]:
        asked.append((path, language, item))
        return [((name,), f"{path}/{name}\0") for name in item.names] or [((), None)]

    rows = [
        ("a", "b", "Python", "m", ["x"], 4, None),
        ("a", "b", "Python", "m", ["y", "x"], 5, None),
        ("a", "b", "Python", "m", [], 6, "was"),
        ("c", "b", "Go", "m", ["x", "z"], 7, "two rows"),
        ("c", "b", "Go", "m", ["y"], 7, "of one import"),
    ]
    parent = write(tmp_path, {"imports": rows})
    with ScanTables(temp=tmp_path) as tables:
        tables.load_before(parent)
        tables.carry([("a", "a"), ("c", "c")])
        tables.resolve_carried(find)
        assert sorted(asked) == [
            ("a", "Python", Import("m", (), 6)),
            ("a", "Python", Import("m", ("x",), 4)),
            ("a", "Python", Import("m", ("x", "y"), 5)),
            ("c", "Go", Import("m", ("x", "y", "z"), 7)),
        ]
        assert sorted((row[0], *row[4:7]) for row in select(tables, "imports")) == [
            ("a", [], 6, None),
            ("a", ["x"], 4, "a/x\0"),
            ("a", ["x"], 5, "a/x\0"),
            ("a", ["y"], 5, "a/y\0"),
            ("c", ["x"], 7, "c/x\0"),
            ("c", ["y"], 7, "c/y\0"),
            ("c", ["z"], 7, "c/z\0"),
        ]
        first = sorted(select(tables, "imports"))
        tables.resolve_carried(find)
        assert sorted(select(tables, "imports")) == first


def test_what_was_read_is_resolved_as_its_rows_are_made() -> None:
    def find(path: str, _language: str, item: Import) -> list[tuple[tuple[str, ...], str | None]]:
        return [(item.names, f"{path}/{item.module}"), ((), None)]

    analysis = Analysis((), (Import("m", ("y", "x"), 4), Import("m", ("x", "z"), 4), Import("m", (), 5)))
    unit = ("b", "py")
    rows = table_rows.imports(unit, "Python", analysis, {unit: ["a", "c"]}, Redaction([]), find)
    assert [row for row in rows if row[6]] == [
        ("a", "b", "Python", "m", ("x", "y", "z"), 4, "a/m"),
        ("a", "b", "Python", "m", (), 5, "a/m"),
        ("c", "b", "Python", "m", ("x", "y", "z"), 4, "c/m"),
        ("c", "b", "Python", "m", (), 5, "c/m"),
    ]


def test_what_was_carried_over_keeps_its_meaning_unless_it_is_asked_for_anew(tmp_path: Path) -> None:
    old = [("a", "b", "Python", "m", [], 1, "was"), ("gone", "b", "Python", "m", [], 1, "was")]
    parent = write(tmp_path, {"imports": old})
    with ScanTables(temp=tmp_path) as tables:
        tables.load_before(parent)
        tables.carry([("a", "a")])
        tables.add("imports", [("c", "b", "Python", "m", [], 1, "new")])
        assert [row[6] for row in sorted(select(tables, "imports"))] == ["was", "new"]
        tables.resolve_carried(lambda *_: [((), "is")])
        assert [row[6] for row in sorted(select(tables, "imports"))] == ["is", "new"]


def test_resolving_many_imports_answers_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_engine, "MAX_FETCHED", 7)
    monkeypatch.setattr(loading, "MAX_FILE", 100)
    rows = [(f"p{n}", "b", "Python", f"m{n}", [], 1, None) for n in range(3000)]
    parent = write(tmp_path, {"imports": rows})
    with ScanTables(temp=tmp_path) as tables:
        tables.load_before(parent)
        tables.carry((row[0], row[0]) for row in rows)
        tables.resolve_carried(lambda path, _language, item: [((), path + item.module)])
        assert multiset(select(tables, "imports")) == multiset([(*row[:6], row[0] + row[3]) for row in rows])


def damaged(folder: Path, path: Path, table: str = "imports", **options: int) -> Unavailable:
    with ScanTables(temp=folder, **options) as tables, pytest.raises(Unavailable) as caught:
        tables.load_before({table: path})
    assert caught.value.code == "damaged"
    assert caught.value.hint
    assert table in caught.value.message
    return caught.value


@pytest.mark.parametrize("cut", [0, 3, 4, 100, -1, -9])
def test_a_parent_that_is_cut_is_damaged(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, repository(20, 3))["imports"]
    path.write_bytes(path.read_bytes()[:cut])
    damaged(tmp_path, path)


def test_a_parent_that_is_no_parquet_or_is_not_there_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "it's.parquet"
    damaged(tmp_path, path)
    for content in (b"path,blob\n1,2\n", b'{"path": 1}\n', b"PAR1" + b"\xff" * 64 + b"PAR1", b"\0" * 10_000):
        path.write_bytes(content)
        damaged(tmp_path, path)


@pytest.mark.parametrize(
    "change",
    [
        "SELECT * EXCLUDE (line)",
        "SELECT *, 1 AS more",
        "SELECT * REPLACE (line::BIGINT AS line)",
        "SELECT * REPLACE (module::BLOB AS module)",
        "SELECT * REPLACE ([names] AS names)",
        "SELECT * RENAME (module AS Modules)",
    ],
)
def test_a_parent_of_other_columns_or_types_is_damaged(tmp_path: Path, change: str) -> None:
    path = write(tmp_path, repository(3, 1))["imports"]
    other = tmp_path / "other.parquet"
    duckdb.execute(f"COPY ({change} FROM read_parquet('{path}')) TO '{other}'")
    assert damaged(tmp_path, other).details == ("its columns are not those of this table",)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("files", "SELECT * REPLACE (NULL::VARCHAR AS path)"),
        ("files", "SELECT * REPLACE ('same' AS path)"),
        ("imports", "SELECT * REPLACE (NULL::VARCHAR[] AS names)"),
        ("secrets", "SELECT * REPLACE (NULL::VARCHAR AS fingerprint)"),
    ],
)
def test_a_parent_with_nulls_or_one_path_twice_is_damaged(tmp_path: Path, table: str, change: str) -> None:
    path = write(tmp_path, repository(3, 1))[table]
    other = tmp_path / "other.parquet"
    duckdb.execute(f"COPY ({change} FROM read_parquet('{path}')) TO '{other}'")
    damaged(tmp_path, other, table)


def test_a_parent_that_declares_ten_billion_rows_is_damaged(tmp_path: Path) -> None:
    rows = [("p", "b", "Python", "m", [], 1, None)] * 12_345
    path = write(tmp_path, {"imports": rows})["imports"]
    content = path.read_bytes()
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") : -8]
    assert footer.count(varint(12_345)) >= 2
    footer = footer.replace(varint(12_345), varint(10**10))
    start = content[: len(content) - 8 - int.from_bytes(content[-8:-4], "little")]
    path.write_bytes(start + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert damaged(tmp_path, path).details == ("it declares too many rows",)


def varint(number: int) -> bytes:
    """A positive 64-bit number as thrift's compact protocol writes it."""
    number, found = number * 2, bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def test_a_small_parent_that_unfolds_to_more_than_the_room_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    duckdb.execute(
        "COPY (SELECT 'p' AS path, 'b' AS blob, 'r' AS rule, 1 AS line, 'low' AS confidence,"
        f" repeat('x', 50000) AS fingerprint FROM range(10000)) TO '{path}' (COMPRESSION zstd)"
    )
    assert path.stat().st_size < 1_000_000
    error = damaged(tmp_path, path, "secrets", memory=64, spill=64)
    assert "memory" in error.details[0].lower()


def test_rows_for_which_there_is_no_room_are_an_error_of_ours(tmp_path: Path) -> None:
    noise = random.Random(0)  # what spills is compressed
    rows = (("p", "b", "rule", 1, "low", noise.randbytes(20_000).hex()) for _ in range(6_000))
    with ScanTables(temp=tmp_path, memory=128, spill=16) as tables, pytest.raises(Unavailable) as caught:
        tables.add("secrets", rows)
    assert caught.value.code == "no-room"


@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('/etc/hostname')",
        "FROM glob('/*')",
        "ATTACH '/tmp/other.db'",
        "COPY files TO '/tmp/stolen.parquet'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "FROM 'https://localhost/x.parquet'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET allowed_directories = ['/']",
        "FROM somewhere",
    ],
)
def test_the_connection_reaches_nothing_else(tmp_path: Path, statement: str) -> None:
    somewhere = [1]
    with ScanTables(temp=tmp_path) as tables:
        tables.load_before(write(tmp_path, {}))
        with pytest.raises(duckdb.Error):
            tables.connection.execute(statement)
    assert somewhere == [1]


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "temp").mkdir()
    (tmp_path / "out").mkdir()
    with ScanTables(temp=tmp_path / "temp") as tables:
        filled(tables, repository(5, 5))
        written = tables.write(tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
            f"{name}.parquet" for name in COLUMNS
        )
    with pytest.raises(ZeroDivisionError), ScanTables(temp=tmp_path / "temp") as tables:
        tables.load_before(written)
        raise ZeroDivisionError
    assert list((tmp_path / "temp").iterdir()) == []


def test_the_schema_loads_no_database() -> None:
    code = "import sys, snapshotter.scan.columns; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def rows_held(engine: TableEngine) -> list[tuple[str]]:
    """The tables of an engine that have rows, or are of a scan."""
    named = engine.connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    return [
        (name,)
        for (name,) in named
        if not name.startswith("before_") or engine.connection.execute(f"FROM {name}").fetchall()
    ]


def test_an_engine_serves_one_small_scan_after_another_and_keeps_nothing_of_them(tmp_path: Path) -> None:
    rows = {"secrets": [("a.py", "b" * 40, "rule", 1, "high", "f")]}
    with TableEngines(temp=tmp_path, tmpfs=tmp_path / "none") as engines:
        seen = []
        for number in range(2):
            with ScanTables(temp=tmp_path, engines=engines) as tables:
                tables.expect(3)
                tables.add("secrets", rows["secrets"])
                assert tables.counts() == {name: int(name == "secrets") for name in COLUMNS}
                folder = tmp_path / f"out{number}"
                folder.mkdir()
                written = tables.write(folder)
                seen.append(tables.connection)
        assert seen[0] is seen[1]
        assert contents(written) == contents(write(tmp_path, {"secrets": rows["secrets"]}, "alone"))
        with pytest.raises(ZeroDivisionError), ScanTables(temp=tmp_path, engines=engines) as tables:
            tables.expect(3)
            tables.add("secrets", rows["secrets"])
            assert tables.connection is seen[0]
            raise ZeroDivisionError
        with engines.lent() as engine:
            assert engine.connection is not seen[0]
            assert rows_held(engine) == []
        assert len(list(tmp_path.glob("snapshotter-scan-*"))) == 1
    assert not list(tmp_path.glob("snapshotter-scan-*"))


def test_tables_of_many_files_and_those_with_a_scan_before_have_an_engine_of_their_own(
    tmp_path: Path,
) -> None:
    before = write(tmp_path, {}, "before")
    with TableEngines(temp=tmp_path, tmpfs=tmp_path / "none") as engines, engines.lent() as engine:
        for files, earlier in ((501, {}), (3, before)):
            with ScanTables(temp=tmp_path, engines=engines) as tables:
                tables.expect(files)
                if earlier:
                    tables.load_before(earlier)
                assert tables.connection is not engine.connection
        assert rows_held(engine) == []
