"""Manifests of one tree that explain each other: what each says, and that a scan on top of another tells the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from snapshotter.scan.dependencies import Manifests
from tests.scan.test_tree_scan import Files, Origin, scan
from tests.support.scans import quickly


def told(path: str, files: dict[str, str]) -> list[tuple[str, str | None, str | None, str | None, bool]]:
    """Name, version, requirement, scope, and whether a registry has it, of each row at `path`."""
    manifests = Manifests()
    for name, text in files.items():
        manifests.add(name, text.encode())
    return [
        (row.name, row.version, row.requirement, row.scope, row.purl is not None)
        for row in manifests.rows(path)
    ]


def versions(path: str, files: dict[str, str]) -> dict[str, str | None]:
    return {name: version for name, version, *_ in told(path, files)}


def pom(artifact: str, body: str = "", *, parent: str = "", version: str = "1.0") -> str:
    """A pom.xml. A parent is ``artifact`` or ``artifact|relativePath``."""
    above, bar, relative = parent.partition("|")
    place = f"<relativePath>{relative}</relativePath>" if bar else ""
    named = f"<groupId>acme</groupId><artifactId>{above}</artifactId><version>1.0</version>{place}"
    own = f"<parent>{named}</parent>" if parent else f"<groupId>acme</groupId><version>{version}</version>"
    return f"<project>{own}<artifactId>{artifact}</artifactId>{body}</project>"


def needs(*entries: str) -> str:
    return f"<dependencies>{''.join(entries)}</dependencies>"


def managed(*entries: str) -> str:
    return f"<dependencyManagement>{needs(*entries)}</dependencyManagement>"


def entry(name: str, version: str = "", **more: str) -> str:
    group, _, artifact = name.partition(":")
    parts = {"groupId": group, "artifactId": artifact, "version": version, **more}
    return f"<dependency>{''.join(f'<{key}>{value}</{key}>' for key, value in parts.items() if value)}</dependency>"


def properties(**named: str) -> str:
    return f"<properties>{''.join(f'<{key}>{value}</{key}>' for key, value in named.items())}</properties>"


USES = needs(entry("g:lib"), entry("g:set", "${v}"))
ROOT = pom("root", properties(v="2.0") + managed(entry("g:lib", "${v}")))


@pytest.mark.parametrize(
    ("parent", "place"),
    [
        ("root", "pom.xml"),
        ("root|../pom.xml", "pom.xml"),
        ("root|..", "pom.xml"),
        ("root|../build/pom.xml", "build/pom.xml"),
        ("root|", "elsewhere/pom.xml"),
        ("root", "elsewhere/pom.xml"),
    ],
)
def test_a_pom_has_its_parents_properties_and_management(parent: str, place: str) -> None:
    files = {place: ROOT, "child/pom.xml": pom("child", USES, parent=parent)}
    assert versions("child/pom.xml", files) == {"acme:root": "1.0", "g:lib": "2.0", "g:set": "2.0"}


def test_the_nearest_pom_holds_and_grandparents_count() -> None:
    files = {
        "pom.xml": ROOT,
        "a/pom.xml": pom("a", properties(v="3.0"), parent="root"),
        "a/b/pom.xml": pom("b", USES, parent="a"),
        "a/c/pom.xml": pom("c", managed(entry("g:lib", "4.0")) + USES, parent="a"),
    }
    assert versions("a/b/pom.xml", files)["g:lib"] == "3.0"
    assert versions("a/c/pom.xml", files)["g:lib"] == "4.0"


def test_another_pom_at_the_relative_path_is_no_parent() -> None:
    files = {"pom.xml": pom("other", properties(v="9")), "child/pom.xml": pom("child", USES, parent="root")}
    assert versions("child/pom.xml", files) == {"acme:root": "1.0", "g:lib": None, "g:set": None}


@pytest.mark.parametrize("relative", ["root", "root|../pom.xml"])
def test_another_release_of_a_parent_or_bom_of_the_tree_is_not_that_of_the_tree(relative: str) -> None:
    child = pom("child", USES, parent=relative)
    other = {
        "pom.xml": ROOT.replace("<version>1.0</version>", "<version>0.9</version>"),
        "child/pom.xml": child,
    }
    assert versions("child/pom.xml", other) == {"acme:root": "1.0", "g:lib": None, "g:set": None}
    bom = pom("bom", managed(entry("g:lib", "7")))
    for version, lib in (("1.0", "7"), ("0.9", None), ("${bom}", None), ("${here}", "7")):
        imports = properties(here="1.0", bom="0.9") + managed(entry("acme:bom", version, scope="import"))
        user = {"bom/pom.xml": bom, "pom.xml": pom("user", imports + needs(entry("g:lib")))}
        assert versions("pom.xml", user)["g:lib"] == lib


def test_versions_by_a_property_that_the_root_defines() -> None:
    root = pom("root", properties(revision="3.1") + managed(entry("g:lib", "2.0")), version="${revision}")
    child = pom("child", needs(entry("g:lib"), entry("acme:root", "${project.version}")), parent="root")
    files = {
        "pom.xml": root,
        "child/pom.xml": child.replace("<version>1.0</version>", "<version>${revision}</version>"),
    }
    assert told("child/pom.xml", files) == [
        ("g:lib", "2.0", None, "runtime", True),
        ("acme:root", "3.1", "${project.version}", "runtime", False),
        ("acme:root", "3.1", "${revision}", "parent", False),
    ]


def test_what_a_parent_calls_the_projects_version_is_its_childs() -> None:
    parent = pom("root", managed(entry("acme:api", "${project.version}")), version="1.0")
    child = (
        "<project><parent><groupId>acme</groupId><artifactId>root</artifactId><version>1.0</version></parent>"
    )
    child += f"<artifactId>c</artifactId><version>5.0</version>{needs(entry('acme:api'))}</project>"
    assert versions("c/pom.xml", {"pom.xml": parent, "c/pom.xml": child})["acme:api"] == "5.0"


def test_scope_plugins_and_boms_are_managed_too() -> None:
    plugins = "<build>{}<plugins><plugin><artifactId>p</artifactId>{}</plugin></plugins>{}</build>"
    bom = pom(
        "bom", properties(v="7.1") + managed(entry("g:in-bom", "${v}"), entry("g:test", "1", scope="test"))
    )
    above = plugins.format("<pluginManagement>", "<version>3.3</version>", "</pluginManagement>")
    imported = managed(entry("acme:bom", "1.0", type="pom", scope="import"))
    child = needs(entry("g:in-bom"), entry("g:test"), entry("g:none")) + plugins.format("", "", "")
    files = {
        "pom.xml": pom("root", imported + above + properties(v="8")),
        "bom/pom.xml": bom,
        "child/pom.xml": pom("child", child, parent="root"),
    }
    assert told("child/pom.xml", files) == [
        ("g:in-bom", "7.1", None, "runtime", True),
        ("g:test", "1", None, "test", True),
        ("g:none", None, None, "runtime", True),
        ("org.apache.maven.plugins:p", "3.3", None, "plugin", True),
        ("acme:root", "1.0", "1.0", "parent", False),
    ]


def test_modules_of_the_tree_come_from_no_registry_but_other_releases_of_them_do() -> None:
    files = {
        "pom.xml": pom("root"),
        "a/pom.xml": pom("a", parent="root"),
        "b/pom.xml": pom(
            "b", needs(entry("acme:a", "${project.version}"), entry("acme:a", "0.9")), parent="root"
        ),
    }
    assert told("b/pom.xml", files)[:2] == [
        ("acme:a", "1.0", "${project.version}", "runtime", False),
        ("acme:a", "0.9", "0.9", "runtime", True),
    ]


def test_poms_that_are_their_own_parents_end() -> None:
    files = {"a/pom.xml": pom("a", USES, parent="b"), "b/pom.xml": pom("b", USES, parent="a")}
    files |= {"c/pom.xml": pom("c", managed(entry("acme:c", "1", scope="import")) + USES, parent="c")}
    for path in files:
        assert versions(path, files)["g:lib"] is None


WORKSPACE = """
[workspace]
members = ["crates/*"]
[workspace.dependencies]
serde = { version = "=1.0.200", features = ["derive"] }
rand = "0.8"
own = { path = "crates/own", version = "0.3" }
forked = { git = "https://code.example/forked" }
renamed = { package = "real", version = "2" }
"""
MEMBER = """
[package]
name = "member"
[dependencies]
serde.workspace = true
rand = { workspace = true, optional = true }
renamed = { workspace = true }
missing = { workspace = true }
[dev-dependencies]
own = { workspace = true }
[target.'cfg(unix)'.build-dependencies]
forked = { workspace = true, features = ["x"] }
"""


@pytest.mark.parametrize("above", ["Cargo.toml", "crates/Cargo.toml"])
def test_a_crate_has_what_its_workspace_shares(above: str) -> None:
    files = {above: WORKSPACE, "crates/member/Cargo.toml": MEMBER, "crates/x/Cargo.toml": "[package]\n"}
    assert told("crates/member/Cargo.toml", files) == [
        ("serde", "1.0.200", "=1.0.200", "runtime", True),
        ("rand", None, "0.8", "optional", True),
        ("real", None, "2", "runtime", True),
        ("missing", None, None, "runtime", True),
        ("own", None, "0.3", "dev", False),
        ("forked", None, "https://code.example/forked", "build", False),
    ]


def test_a_crate_may_name_its_workspace_or_be_its_root() -> None:
    named = MEMBER.replace('name = "member"', 'workspace = "../ws"')
    assert versions("m/Cargo.toml", {"ws/Cargo.toml": WORKSPACE, "m/Cargo.toml": named})["serde"] == "1.0.200"
    assert versions("Cargo.toml", {"Cargo.toml": WORKSPACE + MEMBER})["serde"] == "1.0.200"
    assert versions("m/Cargo.toml", {"m/Cargo.toml": MEMBER})["serde"] is None


PATCHED = """
[workspace]
[patch.crates-io]
serde = { git = "https://code.example/serde" }
y = { package = "rand", path = "vendor/rand" }
tried = { version = "1.2" }
[patch.'https://code.example/index']
real = { path = "../real" }
[replace]
"missing:1.0.0" = { git = "https://code.example/missing" }
"https://code.example/index#real:2.0.0" = { path = "vendor/real" }
"""


def test_what_a_workspace_patches_comes_from_no_registry() -> None:
    files = {
        "Cargo.toml": PATCHED,
        "m/Cargo.toml": '[dependencies]\nserde = "1"\nrand = "0.8"\ntried = "1"\n',
    }
    assert told("m/Cargo.toml", files) == [
        ("serde", None, "1", "runtime", False),
        ("rand", None, "0.8", "runtime", False),
        ("tried", None, "1", "runtime", True),
    ]
    assert told("Cargo.toml", files) == [
        ("serde", None, "https://code.example/serde", "patch", False),
        ("rand", None, "vendor/rand", "patch", False),
        ("tried", None, "1.2", "patch", True),
        ("real", None, "../real", "patch", False),
        ("missing", None, "https://code.example/missing", "patch", False),
        ("real", None, "vendor/real", "patch", False),
    ]


def test_a_crate_without_a_workspace_patches_itself_and_no_other() -> None:
    patch = '[dependencies]\nx = "1"\n[patch.crates-io]\nx = { path = "x" }\n'
    files = {"a/Cargo.toml": patch, "a/x/Cargo.toml": '[dependencies]\nx = "1"\n'}
    assert [registry for *_, registry in told("a/Cargo.toml", files)] == [False, False]
    assert [registry for *_, registry in told("a/x/Cargo.toml", files)] == [True]


GO_MOD = """module code.example/a
require (
    code.example/b v1.0.0
    code.example/c v1.1.0
    code.example/d v1.2.0 // indirect
    code.example/e v1.3.0
)
replace code.example/c => code.example/own/c v1.1.1
"""
GO_WORK = """go 1.22
use (
    ./a
    "./b"
)
replace code.example/c => code.example/mono/c v2.0.0 // this one holds
replace code.example/d v1.2.0 => ./d
replace code.example/nobody => code.example/mono/nobody v3.0.0
"""


def test_a_go_workspace_replaces_and_has_its_modules_in_folders() -> None:
    files = {"a/go.mod": GO_MOD, "b/go.mod": "module code.example/b\n", "go.work": GO_WORK}
    assert told("a/go.mod", files) == [
        ("code.example/b", None, "v1.0.0", "runtime", False),
        ("code.example/c", None, "v1.1.0", "runtime", False),
        ("code.example/mono/c", "v2.0.0", "code.example/c => code.example/mono/c v2.0.0", "runtime", True),
        ("code.example/d", None, "v1.2.0", "runtime", False),
        ("code.example/e", "v1.3.0", "v1.3.0", "runtime", True),
    ]
    assert [(name, scope) for name, _, _, scope, _ in told("go.work", files)] == [
        ("code.example/mono/nobody", "replace")
    ]


@pytest.mark.parametrize("work", ["go 1.22\nuse ./b\n" + GO_WORK.partition(")")[2], ""])
def test_a_module_that_a_workspace_does_not_use_stands_for_itself(work: str) -> None:
    files = {"a/go.mod": GO_MOD, "b/go.mod": "module code.example/b\n"} | ({"go.work": work} if work else {})
    assert versions("a/go.mod", files) == {
        "code.example/b": "v1.0.0",
        "code.example/c": None,
        "code.example/own/c": "v1.1.1",
        "code.example/d": "v1.2.0",
        "code.example/e": "v1.3.0",
    }


def test_the_module_at_the_root_may_be_of_its_workspace() -> None:
    files = {"go.mod": GO_MOD, "b/go.mod": "module code.example/b\n", "go.work": GO_WORK.replace("./a", ".")}
    assert versions("go.mod", files)["code.example/mono/c"] == "v2.0.0"


def package(name: str, needs: str, more: str = "") -> str:
    return f'{{"name": "{name}", "version": "1.2.0"{more}, "dependencies": {{{needs}}}}}'


@pytest.mark.parametrize(
    ("workspaces", "member"),
    [
        ('["packages/*"]', True),
        ('["packages/core"]', True),
        ('["./packages/**"]', True),
        ('["pack*/*"]', True),
        ('{"packages": ["packages/*/"]}', True),
        ('["apps/*"]', False),
        ('["*"]', False),
        ('["**"]', True),
        ('["**/core"]', True),
        ('["packages/co[rs]e"]', True),
        ('["packages/c*e*"]', True),
        (f'["{"**/x/" * 9}**"]', True),
        ("[]", False),
    ],
)
def test_a_package_of_the_workspace_comes_from_its_folder(workspaces: str, member: bool) -> None:
    files = {
        "package.json": package("root", "", f', "workspaces": {workspaces}'),
        "packages/core/package.json": package("@acme/core", ""),
        "packages/app/package.json": package("app", '"@acme/core": "^1.0.0", "left-pad": "1.3.0"'),
    }
    assert told("packages/app/package.json", files) == [
        ("@acme/core", None, "^1.0.0", "runtime", not member),
        ("left-pad", "1.3.0", "1.3.0", "runtime", True),
    ]


PNPM = """
packages: ['packages/*']
catalog: {react: ^18.2.0, tool: workspace:*}
catalogs:
  next: {react: 19.0.0}
