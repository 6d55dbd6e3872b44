"""What the report and the digest are made of: facts, ranking, changes, folders, text."""

from __future__ import annotations

import pytest

from snapshotter.scan import digest, plain, report
from snapshotter.scan.compare import compare
from snapshotter.scan.facts import readme_path, wanted
from snapshotter.scan.folder_tree import grow, split
from snapshotter.scan.packages import Ecosystem, Package, read_packages
from snapshotter.scan.ranking import is_test, rank
from snapshotter.scan.readme import lead
from snapshotter.scan.report.treemap import Box, squarify
from snapshotter.scan.version_order import direction
from tests.scan.by_hand import facts, tables


def link(path: str, target: str, *names: str, module: str = "m") -> dict[str, object]:
    return {"path": path, "resolved_path": target, "names": list(names), "module": module}


def test_a_symbol_is_ranked_by_the_files_that_import_it_also_through_others() -> None:
    files = [{"path": f"{name}.py"} for name in ("base", "util", "pkg/__init__", "a", "b", "c")]
    symbols = [
        {"path": "base.py", "name": "Base", "kind": "class"},
        {"path": "base.py", "name": "method", "qualified_name": "Base.method", "kind": "function"},
        {"path": "util.py", "name": "helper"},
        {"path": "util.py", "name": "_private"},
    ]
    imports = [
        link("pkg/__init__.py", "base.py", "Base"),
        link("a.py", "pkg/__init__.py", "Base"),
        link("b.py", "pkg/__init__.py", "Base"),
        link("c.py", "util.py", "helper"),
    ]
    found = rank(tables(files=files, symbols=symbols, imports=imports), 10)
    assert [(one.name, one.importers) for one in found.symbols] == [("Base", 3), ("helper", 1)]
    assert found.files[0] == ("pkg/__init__.py", 2)


def test_a_name_taken_with_everything_else_and_one_passed_in_a_circle() -> None:
    files = [{"path": f"{name}.py"} for name in "abcd"]
    symbols = [{"path": "c.py", "name": "X", "kind": "class"}]
    imports = [
        link("a.py", "b.py", "*"),
        link("a.py", "c.py", "*"),
        link("d.py", "a.py", "X"),
        link("b.py", "a.py", "loop"),
        link("a.py", "b.py", "loop"),
    ]
    assert rank(tables(files=files, symbols=symbols, imports=imports), 5).symbols[0].importers == 1


def test_a_variable_is_told_of_where_others_import_it() -> None:
    files = [{"path": f"{name}.py"} for name in ("pkg/__init__", "pkg/globals", "a", "b")]
    symbols = [
        {"path": "pkg/globals.py", "name": name, "kind": "variable"} for name in ("request", "internal")
    ]
    imports = [
        link("pkg/__init__.py", "pkg/globals.py", "request"),
        link("a.py", "pkg/__init__.py", "request"),
        link("b.py", "pkg/__init__.py", "request"),
    ]
    found = rank(tables(files=files, symbols=symbols, imports=imports), 10)
    assert [(one.name, one.importers) for one in found.symbols] == [("request", 3)]


def test_the_order_of_the_rows_is_not_that_of_the_ranking() -> None:
    files = [{"path": f"{name}.py"} for name in "abcd"]
    symbols = [{"path": path, "name": "X", "kind": "class"} for path in ("b.py", "c.py")]
    imports = [link("a.py", "b.py", "X"), link("a.py", "c.py", "X"), link("d.py", "a.py", "X")]
    first = rank(tables(files=files, symbols=symbols, imports=imports), 5)
    assert first == rank(tables(files=files[::-1], symbols=symbols[::-1], imports=imports[::-1]), 5)
    assert [(one.path, one.importers) for one in first.symbols] == [("b.py", 2), ("c.py", 1)]


def test_of_a_long_file_the_first_symbols_are_ranked() -> None:
    symbols = [{"path": "a.py", "name": f"n{line}", "line": line, "end_line": line} for line in range(1, 451)]
    held = tables(
        files=[{"path": "a.py"}, {"path": "b.py"}],
        symbols=symbols[::-1],
        imports=[link("b.py", "a.py", "n1", "n400", "n401")],
    )
    ranked = [one.name for one in rank(held, 1000).symbols]
    assert ranked[:2] == ["n1", "n400"]
    assert sorted(ranked) == sorted(f"n{line}" for line in range(1, 401))


