"""npm: the package.json files of a tree."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from snapshotter.scan.dependencies.formats import json_object, mapping, string, strings, yaml_object
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

SCOPES: Final = {
    "dependencies": "runtime",
    "optionalDependencies": "optional",
    "devDependencies": "dev",
    "peerDependencies": "peer",
}
# npm takes a full version for itself, unlike Cargo.
EXACT: Final = re.compile(r"[v=]*\s*(\d+\.\d+\.\d+[\w.+-]*)")
ALIAS: Final = re.compile(r"npm:((?:@[^/@]+/)?[^@]+)(?:@(.*))?")
CATALOG: Final = "catalog:"
"""How a requirement begins that stands in a catalog."""

FILES: Final = ("package.json", "pnpm-workspace.yaml", ".yarnrc.yml")
"""The files of a folder that may say something of its packages."""

_PNPM: Final = "pnpm-workspace.yaml"
_DEFAULT: Final = "default"  # the name of the catalog that needs none
# The package that a selector ends with: `a>b@1` and `**/b` mean b.
_SELECTED: Final = re.compile(r"(?:\A|[>/\s])((?:@[\w.-]+/)?[\w.-]+)(?:@[^>/]*)?\Z")
_MAX_OVERRIDES: Final = 10_000
_MAX_PATTERNS: Final = 200  # of one workspace
_MAX_NAMES: Final = 20  # of one pattern
_ANY: Final = r"(?:[^/]+/)*"
# What names no version of a registry's package: a protocol of its own, a path, an address, a repository of GitHub's.
_ELSEWHERE: Final = re.compile(
    r"(?:workspace|file|link|portal|exec|jsr|git|github|gitlab|bitbucket|gist|https?|ssh|git\+\w+):|git@|\.{0,2}/|~/"
    r"|[\w.-]+/[\w.-]+(?:#.*)?\Z"
)


def is_elsewhere(requirement: str) -> bool:
    """Whether what is asked for comes from no registry."""
    return _ELSEWHERE.match(requirement.strip()) is not None


class _PackageJson(NamedTuple):
    """A package.json, or a file of a workspace beside one: what it asks for, its own name and version, the patterns of
    its workspaces, its catalogs by their names, and what it sets whoever asks."""

    asked: list[tuple[str, str, str]]
    name: str
    version: str
    workspaces: list[str]
    catalogs: dict[str, dict[str, str]]
    overrides: dict[str, str]


class PackageJsons:
    """The package.json files of a tree, with pnpm-workspace.yaml and .yarnrc.yml.

    What a workspace's other package is asked for by name and version comes from that folder, not from the registry.
    What stands in a catalog (`catalog:`) is asked for as the catalog says, whose own rows have the scope `management`.
    What is set whoever asks for it (`overrides`, `resolutions`) has the scope `override`, and is not direct.
    """

    def __init__(self) -> None:
        self._packages: dict[str, _PackageJson] = {}
        self._members: dict[str, dict[str, str]] = {}

    def add(self, path: str, blob: bytes) -> None:
        """Read one."""
        document = yaml_object(blob) if path.endswith((".yaml", ".yml")) else json_object(blob)
        held = document.get("packages") if path.endswith(_PNPM) else document.get("workspaces")
        patterns = held.get("packages") if isinstance(held, dict) else held
        self._packages[path] = _PackageJson(
            [
                (name, string(value), scope)
                for key, scope in SCOPES.items()
                for name, value in mapping(document.get(key), key).items()
            ],
            string(document.get("name")),
            string(document.get("version")),
            list(strings(patterns))[:_MAX_PATTERNS],
            catalogs(document) | (catalogs(held) if isinstance(held, dict) else {}),
            _overrides(document),
        )

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._packages[path]

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one."""
        members = self._workspace(path)
        package = self._packages[path]
        for name, written, scope in package.asked:
            requirement = self._of_catalog(path, name, written) or written
            row = _row(name, requirement, scope)
            own = not ALIAS.match(requirement) and name in members and row.version in (None, members[name])
            yield row._replace(purl=None) if own else row
        for catalog in package.catalogs.values():
            for name, requirement in catalog.items():
                yield _row(name, requirement, "management", direct=None)
        for name, requirement in package.overrides.items():
            yield _row(name, requirement, "override", direct=False)

    def lenders(self, path: str) -> set[str]:
        """The files of the catalogs that it takes versions from."""
        asked = self._packages[path].asked
        found = (self._catalog(path, written) for _, written, _ in asked if written.startswith(CATALOG))
        return {place for place, _ in found if place} - {path}

    def taken_in(self) -> tuple[str, ...]:
        """No paths: only a file of this name is a package.json."""
        return ()

    def _of_catalog(self, path: str, name: str, written: str) -> str:
        """What the catalog says that a requirement names; empty if it is none, or of no catalog of the tree."""
        return self._catalog(path, written)[1].get(name, "") if written.startswith(CATALOG) else ""

    def _catalog(self, path: str, written: str) -> tuple[str, dict[str, str]]:
        """The nearest catalog of a name, with the file that it is in."""
        wanted = written.removeprefix(CATALOG).strip() or _DEFAULT
        for root in self._above(path):
            if (found := self._packages[root].catalogs.get(wanted)) is not None:
                return root, found
        return "", {}

    def _above(self, path: str) -> Iterator[str]:
        """The files of a package's own folder and those above, that may say something of it."""
        folder = posixpath.dirname(path)
        while True:
            yield from (one for name in FILES if (one := posixpath.join(folder, name)) in self._packages)
            if not folder:
                return
            folder = posixpath.dirname(folder)

    def _workspace(self, path: str) -> dict[str, str]:
        """Names and versions of the packages of the workspace around a package: of the nearest folder above that has
        one, or its own."""
        root = next((one for one in self._above(path) if self._packages[one].workspaces), None)
        if root is None:
            return {}
        if root not in self._members:
            self._members[root] = self._listed(posixpath.dirname(root), self._packages[root].workspaces)
        return self._members[root]

    def _listed(self, folder: str, patterns: list[str]) -> dict[str, str]:
        match = re.compile("|".join(_pattern(one) for one in patterns if not one.startswith("!")) or r"\Z.")
        start = f"{folder}/" if folder else ""
        return {
            package.name: package.version
            for path, package in sorted(self._packages.items())
            if path.startswith(start)
            and match.fullmatch(posixpath.dirname(path[len(start) :]))
            and package.name
        }