"""
USES_CATALOGS = '"react": "catalog:", "tool": "catalog:default", "vue": "catalog:", "other": "catalog:none"'


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pnpm-workspace.yaml", PNPM),
        (".yarnrc.yml", PNPM.replace("packages: ['packages/*']", "nodeLinker: pnp")),
        (
            "package.json",
            '{"catalog": {"react": "^18.2.0", "tool": "workspace:*"}, "workspaces": ["packages/*"]}',
        ),
        (
            "package.json",
            '{"workspaces": {"packages": [], "catalog": {"react": "^18.2.0", "tool": "workspace:*"}}}',
        ),
    ],
)
def test_what_stands_in_a_catalog_is_asked_for_as_it_says(path: str, text: str) -> None:
    files = {path: text, "packages/a/package.json": package("a", USES_CATALOGS)}
    assert told("packages/a/package.json", files) == [
        ("react", None, "^18.2.0", "runtime", True),
        ("tool", None, "workspace:*", "runtime", False),
        ("vue", None, "catalog:", "runtime", True),
        ("other", None, "catalog:none", "runtime", True),
    ]
    assert {scope for *_, scope, _ in told(path, files)} == {"management"}


def test_a_catalog_by_its_name_and_the_packages_of_a_pnpm_workspace() -> None:
    needs = '"react": "catalog:next", "b": "^1.0.0"'
    files = {
        "pnpm-workspace.yaml": PNPM,
        "packages/a/package.json": package("a", needs),
        "packages/b/package.json": package("b", ""),
    }
    assert told("packages/a/package.json", files) == [
        ("react", "19.0.0", "19.0.0", "runtime", True),
        ("b", None, "^1.0.0", "runtime", False),
    ]


def test_pnpms_lock_file_asks_as_its_catalogs_say() -> None:
    lock = """