def test_packages_are_counted_whole_and_cut_in_the_order_of_their_manifests() -> None:
    def named(path: str, name: str, **others: object) -> dict[str, object]:
        return {"path": path, "name": name, "ecosystem": "npm", "scope": None, **others}

    rows = [
        named("b/package.json", "y", requirement="^2"),
        named("b/package.json", "x", requirement="^1"),
        named("package.json", "x", requirement="^3", scope="runtime"),
        named("package-lock.json", "x", version="3.1", direct=True),
        named("package-lock.json", "z", version="9", direct=False),
        named("package-lock.json", "z", version="10", direct=None),
    ]
    found = read_packages(tables(dependencies=rows), 1)
    assert (found.rows, found.names) == (6, 3)
    assert found.ecosystems == [Ecosystem("npm", packages=3, direct=2, manifests=3)]
    x = Package("npm", "x", "3.1", "^3", "runtime", "package.json", 3)
    assert found.direct == (2, [x])
    assert found.workspaces == (3, [x._replace(paths=1)])
    assert found.indirect == (1, [Package("npm", "z", "10, 9", None, None, "package-lock.json", 1)])
    whole = read_packages(tables(dependencies=rows[::-1]), 9).workspaces[1]
    assert [(one.path, one.name, one.versions) for one in whole] == [
        ("package.json", "x", "3.1"),
        ("b/package.json", "x", "3.1"),
        ("b/package.json", "y", None),
    ]


def test_an_imported_folder_is_the_package_of_its_files() -> None:
    files = [{"path": path, "language": "Go"} for path in ("a.go", "main.go", "zdb/a.go", "zdb/b.go")]
    symbols = [{"path": one["path"], "name": "Open" + one["path"][0], "language": "Go"} for one in files]
    found = rank(tables(files=files, symbols=symbols, imports=[link("main.go", "zdb")]), 9)
    assert {one.path for one in found.symbols[:2]} == {"zdb/a.go", "zdb/b.go"}


def test_tests_and_generated_files_are_left_out_unless_there_is_nothing_else() -> None:
    files = [{"path": "tests/x.py"}, {"path": "gen.py", "generated": True}]
    symbols = [{"path": "tests/x.py", "name": "t"}, {"path": "gen.py", "name": "g"}]
    assert [one.name for one in rank(tables(files=files, symbols=symbols), 5).symbols] == ["t"]
    more = rank(
        tables(files=[*files, {"path": "a.py"}], symbols=[*symbols, {"path": "a.py", "name": "f"}]), 5
    )
    assert [one.name for one in more.symbols] == ["f"]


def test_the_macro_that_guards_a_header_is_no_symbol_to_tell_of() -> None:
    names = ["SHOP_H", "_SHOP_HPP_", "shop_included", "SHOP_HASH", "SHOP_HEIGHT"]
    symbols = [{"path": "shop.h", "name": name, "kind": "macro", "language": "C Header"} for name in names]
    found = rank(tables(files=[{"path": "shop.h", "language": "C Header"}], symbols=symbols), 9)
    assert sorted(one.name for one in found.symbols) == ["SHOP_HASH", "SHOP_HEIGHT"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/a.py", True),
        ("src/test_a.py", True),
        ("a/b_test.go", True),
        ("x.spec.ts", True),
        ("FooTest.java", True),
        ("conftest.py", True),
        ("t/lib-httpd.sh", True),
        ("src/latest.py", False),
        ("contest.py", False),
        ("attest/a.py", False),
        ("/".join(["d" * 200] * 500), False),
    ],
)
def test_what_is_a_test(path: str, expected: bool) -> None:
    assert is_test(path) is expected


