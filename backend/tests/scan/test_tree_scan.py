"""One scan, from a listing and a function that brings blobs: their order, the limits, and what is quoted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from snapshotter.archive.manifest import ScanSettings
from snapshotter.base.errors import Unavailable
from snapshotter.git.pack import PackObject
from snapshotter.scan.columns import COLUMNS
from snapshotter.scan.facts import Facts
from snapshotter.scan.listing import Listing, TreeEntry
from snapshotter.scan.redaction import REDACTED, named
from snapshotter.scan.resources import ScanResources
from snapshotter.scan.scanners import FAILED
from snapshotter.scan.tree_scan import TreeScan
from tests.support.scans import count_quickly, find_quickly

ABOUT = Facts(
    repo="r",
    origin="https://example.com/r",
    run_id="20240101T000000Z-00000000",
    taken_at=datetime(2024, 1, 1, tzinfo=UTC),
    ref="refs/heads/main",
    commit="c" * 40,
    kind="base",
    reason="the first snapshot",
    refs=1,
    chain=1,
)
Files = dict[str, bytes]


def oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


class Origin:
    """Brings blobs in an order of its choice, and notes what it was asked for."""

    def __init__(
        self, files: Files, order: Callable[[list[bytes]], list[bytes]] = sorted, limit: int = 1 << 62
    ) -> None:
        self.files, self.order, self.limit = files, order, limit
        self.asked: list[set[str]] = []

    def __call__(self, wanted: Set[str]) -> Iterator[PackObject]:
        self.asked.append(set(wanted))
        for data in self.order(sorted(set(self.files.values()))):
            if oid(data) in wanted:
                whole = len(data) <= self.limit
                yield PackObject(oid(data), "blob", data if whole else b"", len(data), whole)


class Result:
    def __init__(self, tables: dict[str, bytes], gaps: dict[str, list[str]], folder: Path) -> None:
        self.tables, self.gaps, self.folder = tables, gaps, folder

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            for table in COLUMNS:
                connection.execute(f"CREATE VIEW {table} AS FROM '{self.folder / table}.parquet'")
            return connection.execute(sql).fetchall()


def scan(
    folder: Path, origin: Origin, *, before: Result | None = None, seconds: float = 60, **limits: int
) -> Result:
    held = {"max_file_bytes": 10_000, "max_total_bytes": 100_000, "max_files": 100} | limits
    settings = ScanSettings(**held, scanner_seconds=seconds, exclude=[])
    listing = Listing(
        "c" * 40,
        "t" * 40,
        [TreeEntry(path.encode(), 0o100644, oid(data)) for path, data in sorted(origin.files.items())],
        False,
        [],
    )
    earlier = {table: before.folder / f"{table}.parquet" for table in COLUMNS} if before else None
    resources = ScanResources(temp=folder, count_lines=count_quickly, find_secrets=find_quickly)
    with TreeScan(settings, resources) as scanner:
        made = scanner.scan(listing, origin, ABOUT, earlier)
        folder.mkdir(exist_ok=True)
        tables = {table: made.files[f"scan/{table}.parquet"].read_bytes() for table in COLUMNS}
    for table, data in tables.items():
        (folder / f"{table}.parquet").write_bytes(data)
    return Result(tables, {gap.kind: gap.sample for gap in made.gaps}, folder)


FILES: Files = {f"f{n}.py": b"def f%d():\n    return %d\n" % (n, n) * (n + 1) for n in range(8)}


@pytest.mark.parametrize("total", [100, 300, 500, 100_000])
def test_the_order_in_which_blobs_come_makes_no_difference(tmp_path: Path, total: int) -> None:
    orders: list[Callable[[list[bytes]], list[bytes]]] = [
        sorted,
        lambda blobs: blobs[::-1],
        lambda blobs: sorted(blobs, key=oid),
        lambda blobs: sorted(blobs, key=len),
    ]
    files = FILES | {"again/f3.py": FILES["f3.py"], "f3.js": FILES["f3.py"]}
    made = [
        scan(tmp_path / str(n), Origin(files, order), max_total_bytes=total) for n, order in enumerate(orders)
    ]
    assert all(one.tables == made[0].tables for one in made)
    kept = made[0].rows("SELECT coalesce(sum(bytes), 0) FROM files WHERE skip_reason IS NULL")[0][0]
    assert 0 < kept <= total


def test_what_does_not_fit_comes_again_if_its_path_comes_first(tmp_path: Path) -> None:
    """The large one comes first and fills the room; by path it is the last, so the small ones are asked for again."""
    small = {"a.py": b"x = 1\n" * 10, "b.py": b"y = 2\n" * 10}
    origin = Origin(small | {"z.py": b"z" * 90}, lambda blobs: sorted(blobs, key=len, reverse=True))
    made = scan(tmp_path / "x", origin, max_total_bytes=130)
    assert made.rows("SELECT path, skip_reason FROM files ORDER BY path") == [
        ("a.py", None),
        ("b.py", None),
        ("z.py", "over the limit of 130 bytes in all"),
    ]
    assert len(origin.asked) == 2
    assert made.rows("SELECT path, lines FROM files WHERE lines > 0 ORDER BY path") == [
        ("a.py", 10),
        ("b.py", 10),
    ]


def test_a_blob_that_is_large_or_was_not_sent_has_one_and_the_same_reason(tmp_path: Path) -> None:
    files = FILES | {"large.py": b"x" * 20_000}
    sent = scan(tmp_path / "sent", Origin(files))
    skimmed = scan(tmp_path / "skimmed", Origin(files, limit=10_000))
    absent = Origin(files, lambda blobs: [blob for blob in blobs if len(blob) < 10_000])
    assert sent.tables == skimmed.tables == scan(tmp_path / "absent", absent).tables
    assert sent.rows("SELECT bytes, skip_reason FROM files WHERE path = 'large.py'") == [
        (None, "larger than 10,000 bytes, or not sent by the origin")
    ]


def test_each_blob_is_asked_for_once_whatever_its_paths(tmp_path: Path) -> None:
    origin = Origin({"a.py": b"x = 1\n", "b.py": b"x = 1\n", "c.js": b"x = 1\n", "README.md": b"x = 1\n"})
    made = scan(tmp_path / "x", origin)
    assert origin.asked == [{oid(b"x = 1\n")}]
    assert made.rows("SELECT path, language FROM files ORDER BY path") == [
        ("README.md", "Markdown"),
        ("a.py", "Python"),
        ("b.py", "Python"),
        ("c.js", "JavaScript"),
    ]


def test_of_a_known_tree_only_what_is_new_is_asked_for(tmp_path: Path) -> None:
    before = scan(tmp_path / "before", Origin(FILES))
    origin = Origin(FILES | {"new.py": b"import f1\n"})
    later = scan(tmp_path / "later", origin, before=before)
    assert origin.asked == [{oid(b"import f1\n")}]
    assert later.tables == scan(tmp_path / "anew", Origin(origin.files)).tables


def test_a_damaged_table_from_before_is_an_error(tmp_path: Path) -> None:
    before = scan(tmp_path / "before", Origin(FILES))
    (before.folder / "files.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(Unavailable, match=r"files\.parquet cannot be read"):
        scan(tmp_path / "later", Origin(FILES), before=before)


def test_nothing_is_left_whatever_happens(tmp_path: Path) -> None:
    temp = tmp_path / "temp"
    temp.mkdir()

    def broken(_: Set[str]) -> Iterator[PackObject]:
        yield PackObject(oid(b"x"), "blob", b"x", 1)
        raise Unavailable("cut", code="stream-cut")

    settings = ScanSettings(max_file_bytes=9, max_total_bytes=9, max_files=9, scanner_seconds=9, exclude=[])
    listing = Listing("c" * 40, "t" * 40, [TreeEntry(b"a.py", 0o100644, oid(b"x"))], False, [])
    resources = ScanResources(temp=temp, tmpfs=tmp_path / "none")
    with pytest.raises(Unavailable, match="cut"), TreeScan(settings, resources) as scanner:
        assert len(list(temp.iterdir())) == 1
        scanner.scan(listing, broken, ABOUT)
    assert list(temp.iterdir()) == []


def test_manifests_that_take_too_long_are_a_gap(tmp_path: Path) -> None:
    files = {f"{n}/requirements.txt": b"flask==1.%d\n" % n for n in range(3)}
    made = scan(tmp_path / "x", Origin(files), seconds=0.0)
    assert made.gaps[FAILED] == ["dependencies took over 0 s"]
    assert made.rows("SELECT count(*) FROM files WHERE parse_error = 'not analysed: out of time'") == [(2,)]
    assert made.rows("SELECT count(*) FROM dependencies") == [(1,)]


@pytest.mark.parametrize(
    "text", ["left-pad", "@types/node", "spring-boot-starter", "1.2.3-rc.1", "pkg:npm/a@1.2.3"]
)
def test_names_stand_beside_a_secret(text: str) -> None:
    assert named(text) == text


@pytest.mark.parametrize(
    "text",
    ["x" * 20, "a1" * 8, "pkg:npm/x@" + "0f" * 20, "12345678-1234-1234-1234-123456789abc", "v_" + "Ab3" * 9],
)
def test_what_looks_like_a_secret_does_not(text: str) -> None:
    assert named(text) == REDACTED


def test_manifests_that_nobody_reads_are_a_gap_of_a_scan_and_of_one_that_builds_on_it(tmp_path: Path) -> None:
    unread = {"mix.exs": b"x", "ios/Podfile": b"x", "Gemfile": b"x", "big/Podfile": b"x" * 20_000}
    files = FILES | unread | {"Gemfile.lock": b"GEM\n", "requirements.txt": b"a==1\n"}
    first = scan(tmp_path / "first", Origin(files))
    assert first.gaps["manifests-unread"] == ["ios/Podfile", "mix.exs"]
    del files["mix.exs"], files["Gemfile.lock"]
    second = scan(tmp_path / "second", Origin(files), before=first)
    assert second.gaps["manifests-unread"] == ["Gemfile", "ios/Podfile"]
