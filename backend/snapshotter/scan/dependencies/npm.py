"""npm: the package.json files of a tree, and package-lock.json."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from snapshotter.scan.dependencies.formats import json_object, mapping, string, strings
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
    """A package.json: what it asks for, its own name and version, and the patterns of its workspaces."""

    asked: list[tuple[str, str, str]]
    name: str
    version: str
    workspaces: list[str]


class PackageJsons:
    """The package.json files of a tree. What a workspace's other package is asked for by name and version comes from
    that folder, not from the registry."""

    def __init__(self) -> None:
        self._packages: dict[str, _PackageJson] = {}
        self._members: dict[str, dict[str, str]] = {}

    def add(self, path: str, blob: bytes) -> None:
        """Read one."""
        document = json_object(blob)
        workspaces = document.get("workspaces")
        patterns = workspaces.get("packages") if isinstance(workspaces, dict) else workspaces
        self._packages[path] = _PackageJson(
            [
                (name, string(value), scope)
                for key, scope in SCOPES.items()
                for name, value in mapping(document.get(key), key).items()
            ],
            string(document.get("name")),
            string(document.get("version")),
            list(strings(patterns))[:_MAX_PATTERNS],
        )

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._packages[path]

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one."""
        members = self._workspace(path)
        for name, requirement, scope in self._packages[path].asked:
            alias = ALIAS.fullmatch(requirement)
            name = alias.group(1) if alias else name
            exact = EXACT.fullmatch(((alias.group(2) or "") if alias else requirement).strip())
            version = exact.group(1) if exact else None
            own = not alias and name in members and version in (None, members[name])
            elsewhere = not alias and is_elsewhere(requirement)
            yield dependency(
                NamedPackage("npm", name, version, registry=not (own or elsewhere)), requirement, scope
            )

    def lenders(self, path: str) -> set[str]:
        """No paths: of a workspace's other packages only names and versions count, and no text of them is quoted."""
        return set()

    def taken_in(self) -> tuple[str, ...]:
        """No paths: only a file of this name is a package.json."""
        return ()

    def _workspace(self, path: str) -> dict[str, str]:
        """Names and versions of the packages of the workspace around a package: of the nearest folder above that has
        one, or its own."""
        folder = posixpath.dirname(path)
        while True:
            root = posixpath.join(folder, "package.json")
            if root in self._packages and self._packages[root].workspaces:
                if root not in self._members:
                    self._members[root] = self._listed(folder, self._packages[root].workspaces)
                return self._members[root]
            if not folder:
                return {}
            folder = posixpath.dirname(folder)

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


def package_lock(blob: bytes) -> Iterator[Dependency]:
    """A package-lock.json or npm-shrinkwrap.json, versions 1 to 3. Version 1 does not tell which packages are
    direct."""
    document = json_object(blob)
    if "packages" in document:
        yield from _lock_packages(mapping(document["packages"], "packages"))
        return
    waiting = [mapping(document.get("dependencies"), "dependencies")]
    while waiting:
        for name, value in waiting.pop().items():
            entry = mapping(value, name)
            waiting.append(mapping(entry.get("dependencies"), name))
            written = string(entry.get("version"))
            alias = ALIAS.fullmatch(written)
            name = alias.group(1) if alias else name
            exact = EXACT.fullmatch((alias.group(2) or "") if alias else written)
            if exact:
                yield dependency(NamedPackage("npm", name, exact.group(1)), None, lock_scope(entry), None)
            elif not _is_folder(written):
                yield dependency(NamedPackage("npm", name, registry=False), written, lock_scope(entry), None)


def _is_folder(written: str) -> bool:
    """Whether it is a folder of this repository, and so a package of the project's own."""
    return written.startswith(("file:", "link:")) and not written.endswith((".tgz", ".tar.gz"))


def _lock_packages(packages: dict[str, Any]) -> Iterator[Dependency]:
    """The flat list of versions 2 and 3; a key outside node_modules is one of the project's own packages."""
    asked: dict[str, dict[str, str]] = {}  # by the own package's folder
    for path, entry in packages.items():
        if "node_modules/" not in path:
            held = [mapping(mapping(entry, path).get(key), key) for key in SCOPES]
            asked[path] = {name: string(wanted) for one in held for name, wanted in one.items()}
    # Backwards, so that the root's own requirement, which stands first, holds where packages disagree.
    anywhere = {name: wanted for one in reversed(list(asked.values())) for name, wanted in one.items()}
    for path, value in packages.items():
        entry = mapping(value, path)
        holder, _, installed = path.rpartition("node_modules/")
        if "node_modules/" not in path or entry.get("link"):
            continue
        wanted = (asked.get(holder.rstrip("/"), {}) if holder else anywhere).get(installed)
        resolved = string(entry.get("resolved"))
        elsewhere = resolved.startswith(("git", "file:")) or is_elsewhere(wanted or "")
        yield dependency(
            NamedPackage(
                "npm",
                string(entry.get("name")) or installed,
                string(entry.get("version")),
                registry=not elsewhere,
            ),
            wanted,
            lock_scope(entry),
            wanted is not None,
        )


def lock_scope(entry: dict[str, Any]) -> str:
    """When a locked package is needed, by its marks."""
    if entry.get("dev") or entry.get("devOptional"):
        return "dev"
    return "optional" if entry.get("optional") else "peer" if entry.get("peer") else "runtime"