def test_changes_of_files_and_symbols() -> None:
    before = {
        "files": [
            {"path": path, "blob": path}
            for path in ("same.py", "edited.py", "gone.py", "moved.py", "twin.py")
        ],
        "symbols": [
            {"path": "same.py", "name": "untold", "signature": "of an older scanner"},
            {"path": "edited.py", "name": "f", "signature": "def f(x)"},
            {"path": "edited.py", "name": "g"},
            {"path": "moved.py", "name": "m"},
        ],
    }
    held = tables(
        before,
        files=[
            {"path": "same.py", "blob": "same.py"},
            {"path": "edited.py", "blob": "2", "lines": 14},
            {"path": "new.py", "blob": "3"},
            {"path": "there.py", "blob": "moved.py"},
            {"path": "twin1.py", "blob": "twin.py"},
            {"path": "twin2.py", "blob": "twin.py"},
        ],
        symbols=[
            {"path": "same.py", "name": "untold", "signature": "of this one"},
            {"path": "edited.py", "name": "f", "signature": "def f(x, y)", "line": 5},
            {"path": "new.py", "name": "n"},
            {"path": "there.py", "name": "m"},
        ],
    )
    found = compare(held, 10)
    assert {sort: [one.path for one in change.rows] for sort, change in found.files.items()} == {
        "added": ["new.py", "twin1.py", "twin2.py"],
        "removed": ["gone.py", "twin.py"],
        "moved": ["there.py"],
        "changed": ["edited.py"],
    }
    assert found.files["moved"].rows[0].before == "moved.py"
    assert found.files["changed"].rows[0].lines == 4
    assert {sort: [one.name for one in change.rows] for sort, change in found.symbols.items()} == {
        "added": ["n"],
        "removed": ["g"],
        "changed": ["f"],
    }
    changed = found.symbols["changed"].rows[0]
    assert (changed.before, changed.signature, changed.line) == ("def f(x)", "def f(x, y)", 5)
    assert compare(held, 1).files["added"].count == 3
    assert len(compare(held, 1).files["added"].rows) == 1


def test_changes_of_dependencies() -> None:
    def lock(*versions: tuple[str, str | None, str]) -> list[dict[str, object]]:
        return [
            {"path": "uv.lock", "name": name, "version": one, "requirement": asked}
            for name, one, asked in versions
        ]

    before = lock(
        ("up", "1.9", ""),
        ("down", "2.0", ""),
        ("gone", "1", ""),
        ("same", "1", ""),
        ("set", "1", ""),
        ("any", None, ""),
    )
    after = lock(
        ("up", "1.10", ""),
        ("down", "1.9", ""),
        ("came", "1", ""),
        ("same", "1", ""),
        ("set", "1", ""),
        ("set", "2", ""),
        ("any", None, ""),
    )
    found = compare(tables({"dependencies": before}, dependencies=after), 9).dependencies
    assert {sort: [one.name for one in change.rows] for sort, change in found.items()} == {
        "down": ["down"],
        "up": ["up"],
        "changed": ["set"],
        "added": ["came"],
        "removed": ["gone"],
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("1.0", "1.0.1", "up"),
        ("1.0rc1", "1.0", "up"),
        ("v1.2.3", "v1.10.0", "up"),
        ("3.12-slim", "3.11-slim", "down"),
        (">=2,<3", ">=3,<4", "changed"),
        ("^1.2", "~1.3", "changed"),
        ("^1.2", "^1.3", "up"),
        ("a" * 40, "b" * 40, "changed"),
        ("1.0.0-alpha.x", "1.0.1-alpha.x", "up"),
        ("1.0", "1.0.0", "changed"),
        ("", "1", "changed"),
        ("9" * 5000, "1", "changed"),
    ],
)
def test_the_direction_of_a_version(old: str, new: str, expected: str) -> None:
    assert direction(old, new) == expected


def test_secrets_are_told_apart_by_their_fingerprints() -> None:
    before = {
        "secrets": [{"path": "a.py", "line": 3, "fingerprint": "1"}, {"path": "b.py", "fingerprint": "2"}]
    }
    now = [{"path": "a.py", "line": 9, "fingerprint": "3"}, {"path": "c.py", "fingerprint": "2"}]
    changes = compare(tables(before, secrets=now), 9).secrets
    assert [(one.path, one.fingerprint) for one in changes["new"].rows] == [("a.py", "3")]
    assert [(one.path, one.fingerprint) for one in changes["gone"].rows] == [("a.py", "1")]


def test_of_the_symbols_of_a_file_with_a_secret_only_the_names_are_taken() -> None:
    signature = 'KEY = "hunter2hunter2"'
    before = {
        "files": [{"path": "was.py", "blob": "1"}, {"path": "is.py", "blob": "1"}],
        "symbols": [{"path": "was.py", "name": "KEY", "kind": "constant", "signature": signature}],
        "secrets": [{"path": "was.py", "fingerprint": "f"}],
    }
    held = tables(
        before,
        files=[{"path": "was.py", "blob": "2"}, {"path": "is.py", "blob": "2"}],
        symbols=[
            {"path": "is.py", "name": "KEY", "kind": "constant", "signature": signature, "doc": signature}
        ],
        secrets=[{"path": "is.py", "fingerprint": "f"}],
    )
    told = facts(compared="20261123T000000Z-00000000")
    for made in (report.render(told, held), digest.render(told, held)):
        assert b"KEY" in made and b"hunter2" not in made


