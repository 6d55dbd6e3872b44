"""A commit's tree as paths: hostile names are data, and no tree costs more than its limits."""

from __future__ import annotations

import tracemalloc

import pytest

from snapshotter.base.errors import Unavailable
from snapshotter.scan import listing as listing_module
from snapshotter.scan.listing import Listing, TreeEntry, tree_of, walk

BLOB, COMMIT = "ab" * 20, "cd" * 20


def packed(*entries: tuple[int, bytes, str]) -> bytes:
    return b"".join(b"%o %b\0%b" % (mode, name, bytes.fromhex(oid)) for mode, name, oid in entries)


def oid(number: int) -> str:
    return f"{number:040x}"


def listed(trees: dict[str, bytes], *, limit: int = 1000, root: str = "") -> Listing:
    return walk(trees, COMMIT, root or next(iter(trees)), limit=limit)


def paths(trees: dict[str, bytes], *, limit: int = 1000) -> list[bytes]:
    return [entry.path for entry in listed(trees, limit=limit).entries]


def test_paths_come_in_the_trees_order_with_mode_and_id() -> None:
    trees = {
        oid(1): packed((0o100644, b"a", BLOB), (0o40000, b"d", oid(2)), (0o120000, b"z", BLOB)),
        oid(2): packed((0o100755, b"run", BLOB), (0o160000, b"sub", COMMIT)),
    }
    found = listed(trees)
    assert found.entries == [
        TreeEntry(b"a", 0o100644, BLOB),
        TreeEntry(b"d/run", 0o100755, BLOB),
        TreeEntry(b"d/sub", 0o160000, COMMIT),
        TreeEntry(b"z", 0o120000, BLOB),
    ]
    kinds = [(entry.is_file, entry.is_symlink, entry.is_submodule) for entry in found.entries]
    assert kinds == [(1, 0, 0), (1, 0, 0), (0, 0, 1), (0, 1, 0)]
    assert (found.commit, found.tree, found.cut, found.odd) == (COMMIT, oid(1), False, [])


def test_ids_of_sha256_are_32_bytes() -> None:
    root, blob = "11" * 32, "22" * 32
    assert walk({root: packed((0o100644, b"a", blob))}, "33" * 32, root, limit=9).entries[0].oid == blob


@pytest.mark.parametrize(
    "name",
    [b"..", b".git", b"a\nb", b"\x1b[31m", b"\xff\xfe", b"/etc/passwd", b"a/b", b"x" * 4000, b" ", b"-x"],
)
def test_a_name_is_data_whatever_it_says(name: bytes) -> None:
    assert paths({oid(1): packed((0o100644, name, BLOB))}) == [name]


def test_a_path_that_comes_twice_is_listed_once_and_told() -> None:
    trees = {
        oid(1): packed(
            (0o100644, b"a", BLOB),
            (0o120000, b"a", COMMIT),
            (0o40000, b"d", oid(2)),
            (0o100644, b"d/f", BLOB),
        ),
        oid(2): packed((0o100644, b"f", BLOB)),
    }
    found = listed(trees)
    assert found.entries == [TreeEntry(b"a", 0o100644, BLOB), TreeEntry(b"d/f", 0o100644, BLOB)]
    assert found.odd == [b"a", b"d/f"]
    assert not found.cut


def test_a_path_over_the_limit_is_told_in_part() -> None:
    names = {oid(n): packed((0o40000, b"x" * 4000, oid(n + 1))) for n in range(1, 6)}
    found = listed(names | {oid(6): packed((0o100644, b"f", BLOB))})
    assert found.entries == []
    assert found.odd == [(b"x" * 4000 + b"/") * 4 + b"x" * (listing_module.MAX_PATH - 16_004)]


def test_a_tree_of_very_many_levels_is_listed_as_far_as_its_path_reaches() -> None:
    deep = {oid(n): packed((0o100644, b"a", BLOB), (0o40000, b"b", oid(n + 1))) for n in range(1, 20_000)}
    found = listed(deep | {oid(20_000): b""}, limit=100_000)
    assert found.entries[0].path == b"a"
    assert found.cut or len(found.odd) == 1
    assert len(found.entries) > 1000


def bomb(levels: int, *, wide: int = 2) -> dict[str, bytes]:
    """Each level holds the one below several times over."""
    trees = {
        oid(n): packed(*((0o40000, b"%d" % copy, oid(n + 1)) for copy in range(wide)))
        for n in range(1, levels)
    }
    return trees | {oid(levels): packed((0o100644, b"f", BLOB))}


def test_a_tree_bomb_ends_at_the_limit() -> None:
    found = listed(bomb(60), limit=500)
    assert (len(found.entries), found.cut) == (500, True)


def test_a_bomb_of_folders_without_files_ends_too() -> None:
    trees = bomb(60)
    found = listed(trees | {oid(60): b""}, limit=500)
    assert (found.entries, found.cut) == ([], True)


def test_a_bomb_of_names_that_come_twice_ends_too() -> None:
    same = packed(*[(0o100644, b"f", BLOB)] * 1000)
    found = listed({oid(1): packed(*((0o40000, b"a", oid(2)) for _ in range(1500))), oid(2): same}, limit=500)
    assert found.entries == [TreeEntry(b"a/f", 0o100644, BLOB)]
    assert found.cut
    assert len(found.odd) <= 500


def test_long_folders_over_many_files_end_at_the_bytes_of_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "MAX_PATHS", 100_000)
    files = packed(*((0o100644, b"%d" % n, BLOB) for n in range(1000)))
    found = listed({oid(1): packed((0o40000, b"x" * 4000, oid(2))), oid(2): files}, limit=5000)
    assert found.cut
    assert 20 < len(found.entries) < 26


def test_memory_holds_paths_and_not_every_entry_of_every_level() -> None:
    wide = packed(*((0o100644, b"%d" % n, BLOB) for n in range(20_000)))
    trees = {oid(n): packed((0o40000, b"a", oid(n + 1))) + wide for n in range(1, 10)}
    trees[oid(10)] = b""
    tracemalloc.start()
    try:
        found = listed(trees, limit=100)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(found.entries), found.cut) == (100, True)
    assert peak < 1024 * 1024


@pytest.mark.parametrize(
    "data",
    [
        b"100644 a",
        b"100644 a\0short",
        b"xyz a\0" + b"i" * 20,
        b"-7 a\0" + b"i" * 20,
        b"\0" * 40,
        b"100644a\0" + b"i" * 20,
        b"99999999999 a\0" + b"i" * 20,
    ],
)
def test_a_malformed_tree_is_an_error_and_no_empty_folder(data: bytes) -> None:
    with pytest.raises(Unavailable, match="malformed"):
        listed({oid(1): data})


def test_a_tree_that_was_not_sent_is_named() -> None:
    with pytest.raises(KeyError, match=oid(2)):
        listed({oid(1): packed((0o40000, b"d", oid(2)))})


def test_tree_of_a_commit() -> None:
    assert tree_of(b"tree %b\nauthor x\n" % BLOB.encode()) == BLOB
    assert tree_of(b"tree %b\n" % (b"1" * 64)) == "1" * 64


@pytest.mark.parametrize("commit", [b"", b"tree \n", b"parent " + b"1" * 40, b"tree " + b"1" * 41])
def test_a_commit_without_a_tree_is_an_error(commit: bytes) -> None:
    with pytest.raises(Unavailable, match="names no tree"):
        tree_of(commit)
