"""What imports of scripts mean: aliases of tsconfig.json, packages of workspaces, `exports` and `imports`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snapshotter.scan.project_files import is_project_file, read_project_file
from snapshotter.scan.symbols.projects import Projects
from snapshotter.scan.symbols.records import Import
from snapshotter.scan.symbols.resolve import SourceTree

FILES = """app/src/main.ts app/src/lib/b.ts app/src/lib/index.ts app/src/fs.ts app/generated/api.ts app/tsconfig.json
    packages/ui/src/Button.tsx packages/ui/src/index.ts packages/ui/src/theme/dark.ts packages/ui/util.js
    packages/core/lib.mjs packages/old/index.js tools/gen/run.ts tools/gen/src/index.ts apps/web/main.ts""".split()


def means(module: str, at: str, files: dict[str, Any], *, more: tuple[str, ...] = ()) -> str | None:
    """What `module` means in the file at `at`, in FILES and these project files: documents, or text as it stands."""
    projects = Projects()
    for path, content in files.items():
        assert is_project_file(path)
        text = content if isinstance(content, str) else json.dumps(content)
        read_project_file(projects, path, text.encode())
    tree = SourceTree([*FILES, *files, *more], projects)
    ((_, target),) = tree.resolve(at, "TypeScript", Import(module, (), 1))
    return target


def options(**given: Any) -> dict[str, Any]:
    return {"compilerOptions": given}


AT = "app/src/main.ts"
B = "app/src/lib/b.ts"


@pytest.mark.parametrize(
    ("module", "files", "expected"),
    [
        ("~/lib/b", {"tsconfig.json": options(baseUrl=".", paths={"~/*": ["app/src/*"]})}, B),
        ("~/lib/b", {"app/tsconfig.json": options(paths={"~/*": ["./src/*"]})}, B),
        ("~/lib", {"app/tsconfig.json": options(paths={"~/*": ["./src/*"]})}, "app/src/lib/index.ts"),
        ("~/lib/b.js", {"app/tsconfig.json": options(paths={"~/*": ["./src/*"]})}, B),
        ("lib/b", {"app/tsconfig.json": options(baseUrl="src")}, B),
        ("lib/b", {"app/jsconfig.json": options(baseUrl="./src")}, B),
        ("fs", {"app/tsconfig.json": options(baseUrl="src")}, None),
        ("node:fs", {"app/tsconfig.json": options(baseUrl="src")}, None),
        (
            "api",
            {"app/tsconfig.json": options(paths={"api": ["./none", "generated/api.ts"]})},
            "app/generated/api.ts",
        ),
        (
            "~/lib/b",
            {"app/tsconfig.json": options(paths={"*": ["none/*"], "~/*": ["src/*"], "~*": ["no/*"]})},
            B,
        ),
        ("a/lib/b.x", {"app/tsconfig.json": options(paths={"a/*.x": ["src/*"]})}, B),
        (
            "~/lib/b",
            {
                "app/tsconfig.json": {"extends": "../base.tsconfig.json"},
                "base.tsconfig.json": options(paths={"~/*": ["app/src/*"]}),
            },
            B,
        ),
        (
            "~/lib/b",
            {
                "app/tsconfig.json": {"extends": ["../a.tsconfig", "../b.tsconfig"]},
                "a.tsconfig.json": options(paths={"~/*": ["no/*"]}),
                "b.tsconfig.json": options(paths={"~/*": ["app/src/*"]}),
            },
            B,
        ),
        (
            "~/lib/b",
            {
                "app/tsconfig.json": {"extends": "../t.tsconfig.json"},
                "t.tsconfig.json": options(paths={"~/*": ["${configDir}/src/*"]}),
            },
            B,
        ),
        (
            "~/lib/b",
            {"app/tsconfig.json": {"extends": "./tsconfig.json", **options(paths={"~/*": ["src/*"]})}},
            B,
        ),
        (
            "~/lib/b",
            {
                "app/tsconfig.json": {"references": [{"path": "./tsconfig.app.json"}]},
                "app/tsconfig.app.json": options(paths={"~/*": ["src/*"]}),
            },
            B,
        ),
        (
            "~/lib/b",
            {
                "app/tsconfig.json": '// why\n{"compilerOptions": {/* "paths": 1 */ "paths": {"~/*": ["src/*",],},},}'
            },
            B,
        ),
        (
            "~/lib/b",
            {"app/tsconfig.json": options(), "tsconfig.json": options(paths={"~/*": ["app/src/*"]})},
            None,
        ),
        ("~/lib/b", {"app/tsconfig.json": "[" * 100_000}, None),
        ("~/x", {"app/tsconfig.json": options(paths={"~/*": ["../../etc/*"]})}, None),
        ("#b", {"app/package.json": {"imports": {"#b": {"node": "./src/lib/b.js", "default": "./x.js"}}}}, B),
        ("#lib/b", {"app/package.json": {"imports": {"#lib/*": "./dist/lib/*.js"}}}, B),
        ("web/lib/b", {"app/package.json": {"name": "web"}}, B),
    ],
)
def test_an_alias_means_a_file(module: str, files: dict[str, Any], expected: str | None) -> None:
    assert means(module, AT, files) == expected


WORKSPACE = {"package.json": {"workspaces": ["packages/*", "!packages/old"]}}
UI = "packages/ui/package.json"


def ui(**fields: Any) -> dict[str, Any]:
    return {**WORKSPACE, UI: {"name": "@acme/ui", **fields}}


@pytest.mark.parametrize(
    ("module", "files", "expected"),
    [
        ("@acme/ui", ui(main="src/Button.tsx"), "packages/ui/src/Button.tsx"),
        ("@acme/ui", ui(main="./dist/index.js", types="dist/index.d.ts"), "packages/ui/src/index.ts"),
        ("@acme/ui", ui(), "packages/ui/src/index.ts"),
        ("@acme/ui/src/theme/dark", ui(), "packages/ui/src/theme/dark.ts"),
        ("@acme/ui/theme/dark", ui(), "packages/ui/src/theme/dark.ts"),
        ("@acme/ui/util.js", ui(), "packages/ui/util.js"),
        ("@acme/ui/none", ui(), None),
        (
            "@acme/ui",
            ui(exports={".": {"import": {"types": "./x.d.ts", "default": "./util.js"}}}),
            "packages/ui/util.js",
        ),
        ("@acme/ui", ui(exports="./util.js"), "packages/ui/util.js"),
        ("@acme/ui/dark", ui(exports={"./*": "./dist/theme/*.mjs"}), "packages/ui/src/theme/dark.ts"),
        ("@acme/other", ui(), None),
        ("old", {**WORKSPACE, "packages/old/package.json": {"name": "old"}}, None),
        (
            "core",
            {
                "lerna.json": {"packages": ["packages/*"]},
                "packages/core/package.json": {"name": "core", "main": "lib.mjs"},
            },
            "packages/core/lib.mjs",
        ),
        (
            "core",
            {
                "pnpm-workspace.yaml": "packages:\n  - './packages/**'\n",
                "packages/core/package.json": {"name": "core", "main": "lib.mjs"},
            },
            "packages/core/lib.mjs",
        ),
        (
            "core",
            {
                "package.json": {"workspaces": {"packages": ["packages/c*"]}},
                "packages/core/package.json": {"name": "core", "main": "lib.mjs"},
            },
            "packages/core/lib.mjs",
        ),
        ("core", {"packages/core/package.json": {"name": "core", "main": "lib.mjs"}}, None),
        (
            "gen",
            {
                "app/package.json": {"dependencies": {"gen": "file:../tools/gen"}},
                "tools/gen/package.json": {"name": "x"},
            },
            "tools/gen/src/index.ts",
        ),
        ("gen", {"app/package.json": {"dependencies": {"gen": "file:../tools/gen.tgz"}}}, None),
        ("events", {**WORKSPACE, "packages/core/package.json": {"name": "events", "main": "lib.mjs"}}, None),
        ("@acme/ui", {"package.json": {"workspaces": 7}, UI: "not JSON"}, None),
    ],
)
def test_a_package_of_the_workspace_means_its_entry(
    module: str, files: dict[str, Any], expected: str | None
) -> None:
    assert means(module, AT, files) == expected


def test_a_workspace_is_for_the_files_below_it_only() -> None:
    files = {"app/package.json": {"workspaces": ["p"]}, "app/p/package.json": {"name": "inner"}}
    assert means("inner", "app/src/main.ts", files, more=("app/p/index.js",)) == "app/p/index.js"
    assert means("inner", "apps/web/main.ts", files, more=("app/p/index.js",)) is None


def test_a_configuration_may_extend_a_package_of_the_workspace() -> None:
    shared = {"packages/ui/tsconfig.json": options(paths={"~/*": ["../../app/src/*"]})}
    files = {**ui(), **shared, "app/tsconfig.json": {"extends": "@acme/ui/tsconfig.json"}}
    assert means("~/lib/b", AT, files) == B


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("go.mod", True),
        ("a/tsconfig.app.json", True),
        ("base.tsconfig.json", True),
        ("jsconfig.json", True),
        ("a/package.json", True),
        ("pnpm-workspace.yaml", True),
        ("tsconfig.js", False),
        ("package-lock.json", False),
        ("node_modules/x/tsconfig.json", False),
    ],
)
def test_which_files_say_where_imports_lead(path: str, expected: bool) -> None:
    assert is_project_file(path) is expected


_keys = st.sampled_from(
    """compilerOptions baseUrl paths extends references path workspaces packages name main exports imports . ./* #a
    """.split()
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("./*#a@", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    documents=st.dictionaries(
        st.sampled_from(
            ["tsconfig.json", "app/tsconfig.json", "package.json", "app/package.json", "lerna.json"]
        ),
        st.dictionaries(_keys, _json, max_size=6),
    ),
    module=st.text("./*#a@", max_size=8),
)
def test_any_project_files_give_a_file_of_the_tree_or_nothing(documents: dict[str, Any], module: str) -> None:
    found = means(module, AT, documents)
    assert found is None or found in {*FILES, *documents}
