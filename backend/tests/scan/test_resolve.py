"""Imports to files of the same tree."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapshotter.scan.project_files import is_project_file, read_project_file
from snapshotter.scan.symbols.languages import LANGUAGES
from snapshotter.scan.symbols.projects import Projects
from snapshotter.scan.symbols.records import Import
from snapshotter.scan.symbols.resolve import SourceTree

PATHS = [
    "backend/shop/__init__.py",
    "backend/shop/errors.py",
    "backend/shop/json.py",
    "backend/shop/store/__init__.py",
    "backend/shop/store/disk.py",
    "backend/tests/test_shop.py",
    "src/requests/__init__.py",
    "tests/test_requests.py",
    "web/index.ts",
    "web/app.tsx",
    "web/lib/index.js",
    "web/lib/help.d.ts",
    "web/old.js",
    "go/internal/store/store.go",
    "go/main.go",
    "rust/src/lib.rs",
    "rust/src/model.rs",
    "rust/src/store/mod.rs",
    "rust/src/store/disk.rs",
    "jvm/src/main/java/com/example/Shop.java",
    "jvm/src/main/kotlin/com/example/Item.kt",
    "c/src/server.c",
    "c/src/server.h",
    "c/include/shop/api.h",
    "c/deps/one/util.h",
    "c/deps/two/util.h",
    "gem/lib/shop/base.rb",
    "gem/lib/shop/item.rb",
    "gem/test/test_base.rb",
    "php/src/Models/Item.php",
    "php/helper.php",
    "php/index.php",
    "sh/run.sh",
    "sh/lib/common.sh",
]
GO = Projects(go_modules={"go": "example.com/shop"})


@pytest.mark.parametrize(
    ("path", "language", "module", "names", "expected"),
    [
        ("backend/shop/store/disk.py", "Python", "..errors", ("Bad",), "backend/shop/errors.py"),
        ("backend/shop/store/disk.py", "Python", "..", ("errors",), "backend/shop/errors.py"),
        ("backend/shop/store/disk.py", "Python", ".", ("x",), "backend/shop/store/__init__.py"),
        ("backend/tests/test_shop.py", "Python", "shop.errors", (), "backend/shop/errors.py"),
        ("backend/tests/test_shop.py", "Python", "shop", ("errors",), "backend/shop/errors.py"),
        ("backend/shop/errors.py", "Python", "json", (), None),
        ("tests/test_requests.py", "Python", "requests", (), "src/requests/__init__.py"),
        ("tests/test_requests.py", "Python", "os", (), None),
        ("web/index.ts", "TypeScript", "./app", (), "web/app.tsx"),
        ("web/index.ts", "TypeScript", "./app.js", (), "web/app.tsx"),
        ("web/index.ts", "TypeScript", "./lib", (), "web/lib/index.js"),
        ("web/lib/index.js", "JavaScript", "../", (), "web/index.ts"),
        ("web/lib/index.js", "JavaScript", "../old.js", (), "web/old.js"),
        ("web/index.ts", "TypeScript", "react", (), None),
        ("web/index.ts", "TypeScript", "../../../etc/passwd", (), None),
        ("go/main.go", "Go", "example.com/shop/internal/store", (), "go/internal/store"),
        ("go/main.go", "Go", "example.com/shopping", (), None),
        ("go/main.go", "Go", "fmt", (), None),
        ("rust/src/lib.rs", "Rust", "model", (), "rust/src/model.rs"),
        ("rust/src/store/mod.rs", "Rust", "disk", (), "rust/src/store/disk.rs"),
        ("rust/src/store/disk.rs", "Rust", "crate::model::Item", (), "rust/src/model.rs"),
        ("rust/src/store/disk.rs", "Rust", "super", ("*",), "rust/src/store/mod.rs"),
        ("rust/src/store/disk.rs", "Rust", "std::io", (), None),
        ("a/A.java", "Java", "com.example.Shop", (), "jvm/src/main/java/com/example/Shop.java"),
        ("a/A.java", "Java", "com.example.Item.of", (), "jvm/src/main/kotlin/com/example/Item.kt"),
        ("a/A.java", "Java", "java.util.List", (), None),
        ("c/src/server.c", "C", "server.h", (), "c/src/server.h"),
        ("c/src/server.c", "C", "shop/api.h", (), "c/include/shop/api.h"),
        ("c/src/server.c", "C", "<shop/api.h>", (), "c/include/shop/api.h"),
        ("c/src/server.c", "C", "<server.h>", (), None),
        ("c/src/server.c", "C", "util.h", (), None),
        ("gem/test/test_base.rb", "Ruby", "shop/base", (), "gem/lib/shop/base.rb"),
        ("gem/lib/shop/base.rb", "Ruby", "item", (), "gem/lib/shop/item.rb"),
        ("php/index.php", "PHP", "App\\Models\\Item", (), "php/src/Models/Item.php"),
        ("php/index.php", "PHP", "/helper.php", (), "php/helper.php"),
        ("sh/run.sh", "BASH", '$(dirname "$0")/lib/common.sh', (), "sh/lib/common.sh"),
        ("sh/run.sh", "BASH", "$HERE/lib/common.sh", (), "sh/lib/common.sh"),
        ("x.cs", "C#", "System", (), None),
    ],
)
def test_an_import_means_a_file(
    path: str, language: str, module: str, names: tuple[str, ...], expected: str | None
) -> None:
    found = SourceTree(PATHS, GO).resolve(path, language, Import(module, names, 1))
    assert found == [(names, expected)]


MANY = [
    "pkg/__init__.py",
    "pkg/a.py",
    "pkg/b/__init__.py",
    "pkg/c.pyi",
    "space/d.py",
    "src/json/__init__.py",
    "src/cmd/__init__.py",
    "src/cmd/serve.py",
    "rust/src/main.rs",
    "rust/src/a.rs",
    "rust/src/b/mod.rs",
    "rust/src/b/c.rs",
    "jvm/src/main/java/org/shop/Item.java",
    "jvm/src/main/java/org/shop/Price.java",
    "jvm/src/test/java/org/shop/Price.java",
    "jvm/src/test/java/org/shop/ItemTest.java",
    "jvm/src/main/scala/org/till/Till.scala",
    "io/src/commonMain/kotlin/org/io/Bytes.kt",
    "io/src/jvmMain/kotlin/org/io/Bytes.kt",
    "io/src/nativeMain/kotlin/org/io/Bytes.kt",
    "php/src/Models/Item.php",
    "php/src/Models/Price.php",
    "ruby/lib/shop/json.rb",
    "ruby/lib/shop/net/http.rb",
]
MAIN, TEST = "jvm/src/main/java/org/shop", "jvm/src/test/java/org/shop"


@pytest.mark.parametrize(
    ("path", "language", "module", "names", "expected"),
    [
        (
            "m.py",
            "Python",
            "pkg",
            "a b x",
            {"pkg/a.py": "a", "pkg/b/__init__.py": "b", "pkg/__init__.py": "x"},
        ),
        ("m.py", "Python", "pkg", "c y z", {"pkg/c.pyi": "c", "pkg/__init__.py": "y z"}),
        ("m.py", "Python", "space", "d none", {"space/d.py": "d", None: "none"}),
        ("pkg/a.py", "Python", ".", "b x", {"pkg/b/__init__.py": "b", "pkg/__init__.py": "x"}),
        ("m.py", "Python", "pkg.a", "p q", {"pkg/a.py": "p q"}),
        ("m.py", "Python", "other", "p q", {None: "p q"}),
        ("src/m.py", "Python", "json", "", {None: ""}),
        ("src/m.py", "Python", "json", "dumps", {None: "dumps"}),
        ("src/m.py", "Python", "json.decoder", "", {None: ""}),
        ("src/m.py", "Python", "cmd", "", {None: ""}),
        ("src/m.py", "Python", "cmd.serve", "", {"src/cmd/serve.py": ""}),
        ("rust/src/main.rs", "Rust", "crate", "a b::c", {"rust/src/a.rs": "a", "rust/src/b/c.rs": "b::c"}),
        (
            "rust/src/a.rs",
            "Rust",
            "crate::b",
            "Item c::Other self",
            {"rust/src/b/mod.rs": "Item self", "rust/src/b/c.rs": "c::Other"},
        ),
        ("rust/src/b/c.rs", "Rust", "super::super", "a", {"rust/src/a.rs": "a"}),
        ("rust/src/a.rs", "Rust", "std", "fs io::Read", {None: "fs io::Read"}),
        (f"{MAIN}/x/A.java", "Java", "org.shop", "*", {MAIN: "*"}),
        (f"{TEST}/x/A.java", "Java", "org.shop", "*", {TEST: "*"}),
        ("other/A.java", "Java", "org.shop", "*", {None: "*"}),
        ("other/A.java", "Java", "org.till", "*", {"jvm/src/main/scala/org/till": "*"}),
        ("other/A.java", "Java", "org.shop.Item", "*", {f"{MAIN}/Item.java": "*"}),
        ("other/A.java", "Java", "java.util", "*", {None: "*"}),
        (f"{MAIN}/A.java", "Java", "org.shop.Price", "", {f"{MAIN}/Price.java": ""}),
        (f"{TEST}/A.java", "Java", "org.shop.Price.OF", "", {f"{TEST}/Price.java": ""}),
        ("o/A.kt", "Kotlin", "org.io.Bytes", "", {"io/src/commonMain/kotlin/org/io/Bytes.kt": ""}),
        ("io/src/jvmMain/A.kt", "Kotlin", "org.io.Bytes", "", {"io/src/jvmMain/kotlin/org/io/Bytes.kt": ""}),
        (
            "A.scala",
            "Scala",
            "org.shop",
            "Item ItemTest",
            {f"{MAIN}/Item.java": "Item", f"{TEST}/ItemTest.java": "ItemTest"},
        ),
        (
            "A.scala",
            "Scala",
            "org.till",
            "Till _",
            {"jvm/src/main/scala/org/till/Till.scala": "Till", "jvm/src/main/scala/org/till": "_"},
        ),
        (
            "php/x.php",
            "PHP",
            "App\\Models",
            "Item Price",
            {"php/src/Models/Item.php": "Item", "php/src/Models/Price.php": "Price"},
        ),
        ("ruby/lib/shop/base.rb", "Ruby", "json", "", {None: ""}),
        ("ruby/lib/shop/base.rb", "Ruby", "net/http", "", {None: ""}),
        ("ruby/lib/shop/base.rb", "Ruby", "shop/json", "", {"ruby/lib/shop/json.rb": ""}),
        ("ruby/lib/shop/base.rb", "Ruby", "./json", "", {"ruby/lib/shop/json.rb": ""}),
        ("ruby/lib/shop/net/http.rb", "Ruby", "../json", "", {"ruby/lib/shop/json.rb": ""}),
        ("ruby/lib/shop/net/http.rb", "Ruby", "../time", "", {None: ""}),
    ],
)
def test_an_import_of_several_means_each(
    path: str, language: str, module: str, names: str, expected: dict[str | None, str]
) -> None:
    found = SourceTree(MANY).resolve(path, language, Import(module, tuple(names.split()), 1))
    assert {target: " ".join(taken) for taken, target in found} == expected
    assert len(found) == len(expected)


def test_what_two_kotlin_modules_declare_for_all_platforms_is_of_neither() -> None:
    paths = [
        f"{module}/src/{part}/kotlin/org/io/X.kt" for module in "ab" for part in ("commonMain", "jvmMain")
    ]
    tree = SourceTree(paths)

    def means(path: str) -> list[tuple[tuple[str, ...], str | None]]:
        return list(tree.resolve(path, "Kotlin", Import("org.io.X", (), 1)))

    assert means("o/A.kt") == [((), None)]
    assert means("a/src/commonMain/A.kt") == [((), paths[0])]


def test_a_crate_of_the_tree_is_found_by_its_name() -> None:
    paths = [
        "src/lib.rs",
        "src/db.rs",
        "src/bin/x.rs",
        "tests/t.rs",
        "util/lib/all.rs",
        "util/lib/io.rs",
        "two/src/lib.rs",
    ]
    projects = Projects()
    cargo = {
        "Cargo.toml": b'[package]\nname = "my-shop"\n',
        "util/Cargo.toml": b'[package]\nname = "util"\n[lib]\nname = "tools"\npath = "lib/all.rs"\n',
        "one/Cargo.toml": b'[package]\nname = "no-library"\n',
        "bad/Cargo.toml": b"[package",
    }
    for path, blob in cargo.items():
        assert is_project_file(path)
        read_project_file(projects, path, blob)
    tree = SourceTree([*paths, *cargo], projects)

    def means(module: str, *names: str) -> dict[str | None, tuple[str, ...]]:
        return {
            target: taken for taken, target in tree.resolve("tests/t.rs", "Rust", Import(module, names, 1))
        }

    assert means("my_shop", "Result", "db::Db") == {"src/lib.rs": ("Result",), "src/db.rs": ("db::Db",)}
    assert means("my_shop::db::Db") == {"src/db.rs": ()}
    assert means("tools", "io", "Other") == {"util/lib/io.rs": ("io",), "util/lib/all.rs": ("Other",)}
    assert means("util::io") == means("no_library::x") == means("std::io") == {None: ()}


def test_tests_benches_examples_and_binaries_are_crates_of_their_own() -> None:
    files = [
        "Cargo.toml",
        "src/lib.rs",
        "src/bin/x.rs",
        "src/bin/help.rs",
        "tests/t.rs",
        "tests/common/mod.rs",
    ]
    tree = SourceTree(
        [*files, "src/tests/a.rs", "src/tests/b.rs", "other/tests/t.rs", "other/tests/common/mod.rs"]
    )

    def means(path: str, module: str) -> str | None:
        ((_, target),) = tree.resolve(path, "Rust", Import(module, (), 1))
        return target

    assert means("tests/t.rs", "common") == "tests/common/mod.rs"
    assert means("tests/t.rs", "self::common") == "tests/common/mod.rs"
    assert means("src/bin/x.rs", "help") == "src/bin/help.rs"
    assert means("src/tests/a.rs", "b") is None  # a module of the library
    assert means("other/tests/t.rs", "common") is None


def test_what_bundlers_ask_of_a_file_is_no_part_of_its_name() -> None:
    tree = SourceTree(["a/m.ts", "a/x.svg", "a/y?z.js"])
    for module, target in {"./x.svg?raw": "a/x.svg", "./y?z": "a/y?z.js", "./gone?url": None}.items():
        assert tree.resolve("a/m.ts", "TypeScript", Import(module, (), 1)) == [((), target)]


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("$lib", "app/src/lib/index.ts"),
        ("$lib/db", "app/src/lib/db.js"),
        ("$lib/db.js", "app/src/lib/db.js"),
        ("$lib/none", None),
        ("$libs/db", None),
        ("$app/stores", None),
    ],
)
def test_svelte_kits_library_is_that_of_the_project(module: str, target: str | None) -> None:
    files = [
        "app/svelte.config.js",
        "app/src/lib/index.ts",
        "app/src/lib/db.js",
        "src/lib/db.js",
        "src/lib/none.js",
    ]
    page = "app/src/routes/+page.ts"
    for more in ([], ["svelte.config.ts"]):
        assert SourceTree([*files, *more, page]).resolve(page, "TypeScript", Import(module, (), 1)) == [
            ((), target)
        ]
    alone = SourceTree(["src/lib/db.js", "src/m.js"])
    assert alone.resolve("src/m.js", "JavaScript", Import("$lib/db", (), 1)) == [((), None)]


def test_without_go_mod_no_go_import_is_guessed() -> None:
    item = Import("example.com/shop/internal/store", (), 1)
    assert SourceTree(PATHS).resolve("go/main.go", "Go", item) == [((), None)]


@settings(max_examples=300, deadline=None)
@given(
    path=st.sampled_from(PATHS) | st.text("./a\\:", max_size=20),
    language=st.sampled_from([*LANGUAGES]),
    module=st.text("./\\:<>$(){}*abc~", max_size=40),
    names=st.lists(st.text("./*ab", max_size=5), max_size=3),
)
def test_an_answer_is_always_inside_the_tree(path: str, language: str, module: str, names: list[str]) -> None:
    tree = SourceTree(PATHS, GO)
    found = tree.resolve(path, language, Import(module, tuple(names), 1))
    assert sorted(name for taken, _ in found for name in taken) == sorted(names)
    assert len({target for _, target in found}) == len(found)
    inside = {*PATHS, *(posixpath.dirname(one) for one in PATHS)}
    assert all(target is None or target in inside for _, target in found)
