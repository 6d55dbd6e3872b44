"""What of a tree is read: every path has a fate, and a row is carried only where it holds."""

from __future__ import annotations

from typing import Any

import pytest

from snapshotter.archive.manifest import ScanSettings
from snapshotter.scan.columns import COLUMNS
from snapshotter.scan.listing import Listing, TreeEntry
from snapshotter.scan.reading_plan import ReadingPlan, plan_reading

A, B = "aa" * 20, "bb" * 20
SETTINGS = ScanSettings(
    max_file_bytes=1000, max_total_bytes=10_000, max_files=100, scanner_seconds=60, exclude=[]
)


def settings(**changed: Any) -> ScanSettings:
    names = ("max_file_bytes", "max_total_bytes", "max_files", "scanner_seconds", "exclude")
    return ScanSettings(**{name: getattr(SETTINGS, name) for name in names} | changed)


def chosen(
    *entries: tuple[bytes, int, str],
    before: tuple[dict[str, Any], ...] = (),
    odd: tuple[bytes, ...] = (),
    **changed: Any,
) -> ReadingPlan:
    listing = Listing("c" * 40, "t" * 40, [TreeEntry(*entry) for entry in entries], False, list(odd))
    return plan_reading(listing, before, settings(**changed))


def file(path: bytes, oid: str = A) -> tuple[bytes, int, str]:
    return path, 0o100644, oid


def row(path: str, blob: str = A, **columns: Any) -> dict[str, Any]:
    return (
        dict.fromkeys(COLUMNS["files"]) | {"path": path, "blob": blob, "kind": "file", "bytes": 5} | columns
    )


def carried_from(selection: ReadingPlan) -> list[str | None]:
    return [None if one.before is None else one.before["path"] for one in selection.files]


def reasons(selection: ReadingPlan) -> list[str | None]:
    return [one.skip_reason for one in selection.files]


def test_kinds_follow_modes_and_only_files_are_read() -> None:
    found = chosen(
        file(b"a.py"),
        (b"run", 0o100755, B),
        (b"link", 0o120000, A),
        (b"sub", 0o160000, B),
        (b"odd", 0o100000, A),
    )
    assert [one.kind for one in found.files] == ["file", "file", "symlink", "submodule", "file"]
    assert found.wanted == {A, B}
    assert [one.is_read for one in found.files] == [True, True, False, False, True]


def test_a_mode_that_is_none_is_skipped_with_its_mode() -> None:
    found = chosen((b"dev", 0o020666, A), (b"zero", 0, A))
    assert reasons(found) == ["of no known mode (20666)", "of no known mode (0)"]
    assert found.wanted == set()


def test_files_over_the_limit_are_rows_with_the_reason() -> None:
    found = chosen(file(b"a"), (b"link", 0o120000, B), file(b"b"), file(b"c"), max_files=2)
    assert reasons(found) == [None, None, None, "over the limit of 2 files"]


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("vendor/", b"vendor/a.go", True),
        ("vendor/", b"x/vendor/y/a.go", True),
        ("vendor/", b"vendored/a.go", False),
        ("vendor/", b"vendor", False),
        ("*.min.js", b"deep/x.min.js", True),
        ("*.min.js", b"x.js", False),
        ("docs/*", b"docs/a\nb", True),
        ("vendor/", b"new\nline/vendor/a", True),
        ("[", b"[", True),
    ],
)
def test_a_pattern_leaves_out_what_it_matches(pattern: str, path: bytes, matches: bool) -> None:
    wanted = f"excluded by {pattern}" if matches else None
    assert reasons(chosen(file(path), exclude=[pattern])) == [wanted]


def test_names_that_read_the_same_once_decoded_are_one_row_and_told() -> None:
    found = chosen(file(b"\xff"), file(b"\\xff", B))
    assert [(one.path, one.path_bytes, one.unit[0]) for one in found.files] == [("\\xff", "/w==", A)]
    assert found.odd == ["\\xff"]


def test_what_could_not_be_listed_is_told_as_text() -> None:
    assert chosen(odd=(b"\xff\n",)).odd == ["\\xff\n"]