catalogs: {default: {react: {specifier: ^18.2.0, version: 18.3.1}}}
importers: {.: {dependencies: {react: {specifier: 'catalog:', version: 18.3.1}}}}
packages: {react@18.3.1: {}}
"""
    assert told("pnpm-lock.yaml", {"pnpm-lock.yaml": lock}) == [
        ("react", "18.3.1", "^18.2.0", "runtime", True)
    ]


@pytest.mark.parametrize(
    ("repositories", "own"),
    [
        ('[{"type": "path", "url": "packages/*"}]', True),
        ('{"own": {"type": "path", "url": "packages/*"}}', True),
        ('[{"type": "vcs", "url": "https://h.example/x"}]', False),
        ("[]", False),
    ],
)
def test_a_package_of_a_folder_of_composer_comes_from_no_registry(repositories: str, own: bool) -> None:
    files = {
        "composer.json": f'{{"require": {{"Own/X": "@dev", "b/y": "1.0.0"}}, "repositories": {repositories}}}',
        "packages/x/composer.json": '{"name": "own/x"}',
    }
    assert told("composer.json", files) == [
        ("Own/X", None, "@dev", "runtime", not own),
        ("b/y", "1.0.0", "1.0.0", "runtime", True),
    ]


USES_MANAGED = "<dependencies>" + entry("g:managed") + "</dependencies>"
PROFILES = """<profiles>
<profile><id>a</id>{activation}<properties><v>2</v><same>5</same></properties>
<dependencyManagement><dependencies>{managed}</dependencies></dependencyManagement>
<dependencies>{uses}</dependencies></profile>
<profile><id>b</id><properties><v>3</v><same>5</same></properties></profile>
</profiles>"""


@pytest.mark.parametrize(
    ("activation", "version"),
    [("<activation><activeByDefault>true</activeByDefault></activation>", "2"), ("", None)],
)
def test_profiles_say_what_does_not_depend_on_which_is_asked_for(
    activation: str, version: str | None
) -> None:
    uses = entry("g:v", "${v}") + entry("g:same", "${same}") + entry("g:managed")
    body = PROFILES.format(activation=activation, managed=entry("g:managed", "7"), uses=uses)
    found = told("pom.xml", {"pom.xml": pom("x", body)})
    assert [(name, one) for name, one, _, scope, _ in found if scope == "runtime"] == [
        ("g:v", version),
        ("g:same", "5"),
        ("g:managed", "7"),
    ]
    child = told("c/pom.xml", {"pom.xml": pom("x", body), "c/pom.xml": pom("c", USES_MANAGED, parent="x")})
    assert ("g:managed", "7") in [(name, one) for name, one, *_ in child]


def test_a_property_of_the_project_holds_whatever_a_profile_has() -> None:
    uses = entry("g:v", "${v}") + entry("g:same", "${same}")
    body = "<properties><v>1</v><same>1</same></properties>" + PROFILES.format(
        activation="", managed="", uses=uses
    )
    found = versions("pom.xml", {"pom.xml": pom("x", body)})
    assert (found["g:v"], found["g:same"]) == ("1", "1")


def test_another_release_of_a_package_of_the_workspace_comes_from_the_registry() -> None:
    files = {
        "package.json": package("root", '"a": "1.2.0", "b": "0.1.0"', ', "workspaces": ["a", "b"]'),
        "a/package.json": package("a", ""),
        "b/package.json": package("b", ""),
    }
    assert [one[4] for one in told("package.json", files)] == [False, True]


def test_the_sources_of_a_uv_workspace_hold_for_its_members() -> None:
    root = """
    [tool.uv.workspace]
    members = ["packages/*"]
    [tool.uv.sources]
    Core_Lib = { workspace = true }
    forked = { git = "https://h.example/forked" }
    listed = { index = "own" }
    """
    member = """
    [project]
    name = "app"
    dependencies = ["core-lib", "forked>=1", "listed", "httpx"]
    [tool.uv.sources]
    forked = { index = "own" }
    """
    files = {"pyproject.toml": root, "packages/app/pyproject.toml": member}
    assert [one[4] for one in told("packages/app/pyproject.toml", files)] == [False, True, True, True]
    files["pyproject.toml"] = root.replace("[tool.uv.workspace]", "[tool.other]")
    assert [one[4] for one in told("packages/app/pyproject.toml", files)] == [True, True, True, True]


def test_a_project_has_versions_and_properties_from_the_files_over_it() -> None:
    central = """<Project><PropertyGroup><A>13.1.0</A></PropertyGroup><ItemGroup>
      <PackageVersion Include="Aspire" Version="$(A)" /><PackageVersion Include="Tool" Version="1.0" />
      <PackageVersion Include="Range" Version="[1.0,2.0)"><PrivateAssets>all</PrivateAssets></PackageVersion>
      </ItemGroup></Project>"""
    project = """<Project Sdk="x"><PropertyGroup><Own>4.0.1</Own></PropertyGroup><ItemGroup>
      <PackageReference Include="aspire" /><PackageReference Include="Tool" VersionOverride="1.1" PrivateAssets="All" />
      <PackageReference Include="Own" Version="$(Own)" /><PackageReference Include="Range" />
      <PackageReference Include="Built" Version="$(Build)" /><PackageReference Include="None" />
      </ItemGroup></Project>"""
    build = "<Project><PropertyGroup><Build>9.0.0</Build><A>1</A></PropertyGroup></Project>"
    files = {
        "Directory.Packages.props": central,
        "src/a/A.csproj": project,
        "src/Directory.Build.props": build.replace("<A>1</A>", ""),
        "Directory.Build.props": build.replace("9.0.0", "8.0.0"),
        "other/Directory.Packages.props": central.replace("13.1.0", "1.0.0"),
    }
    assert told("src/a/A.csproj", files) == [
        ("aspire", "13.1.0", None, "runtime", True),
        ("Tool", "1.1", "1.1", "dev", True),
        ("Own", "4.0.1", "$(Own)", "runtime", True),
        ("Range", None, None, "runtime", True),
        ("Built", "9.0.0", "$(Build)", "runtime", True),
        ("None", None, None, "runtime", True),
    ]
    assert told("Directory.Packages.props", files) == [
        ("Aspire", "13.1.0", "$(A)", "management", True),
        ("Tool", "1.0", "1.0", "management", True),
        ("Range", None, "[1.0,2.0)", "management", True),
    ]


def test_constraints_are_versions_of_what_is_asked_for_and_no_dependencies() -> None:
    files = {
        "requirements.txt": "-c pins.txt\n-r deps/base.txt\nflask\nrich==13.0\ngit+https://h.example/x#egg=held\n",
        "deps/base.txt": "--requirement more.txt\nattrs>=20\n",
        "deps/more.txt": "idna\n",
        "pins.txt": "flask==3.0.2\nrich==1.0\nattrs==23.1\nidna==3.4\nheld==1\nunused==9\n",
    }
    assert told("requirements.txt", files) == [
        ("flask", "3.0.2", None, "runtime", True),
        ("rich", "13.0", "==13.0", "runtime", True),
        ("held", None, "git+https://h.example/x#egg=held", "runtime", False),
    ]
    assert told("deps/base.txt", files) == [("attrs", "23.1", ">=20", "runtime", True)]
    assert versions("deps/more.txt", files) == {"idna": "3.4"}
    assert {(scope, direct) for *_, scope, direct in told("pins.txt", files)} == {("constraint", True)}
    manifests = Manifests()
    manifests.add("pins.txt", b"a==1\n")
    manifests.add("requirements.txt", b"-c pins.txt\n")
    assert [row.direct for row in manifests.rows("pins.txt")] == [False]


def test_constraints_that_disagree_tell_nothing() -> None:
    files = {"requirements.txt": "-c a.txt\n-c b.txt\nx\n", "a.txt": "x==1\n", "b.txt": "x==2\n"}
    assert versions("requirements.txt", files) == {"x": None}


@pytest.mark.parametrize(
    ("users", "scope"),
    [
        (["requirements.txt", "requirements-dev.txt"], "runtime"),
        (["requirements-dev.txt"], "dev"),
        (["docs/requirements.txt"], "docs"),
        (["requirements-test.txt", "dev-requirements.txt"], "dev"),
    ],
)
def test_a_list_is_needed_when_those_that_take_it_in_are(users: list[str], scope: str) -> None:
    files = {path: f"-r {'../' * path.count('/')}common.txt\nx\n" for path in users}
    assert told("common.txt", files | {"common.txt": "a\n"})[0][3] == scope


@pytest.mark.parametrize(
    "files",
    [
        {"requirements-dev.txt": "-r requirements.txt\n"},
        {"requirements-dev.in": "-c requirements.txt\n", "requirements.in": "x\n"},
        {
            "docs/requirements.txt": "-r ../requirements.txt\n",
            "ci/constraints.txt": "-c ../requirements.txt\n",
        },
    ],
)
def test_what_is_a_requirements_file_by_its_name_stays_one_whoever_else_uses_it(
    files: dict[str, str],
) -> None:
    manifests = Manifests()
    for path, text in (files | {"requirements.txt": "x==1\n"}).items():
        manifests.add(path, text.encode())
    assert [(row.scope, row.direct) for row in manifests.rows("requirements.txt")] == [("runtime", True)]


def test_a_list_of_a_folder_of_requirements_is_needed_at_run_time_if_its_name_tells_nothing() -> None:
    files = {"requirements/base.txt": "x\n", "requirements/dev.txt": "-r base.txt\ny\n"}
    assert told("requirements/base.txt", files)[0][3] == "runtime"
    assert told("requirements/dev.txt", files)[0][3] == "dev"


@pytest.mark.parametrize(
    ("head", "scope"), [("# autogenerated by pip-compile\n", "runtime"), ("", "constraint")]
)
def test_what_a_tool_made_to_be_installed_is_no_mere_constraint(head: str, scope: str) -> None:
    files = {"requirements/base.txt": f"{head}x==1\n", "requirements/dev.in": "-c base.txt\nx\n"}
    assert told("requirements/base.txt", files)[0][3] == scope
    assert versions("requirements/dev.in", files) == {"x": "1"}


def test_lists_that_take_each_other_in_end() -> None:
    files = {
        "requirements.txt": "-r b.txt\n-c requirements.txt\na\n",
        "b.txt": "-r requirements.txt\n-c b.txt\nb==1\n",
    }
    assert versions("b.txt", files) == {"b": "1"}
    assert versions("requirements.txt", files) == {"a": None}


CHANGES: dict[str, tuple[dict[str, str], dict[str, str | None]]] = {
    "a parent's property": (
        {"pom.xml": ROOT, "c/pom.xml": pom("c", USES, parent="root")},
        {"pom.xml": ROOT.replace("2.0", "2.1")},
    ),
    "a parent goes": ({"pom.xml": ROOT, "c/pom.xml": pom("c", USES, parent="root")}, {"pom.xml": None}),
    "a parent comes, and another file with it": (
        {"c/pom.xml": pom("c", USES, parent="root|"), "x.py": "x = 1\n"},
        {"far/pom.xml": ROOT, "x.py": "x = 2\n"},
    ),
    "a workspace's shared version": (
        {"Cargo.toml": WORKSPACE, "crates/m/Cargo.toml": MEMBER},
        {"Cargo.toml": WORKSPACE.replace("1.0.200", "1.0.201")},
    ),
    "a source that a workspace shares": (
        {
            "pyproject.toml": "[tool.uv.workspace]\n[tool.uv.sources]\nx = { workspace = true }\n",
            "m/pyproject.toml": '[project]\ndependencies = ["x"]\n',
        },
        {"pyproject.toml": "[tool.uv.workspace]\n"},
    ),
    "a version that is managed for projects": (
        {
            "Directory.Packages.props": '<Project><PackageVersion Include="X" Version="1.0" /></Project>',
            "a/b/B.csproj": '<Project><PackageReference Include="X" /></Project>',
        },
        {"a/Directory.Packages.props": '<Project><PackageVersion Include="X" Version="2.0" /></Project>'},
    ),
    "a catalog": (
        {"pnpm-workspace.yaml": PNPM, "packages/a/package.json": package("a", USES_CATALOGS)},
        {"pnpm-workspace.yaml": PNPM.replace("18.2", "18.3")},
    ),
    "a package of a folder of composer": (
        {"composer.json": '{"require": {"o/x": "*"}, "repositories": [{"type": "path", "url": "x"}]}'},
        {"x/composer.json": '{"name": "o/x"}'},
    ),
    "a patch": (
        {"Cargo.toml": PATCHED, "m/Cargo.toml": '[dependencies]\nserde = "1"\n'},
        {"Cargo.toml": "[workspace]\n"},
    ),
    "a workspace of Go": (
        {"a/go.mod": GO_MOD, "b/go.mod": "module code.example/b\n", "go.work": GO_WORK},
        {"go.work": None},
    ),
    "a module comes into a workspace of Go": (
        {"a/go.mod": GO_MOD, "go.work": GO_WORK},
        {"b/go.mod": "module code.example/b\n"},
    ),
    "a line without a name beside what stays": (
        {"requirements.txt": "x==1\ngit+https://h.example/x\n", "go.mod": GO_MOD},
        {"go.mod": "module a\n"},
    ),
    "a package moves out of a workspace": (
        {
            "package.json": package("root", '"a": "*"', ', "workspaces": ["p/*"]'),
            "p/a/package.json": package("a", ""),
        },
        {"p/a/package.json": None, "q/a/package.json": package("a", "")},
    ),
    "a list that was empty": (
        {"requirements.txt": "-r base.txt\nx\n", "base.txt": ""},
        {"base.txt": "flask==1.0\n"},
    ),
    "a list that was not there": ({"requirements.txt": "-r base.txt\nx\n"}, {"base.txt": "flask==1.0\n"}),
    "a list that nobody takes in any more": (
        {"requirements.txt": "-r base.txt\nx\n", "base.txt": "flask==1.0\n"},
        {"requirements.txt": "x\n"},
    ),
    "a list that somebody takes in now": (
        {"requirements.txt": "x\n", "deep/base.txt": "flask==1.0\n"},
        {"requirements.txt": "x\n-r deep/base.txt\n"},
    ),
    "a list moves": (
        {"requirements.txt": "-r base.txt\nx\n", "base.txt": "flask==1.0\n"},
        {"base.txt": None, "notes.txt": "flask==1.0\n"},
    ),
    "a list in a package.json's place": (
        {"requirements.txt": "-r package.json\nx\n", "package.json": package("a", '"b": "1.0.0"')},
        {"requirements.txt": "y\n"},
    ),
    "words that nobody takes for a list any more": (
        {"requirements.txt": "-r notes.txt\nx\n", "notes.txt": "words, not requirements\n"},
        {"requirements.txt": "y\n"},
    ),
    "a constraint": (
        {"requirements-dev.txt": "-c pins.txt\nx\n", "pins.txt": "x==1\n", "more/requirements.txt": "z\n"},
        {"pins.txt": "x==2\n"},
    ),
    "a constraint holds a secret": (
        {"requirements.txt": "-c pins.txt\nx\n", "pins.txt": "x==1\n"},
        {"pins.txt": "x===0123456789abcdef0123\n# AKIAQWERTYUIOPASDFGH\n"},
    ),
    "a parent is over the limit of all bytes": (
        {"a.txt": "a\n", "c/pom.xml": pom("c", USES, parent="root|"), "z/pom.xml": ROOT},
        {f"b{n}.py": "x = 1\n" * 1000 for n in range(5)},
    ),
    "a parent is within the limit of all bytes again": (
        {f"b{n}.py": "x = 1\n" * 1000 for n in range(5)}
        | {"c/pom.xml": pom("c", USES, parent="root|"), "z/pom.xml": ROOT},
        {f"b{n}.py": None for n in range(5)},
    ),
    "a list is over the limit of all bytes": (
        {"a/requirements.txt": "-r ../z/base.txt\nx\n", "z/base.txt": "flask==1.0\n"},
        {f"b{n}.py": "x = 1\n" * 1000 for n in range(5)},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_scan_on_top_of_another_tells_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    quickly(monkeypatch)
    before, changes = CHANGES[change]
    after = {path: text for path, text in {**before, **changes}.items() if text is not None}
    first = scan(tmp_path / "before", Origin(encoded(before)), max_total_bytes=24_100)
    later = scan(tmp_path / "later", Origin(encoded(after)), before=first, max_total_bytes=24_100)
    anew = scan(tmp_path / "anew", Origin(encoded(after)), max_total_bytes=24_100)
    assert later.rows("FROM dependencies") == anew.rows("FROM dependencies")
    assert later.rows("FROM files") == anew.rows("FROM files")
    assert later.tables == anew.tables
    assert first.rows("FROM dependencies") != anew.rows("FROM dependencies")


def encoded(files: dict[str, str]) -> Files:
    return {path: text.encode() for path, text in files.items()}


def test_manifests_that_nothing_changed_for_are_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quickly(monkeypatch)
    files = encoded({"pom.xml": ROOT, "requirements.txt": "x\n", "a.py": "x = 1\n"})
    first = scan(tmp_path / "before", Origin(files))
    origin = Origin(files | {"a.py": b"x = 2\n"})
    later = scan(tmp_path / "later", origin, before=first)
    assert [len(asked) for asked in origin.asked] == [1]
    assert later.rows("FROM dependencies") == first.rows("FROM dependencies")


PIECES = {
    "pom.xml": [ROOT, ROOT.replace("2.0", "2.1"), pom("root"), "<broken"],
    "a/pom.xml": [pom("a", USES, parent="root"), pom("a", managed(entry("g:lib", "5")), parent="root|")],
    "a/b/pom.xml": [pom("b", USES, parent="a"), pom("b", USES, parent="root|../../pom.xml")],
    "z/pom.xml": [ROOT],
    "Cargo.toml": [WORKSPACE, WORKSPACE.replace("0.8", "=0.8.1")],
    "m/Cargo.toml": [MEMBER, WORKSPACE],
    "m/n/Cargo.toml": [MEMBER],
    "package.json": [package("r", '"a": "1"', f', "workspaces": ["{one}"]') for one in ("p/*", "q/*", "**")],
    "p/a/package.json": [package("a", '"c": "*"')],
    "q/c/package.json": [package("c", '"a": "*"')],
    "pyproject.toml": [f"[tool.uv.workspace]\n[tool.uv.sources]\n{one} = {{ path = 'x' }}\n" for one in "xy"],
    "m/pyproject.toml": ['[project]\ndependencies = ["x", "y"]\n', "[tool.uv.workspace]\n"],
    "Directory.Packages.props": ['<Project><PackageVersion Include="X" Version="1" /></Project>'],
    "m/Directory.Packages.props": ['<Project><PackageVersion Include="X" Version="2" /></Project>'],
    "m/n/A.csproj": ['<Project><PackageReference Include="X" /></Project>', "<Project/>"],
    "requirements.txt": [f"-r {one}.txt\n-c c.txt\nx\ny\n" for one in ("base", "lists/base", "c")],
    "base.txt": ["-r lists/base.txt\nflask\n", "flask==2\n", "words, not requirements\n"],
    "lists/base.txt": ["-c ../c.txt\nx\n", "", "flask==2\n"],
    "c.txt": ["x==1\ny==2\n", "x==3\nflask==4\n"],
    "setup.txt": ["flask==2\n"],
    "b.py": ["x = 1\n" * n for n in (10, 300, 600)],
    "n.py": ["x = 1\n" * n for n in (10, 300)],
}


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.full) for n in range(2, 6))])
def test_so_it_does_after_many_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    quickly(monkeypatch)
    chance, files, earlier = random.Random(seed), Files(), None
    for step in range(60 if seed > 1 else 7):
        for path in chance.sample(sorted(PIECES), chance.choice((1, 1, 2, 9))):
            files[path] = chance.choice(PIECES[path]).encode()
            if chance.random() < 0.25:
                del files[path]
        anew = scan(tmp_path / f"{step}-anew", Origin(files), max_total_bytes=4_000)
        if earlier is not None:
            later = scan(tmp_path / f"{step}-later", Origin(files), before=earlier, max_total_bytes=4_000)
            assert later.rows("FROM dependencies") == anew.rows("FROM dependencies")
            assert later.tables == anew.tables, step
        earlier = anew
