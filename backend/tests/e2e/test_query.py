"""`snapshotter query` as users run it: formats, files, exit codes, signals."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from scanstore import ScanStore
from snapshotter.query.examples import EXAMPLES
from snapshotter.query.views import KEYS, VIEWS
from snapshotter.store.opening import open_store
from tests.support.cli import Done, cli, cli_env, command
from tests.support.lake import DAY, NOV, file_row

EVIL = "a\x1b[31mred\x9b2J\u202e\r\n\tb"
DOCS = Path(__file__).parents[3] / "docs" / "query.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of two repositories, one with a hostile path."""
    folder = tmp_path_factory.mktemp("query")
    made = ScanStore(open_store(f"file:{folder / 'store'}"))
    made.add("h__a", NOV, {"files": [file_row("x", 1)]})
    made.add("h__a", NOV + DAY, {"files": [file_row("x", 2), file_row(EVIL, 3)]})
    made.add("h__b", NOV, {"files": [file_row(f"f{number}", number) for number in range(150)]})
    return folder


def ask(place: Path, *argv: str | Path) -> Done:
    return cli("query", *argv, "--store", place / "store", SNAPSHOTTER_CACHE=str(place / "cache"))


def test_a_table_for_people(place: Path) -> None:
    done = ask(place, "SELECT repo, sum(code) AS code FROM files GROUP BY ALL ORDER BY repo")
    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["repo", "code"],
        ["─" * len(done.out.splitlines()[1].strip())],
        ["h__a", "5"],
        ["h__b", "11175"],
        ["2", "rows", "from", "2", "snapshots"],
    ]


def test_a_table_is_bounded_and_says_so(place: Path) -> None:
    sql = "SELECT path FROM files WHERE repo = 'h__b'"
    done = ask(place, sql)
    assert len(done.out.splitlines()) == 104
    assert done.out.endswith("50 of them are not shown: add --limit 150, or --format csv -o FILE\n")
    assert "are not shown" not in ask(place, sql, "--limit", "0").out
    assert "…" in ask(place, "SELECT repeat('x', 5000)").out


def test_escapes_in_data_do_not_act(place: Path) -> None:
    sql = f"SELECT path, 1 AS {chr(34)}n\x1b[1m[bold]{chr(34)} FROM files WHERE code = 3 AND repo = 'h__a'"
    plain = ask(place, sql).out
    assert "\x1b" not in plain
    assert "\x9b" not in plain
    assert "\\x1b[31mred\\x9b2J\\u202e\\r\\n\\tb" in plain
    assert "[bold]" in plain
    leader, follower = pty.openpty()
    env = cli_env(SNAPSHOTTER_CACHE=str(place / "cache"), TERM="xterm-256color", COLUMNS="200")
    for form in ("table", "csv"):
        argv = command("query", "-q", sql, "--store", place / "store", "--format", form)
        assert (
            subprocess.run(argv, env=env, stdout=follower, stderr=subprocess.PIPE, check=False).returncode
            == 0
        )
        shown = os.read(leader, 65536)
        assert b"red" in shown
        assert b"\x1b" not in shown
        assert "\x9b".encode() not in shown
    os.close(leader)
    os.close(follower)


def test_json_is_one_document(place: Path) -> None:
    numbers = "'nan'::DOUBLE AS n, [1.5, 'inf'::DOUBLE] AS l, 1 AS n"
    some = "code > 148 OR path < 'b'"
    done = ask(place, f"SELECT path, code, {numbers} FROM files WHERE {some} ORDER BY code", "--json")
    assert done.code == 0
    assert done.json == {
        "columns": [
            {"name": "path", "type": "VARCHAR"},
            {"name": "code", "type": "BIGINT"},
            {"name": "n", "type": "DOUBLE"},
            {"name": "l", "type": "DOUBLE[]"},
            {"name": "n_1", "type": "INTEGER"},
        ],
        "rows": [
            {"path": EVIL, "code": 3, "n": None, "l": [1.5, None], "n_1": 1},
            {"path": "f149", "code": 149, "n": None, "l": [1.5, None], "n_1": 1},
        ],
        "row_count": 2,
        "snapshots": 2,
        "left_out": [],
        "ok": True,
    }
    assert ask(place, "FROM files LIMIT 0", "--format", "json").json["rows"] == []
    assert ask(place, "SELECT now() AS t, {'d': now()} AS s", "--json").code == 0