def test_the_same_blob_at_the_same_path_is_carried() -> None:
    found = chosen(file(b"a.py"), file(b"b.py", B), before=(row("a.py"), row("b.py", A)))
    assert carried_from(found) == ["a.py", "a.py" if found.files[1].unit[0] == A else None]
    assert found.wanted == {B}


@pytest.mark.parametrize(
    ("path", "before", "carried"),
    [
        (b"new.py", "old.py", True),
        (b"new.PY", "old.py", True),
        (b"new.ts", "old.js", False),
        (b"new", "old.py", False),
        (b"Makefile", "old.mk", False),
        (b"package.json", "x.json", False),
        (b"x.json", "package.json", False),
        (b"go.mod", "sub/go.mod", False),
        (b"sub/requirements.txt", "requirements.txt", False),
        (b"go.mod", "go.mod", True),
    ],
)
def test_a_blob_is_carried_to_a_path_of_the_same_language_that_is_no_manifest(
    path: bytes, before: str, carried: bool
) -> None:
    assert carried_from(chosen(file(path), before=(row(before),))) == [before if carried else None]


ATTRIBUTES = ".gitattributes"


@pytest.mark.parametrize(
    ("entries", "before", "carried"),
    [
        ([file(b".gitattributes")], [row(ATTRIBUTES)], ["x.py", None, ATTRIBUTES]),
        ([file(b".gitattributes")], [row(ATTRIBUTES, B)], [None, None, None]),
        ([file(b".gitattributes")], [], [None, None, None]),
        ([file(b"a/.gitattributes")], [row(ATTRIBUTES)], [None, None, None]),
        ([], [row(ATTRIBUTES)], [None, None]),
        ([], [], ["x.py", "x.py"]),
        ([(b".gitattributes", 0o120000, A)], [row(ATTRIBUTES, kind="symlink")], ["x.py", "x.py", None]),
        ([file(b".gitattributes")], [row(ATTRIBUTES, skip_reason="excluded by x")], [None, None, None]),
        (
            [file(b".gitattributes")],
            [row(ATTRIBUTES, skip_reason="over the limit of 9 bytes in all")],
            ["x.py", None, None],
        ),
    ],
)
def test_under_other_attributes_nothing_is_carried_and_under_the_same_only_to_the_same_path(
    entries: list[tuple[bytes, int, str]], before: list[dict[str, Any]], carried: list[str | None]
) -> None:
    found = chosen(file(b"x.py", B), file(b"y.py", B), *entries, before=(row("x.py", B), *before))
    assert carried_from(found) == carried


def test_a_path_that_is_its_own_is_taken_before_any_other() -> None:
    assert carried_from(chosen(file(b"b.py"), before=(row("a.py"), row("b.py")))) == ["b.py"]


@pytest.mark.parametrize(
    ("columns", "carried"),
    [
        ({"skip_reason": "larger than 1,000 bytes, or not sent by the origin"}, True),
        ({"skip_reason": "over the limit of 10,000 bytes in all"}, False),
        ({"skip_reason": "over the limit of 100 files"}, False),
        ({"skip_reason": "excluded by x"}, False),
        ({"kind": "lfs"}, True),
        ({"kind": "symlink"}, False),
        ({"kind": "submodule"}, False),
    ],
)
def test_a_row_is_carried_if_what_it_says_follows_from_the_blob(
    columns: dict[str, Any], carried: bool
) -> None:
    found = chosen(file(b"new.bin"), before=(row("old.bin", **columns),))
    assert carried_from(found) == ["old.bin" if carried else None]
    if carried:
        assert found.files[0].skip_reason == columns.get("skip_reason")
        assert found.files[0].kind == columns.get("kind", "file")
        assert found.wanted == set()


def test_what_is_excluded_or_over_the_limit_is_not_carried() -> None:
    found = chosen(
        file(b"a.py"),
        file(b"b.py"),
        file(b"c.py"),
        before=(row("a.py"), row("c.py")),
        exclude=["a.py"],
        max_files=1,
    )
    assert carried_from(found) == [None, "a.py", None]  # the same blob
    assert reasons(found) == [
        "excluded by a.py",
        None,
        "over the limit of 1 file",
    ]  # what is excluded costs nothing