def _row(name: str, requirement: str, scope: str, *, direct: bool | None = True) -> Dependency:
    alias = ALIAS.fullmatch(requirement)
    exact = EXACT.fullmatch(((alias.group(2) or "") if alias else requirement).strip())
    return dependency(
        NamedPackage(
            "npm",
            alias.group(1) if alias else name,
            exact.group(1) if exact else None,
            registry=alias is not None or not is_elsewhere(requirement),
        ),
        requirement,
        scope,
        direct,
    )


def catalogs(document: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The catalogs of a file, by their names: what each package is asked for."""
    named = mapping(document.get("catalogs"), "catalogs")
    held = {**named, **({_DEFAULT: document["catalog"]} if document.get("catalog") else {})}
    return {
        str(catalog): {
            str(name): string(one.get("specifier") if isinstance(one, dict) else one)
            for name, one in mapping(table, str(catalog)).items()
        }
        for catalog, table in held.items()
    }


def _overrides(document: dict[str, Any]) -> dict[str, str]:
    """What is set for a package whoever asks for it; what is set only below another package is of that name too."""
    pnpm = document.get("pnpm")
    held = [document.get("overrides"), document.get("resolutions")]
    held += [pnpm.get("overrides")] if isinstance(pnpm, dict) else []
    found: dict[str, str] = {}
    waiting = [(str(key), value) for table in held if isinstance(table, dict) for key, value in table.items()]
    for selector, value in waiting:
        if isinstance(value, dict) and len(waiting) < _MAX_OVERRIDES:
            waiting += [(selector if key == "." else str(key), one) for key, one in value.items()]
        elif isinstance(value, str) and (named := _SELECTED.search(selector)) and value[:1] not in ("$", "-"):
            found.setdefault(named.group(1), value)
    return found


def _pattern(written: str) -> str:
    """A workspace's pattern of folders as a regular expression: `*` is one name, `**` any number.

    What follows a second `**` counts as anything: several of them would be tried in every combination.
    """
    names = [name for name in written.strip("/").split("/") if name not in ("", ".")][:_MAX_NAMES]
    if names.count("**") > 1:
        names = names[: names.index("**") + 1]
    parts = [_ANY if name == "**" else f"{_name(name)}/" for name in names]
    return "".join(parts) + "[^/]+" if names[-1:] == ["**"] else "".join(parts).removesuffix("/")


def _name(written: str) -> str:
    return (
        r"(?s:[^/]+)"
        if written == "*"
        else fnmatch.translate(written[:100]).removesuffix(r"\Z").replace(".*", "[^/]*")
    )