def test_csv_and_parquet(place: Path, tmp_path: Path) -> None:
    text = ask(
        place, "SELECT path, NULL AS n FROM files WHERE repo = 'h__a' ORDER BY path", "--format", "csv"
    ).out
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["path", "n"], [EVIL, ""], ["x", ""]]
    done = ask(place, "SELECT path, code FROM files", "-o", tmp_path / "out.parquet")
    assert (done.code, done.out) == (0, f"{tmp_path / 'out.parquet'}\n")
    found = duckdb.sql(
        f"SELECT count(*), sum(code), typeof(any_value(code)) FROM '{tmp_path / 'out.parquet'}'"
    )
    assert found.fetchall() == [(152, 11180, "BIGINT")]
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_nothing_is_overwritten_and_nothing_is_left_behind(place: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    for name in ("a.json", "link.csv"):
        done = ask(place, "FROM files", "-o", tmp_path / name)
        assert (done.code, "the file exists" in done.err) == (2, True)
    assert (tmp_path / "a.json").read_text() == "mine"
    late = "SELECT CASE WHEN range = 900000 THEN error('late') ELSE '1' END FROM range(1000000)"
    for form in ("json", "csv", "parquet", "table"):
        done = ask(place, late, "--format", form, "-o", tmp_path / f"new.{form}")
        assert (done.code, done.out, "late" in done.err) == (2, "", True), done.err
    assert ask(place, late, "--format", "csv").out == ""
    assert ask(place, "FROM files", "-o", tmp_path / "no" / "x.csv").code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "link.csv"]


@pytest.mark.parametrize(
    ("argv", "code", "word"),
    [
        (["SELECT nope FROM files"], 2, "parse_error"),
        (["COPY files TO 'x'"], 2, "only SELECT"),
        (["FROM files", "--at", "yesterday"], 2, "not a time"),
        (["FROM files", "--repo", "zzz*"], 4, "snapshotter list"),
        (["FROM files", "--format", "xml"], 2, "table, json, csv, parquet"),
        (["FROM files", "--format", "parquet"], 2, "-o FILE"),
        (["FROM files", "--json", "--format", "csv"], 2, "exclude"),
        (["FROM files", "--schema"], 2, "needs one SELECT"),
        ([], 2, "needs one SELECT"),
        (["FROM files", "--memory", "lots"], 2, "16MiB"),
        (["SELECT count(*) FROM range(100000000000)", "--timeout", "0.3s"], 4, "--timeout"),
    ],
)
def test_errors_say_what_to_do(place: Path, argv: list[str], code: int, word: str) -> None:
    done = ask(place, *argv)
    assert done.code == code
    assert done.out == "" or done.json["ok"] is False
    assert word in re.sub(r"[\s│]+", " ", done.err)
    assert "Traceback" not in done.err


def test_an_error_is_json_where_json_was_asked_for(place: Path) -> None:
    done = ask(place, "SELECT nope FROM files", "--json")
    assert done.code == 2
    assert done.json["error"]["code"] == "sql"


def test_at_and_history(place: Path) -> None:
    sql = "SELECT sum(code) AS s FROM files WHERE repo = 'h__a'"
    for argv, total in (([], 5), (["--at", "2026-11-01"], 1), (["--history"], 6)):
        assert ask(place, sql, "--json", *argv).json["rows"] == [{"s": total}]


