"""The scans' tables: only what is needed is read, and what is damaged, hostile or of another release is no row."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from snapshotter.archive import layout
from snapshotter.archive.manifest import Scan
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.base.errors import Unavailable
from snapshotter.query.question import ask
from snapshotter.query.terms import QueryOptions
from snapshotter.scan.columns import COLUMNS
from snapshotter.store.opening import open_store
from tests.support.faults import FlippingStore, RecordingStore
from tests.support.lake import DAY, NOV, Counting, Lake, file_row, refused


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
    with ask(lake.store, "SELECT path FROM files", QueryOptions(output=tmp_path / name / "out")) as answer:
        assert answer.parquet(tmp_path / name / "out") == 1


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


@pytest.mark.parametrize("put", ["pipe", "link out of the store"])
@pytest.mark.parametrize("whole", [0, 2**30])
def test_a_table_that_is_no_file_of_the_store_is_left_out(
    folder_lake: Lake, tmp_path: Path, put: str, whole: int
) -> None:
    folder_lake.made.add("h__a", NOV, {"files": [file_row("x")]})
    folder_lake.made.add("h__b", NOV, {"files": [file_row("y")]})
    assert folder_lake.store.place.folder is not None
    path = next((folder_lake.store.place.folder / "h__a").rglob("files.parquet"))
    path.rename(tmp_path / "moved")
    os.mkfifo(path) if put == "pipe" else path.symlink_to(tmp_path / "moved")
    with ask(folder_lake.store, "SELECT path FROM files", QueryOptions(whole=whole)) as answer:
        assert list(answer.texts()) == [("y",)]
        assert [(each.repo, each.what) for each in answer.left_out] == [("h__a", "files")]


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