def test_no_change_is_none() -> None:
    rows = {"files": [{"path": "a.py"}], "symbols": [{"path": "a.py", "name": "f"}]}
    assert compare(tables(rows, **rows), 9).empty


def test_a_tree_is_split_where_it_is_heavy_and_holds_every_file() -> None:
    files = [(f"src/pkg{n % 3}/deep/{n}.py", "Python", 10) for n in range(60)] + [
        ("a.md", None, 0),
        ("src/x.c", "C", 1),
    ]
    found = split(grow(files), 9)
    assert {(one.path, one.files, one.direct) for one in found} == {
        ("src/pkg0/deep/", 20, False),
        ("src/pkg1/deep/", 20, False),
        ("src/pkg2/deep/", 20, False),
        ("src/", 1, True),
        ("", 1, True),
    }
    wide = split(grow([(f"d{n}/x", "C", n) for n in range(100)]), 10)
    assert len(wide) == 10 and wide[-1].merged == 91 and sum(one.files for one in wide) == 100


def test_tiles_fill_their_box_in_proportion() -> None:
    weights = [50, 30, 10, 5, 3, 1, 1]
    boxes = squarify(weights, Box(0, 0, 100, 60))
    assert [round(one.width * one.height) for one in boxes] == [weight * 60 for weight in weights]
    for one in boxes:
        assert one.x >= 0 and one.x + one.width <= 100.001 and one.y + one.height <= 60.001
        assert max(one.width, one.height) <= 5 * min(one.width, one.height)
    assert squarify([], Box(0, 0, 9, 9)) == []
    assert len(squarify([1, 1], Box(0, 0, 0, 0))) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u202eb", "a\\u202eb"),
        ("\u00ad\u2028", "\\xad\\u2028"),
        ("\U000e0041x", "\\U000e0041x"),
        ("⚠\ufe0f", "⚠\ufe0f"),
        ("a\ufe0f", "a\\ufe0f"),
        ("é" + "\u0301" * 9, "é" + "\u0301" * 3),
        ("a\tb\n", "a b\\n"),
        ("日本", "日本"),
    ],
)
def test_every_character_can_be_seen(text: str, expected: str) -> None:
    assert plain.visible(text, 40) == expected


def test_a_text_is_cut_and_says_so() -> None:
    assert plain.visible("x" * 50, 10) == "x" * 9 + "…"
    assert plain.visible("src/" + "d" * 50 + "/end.py", 16) == "src/d…ddd/end.py"
    assert len(plain.visible("\u202e" * 500_000, 30)) == 30


def test_shares_never_round_to_nothing_or_everything() -> None:
    assert [plain.share(*one) for one in ((0, 9), (1, 10_000), (9_999, 10_000), (9, 9), (1, 3), (1, 0))] == [
        "0%",
        "<0.1%",
        "99.9%",
        "100%",
        "33.3%",
        "0%",
    ]


def test_a_readme_leads_with_what_it_says() -> None:
    text = (
        '<p align="center"><img src="x"></p>\n[![ci](a.svg)](b)\n\nTitle\n=====\n<!-- note\nto self -->\n'
        ".. image:: x\n\nReads [docs](https://x/y) at https://z.\n```\ncode\n```\n[ref]: https://x\nMore.\n"
    )
    assert lead(text, 500) == ["Title", "Reads docs at", "More."]
    assert (
        lead("word " * 100, 100) == [("word " * 100)[:99].rstrip() + "…"]
        or len(lead("word " * 100, 100)[0]) <= 100
    )
    assert lead("", 100) == []
    assert lead("Run `git help <command>` for **all** of it, 2 ** 3.<br/>", 500) == [
        "Run `git help <command>` for all of it, 2 ** 3."
    ]
    assert sum(map(len, lead("[![" * 50_000 + "<" * 50_000, 100))) <= 100


def test_which_texts_are_wanted_and_which_readme_stands_for_all() -> None:
    assert [
        wanted(path)
        for path in ("pyproject.toml", "web/package.json", "Dockerfile.dev", "a/b/c/d/e/setup.cfg")
    ] == [True, True, True, False]
    assert not wanted("node_modules/x/package.json") and not wanted("notpyproject.toml")
    assert readme_path(["docs/README.md", "readme.rst", "README.md", "src/README.md"]) == "README.md"
    assert readme_path(["src/README.md"]) is None