def test_sql_from_stdin(place: Path) -> None:
    argv = command("query", "-", "--json", "--store", place / "store")
    done = subprocess.run(argv, env=cli_env(), input=b"SELECT 1 AS a", capture_output=True, check=False)
    assert json.loads(done.stdout)["rows"] == [{"a": 1}]


def test_without_a_home_it_works_and_leaves_nothing(place: Path, tmp_path: Path) -> None:
    done = cli("query", "FROM files", "--store", place / "store", TMPDIR=str(tmp_path))
    assert done.code == 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_damaged_makes_the_answer_partial(tmp_path: Path) -> None:
    made = ScanStore(open_store(f"file:{tmp_path / 'store'}"))
    for repo in ("h__a", "h__b"):
        made.add(repo, NOV, {"files": [file_row("x")]})
    next(tmp_path.rglob("h__a/**/files.parquet")).write_bytes(b"PAR1")
    done = ask(tmp_path, "SELECT repo FROM files", "--json")
    assert done.code == 3
    assert done.json["rows"] == [{"repo": "h__b"}]
    assert [(each["repo"], each["what"]) for each in done.json["left_out"]] == [("h__a", "files")]
    assert done.json["ok"] is False
    assert "h__a@" in done.err
    assert "verify" in done.err
    table = ask(tmp_path, "SELECT repo FROM files")
    assert (table.code, "h__b" in table.out, "h__a@" in table.err) == (3, True, True)


def test_the_cache_of_a_process_is_private(place: Path) -> None:
    ask(place, "FROM refs")
    for path in [place / "cache", *(place / "cache").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_running_query(place: Path, number: signal.Signals, code: int) -> None:
    argv = command("query", "SELECT count(*) FROM files, range(1000000000000)", "--store", place / "store")
    process = subprocess.Popen(argv, env=cli_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr
    assert process.stderr.readline() == b"reading files\n"
    time.sleep(0.5)  # into the SQL
    process.send_signal(number)
    out, err = process.communicate(timeout=50)  # below the 60 s after which the SQL ends by itself
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err


def test_a_reader_that_goes_away_is_no_error(place: Path) -> None:
    sql = "SELECT repeat('x', 1000) FROM range(20000)"
    argv = command("query", "-q", sql, "--format", "csv", "--store", place / "store")
    with subprocess.Popen(argv, env=cli_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.read(100)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# What is described


def test_examples_and_schema_need_no_store(tmp_path: Path) -> None:
    examples = cli("query", "--examples", cwd=tmp_path)
    assert examples.code == 0
    assert re.findall(r"^# (\d+)\. ", examples.out, re.M) == [str(number) for number in range(1, 11)]
    assert all(example.command in examples.out for example in EXAMPLES)
    listed = cli("query", "--examples", "--json").json["examples"]
    assert [each["question"] for each in listed] == [each.question for each in EXAMPLES]
    schema = cli("query", "--schema", "--json").json["views"]
    assert {view: [column["name"] for column in columns] for view, columns in schema.items()} == {
        view: [column.name for column in columns] for view, columns in VIEWS.items()
    }
    assert "version_key" in cli("query", "--schema").out


def described(section: str) -> Iterator[tuple[str, ...]]:
    for name, kind, meaning in re.findall(r"^\| (\w+) \| ([^|]+) \| ([^|]+) \|$", section, re.M):
        if name != "column":
            yield name, kind, meaning


def test_the_page_of_views_is_the_code_s() -> None:
    first, *sections = re.split(r"^### ", DOCS.read_text(encoding="utf-8"), flags=re.M)
    assert list(described(first)) == [tuple(column) for column in KEYS]
    assert [section.partition("\n")[0] for section in sections] == list(VIEWS)
    for section, columns in zip(sections, VIEWS.values(), strict=True):
        assert list(described(section)) == [tuple(column) for column in columns[len(KEYS) :]]
