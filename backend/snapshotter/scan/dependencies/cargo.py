"""Rust: Cargo.toml and Cargo.lock."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from snapshotter.scan.dependencies.formats import mapping, string, strings, tables, toml
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

# The names with an underscore are older ones.
_SECTIONS: Final = {
    "dependencies": "runtime",
    "dev-dependencies": "dev",
    "dev_dependencies": "dev",
    "build-dependencies": "build",
    "build_dependencies": "build",
}
_CRATES_IO: Final = (
    "registry+https://github.com/rust-lang/crates.io-index",
    "sparse+https://index.crates.io/",
)
# Cargo takes a bare `1.2.3` for `^1.2.3`: only an equals sign makes it exact.
_EXACT: Final = re.compile(r"=\s*(\d+\.\d+\.\d+[\w.+-]*)")


_REPLACED: Final = "replace"
_REPLACE_KEY: Final = re.compile(r"(?:\A|[#/])([\w-]+)[:@][^:@/#]+\Z")


class _Manifest(NamedTuple):
    """A Cargo.toml: its sections with their scopes; what its workspace shares, None where it is no workspace's root;
    the folder of the workspace that it names; and what it has others built of, by the source that they would come
    from."""

    sections: list[tuple[dict[str, Any], str]]
    shared: dict[str, Any] | None
    workspace: str
    patches: dict[str, dict[str, Any]]

    @property
    def inherits(self) -> bool:
        """Whether it takes anything from its workspace."""
        return any(_inherits(value) for section, _ in self.sections for value in section.values())


class CargoTomls:
    """The Cargo.toml files of a tree, with their targets' sections; a workspace's shared ones have the scope
    `workspace`. What a member takes from its workspace (`workspace = true`) is as the workspace's root says, and what
    the root patches comes from no registry. A patch has the scope `patch`."""

    def __init__(self) -> None:
        self._manifests: dict[str, _Manifest] = {}

    def add(self, path: str, blob: bytes) -> None:
        """Read one."""
        document = toml(blob)
        shared = document.get("workspace")
        package = document.get("package")
        targets = mapping(document.get("target"), "target")
        holders = (document, *(mapping(target, name) for name, target in targets.items()))
        self._manifests[path] = _Manifest(
            [
                (mapping(holder.get(key), key), scope)
                for holder in holders
                for key, scope in _SECTIONS.items()
            ],
            None
            if shared is None
            else mapping(mapping(shared, "workspace").get("dependencies"), "workspace"),
            string(package.get("workspace")) if isinstance(package, dict) else "",
            {
                source: mapping(patches, source)
                for source, patches in mapping(document.get("patch"), "patch").items()
            }
            | {_REPLACED: _replaced(mapping(document.get("replace"), "replace"))},
        )

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._manifests[path]

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one."""
        manifest = self._manifests[path]
        root = self._root(path) if manifest.inherits else None
        shared = (self._manifests[root].shared if root is not None else None) or {}
        patched = self._patched(path)
        for section, scope in manifest.sections:
            for key, value in section.items():
                inherited = _table(shared.get(key)) if _inherits(value) else {}
                # Of what it inherits, a member says for itself only whether it is optional, and its features.
                optional = {"optional": value["optional"]} if inherited and "optional" in value else {}
                row = _row(key, inherited | optional if inherited else _table(value), scope)
                yield row._replace(purl=None) if row.name in patched else row
        for key, value in (manifest.shared or {}).items():
            row = _row(key, _table(value), "workspace")
            yield row._replace(purl=None) if row.name in patched else row
        for patches in manifest.patches.values():
            for key, value in patches.items():
                yield _row(key, _table(value), "patch")

    def lenders(self, path: str) -> set[str]:
        """The workspace's root."""
        root = self._root(path) if self._manifests[path].inherits else None
        return set() if root is None else {root}

    def taken_in(self) -> tuple[str, ...]:
        """No paths: only a file of this name is a Cargo.toml."""
        return ()

    def _root(self, path: str) -> str | None:
        """The root of the workspace of the package at `path`: itself, the one that it names, or the nearest above."""
        manifest = self._manifests[path]
        if manifest.shared is not None:
            return path
        folder = posixpath.dirname(path)
        if manifest.workspace:
            named = posixpath.normpath(posixpath.join(folder, manifest.workspace, "Cargo.toml"))
            return named if named in self._manifests else None
        while folder:
            folder = posixpath.dirname(folder)
            root = self._manifests.get(above := posixpath.join(folder, "Cargo.toml"))
            if root is not None and root.shared is not None:
                return above
        return None

    def _patched(self, path: str) -> set[str]:
        """The crates of crates.io that the workspace, or a package without one, has built of a folder or of git."""
        patches = self._manifests[self._root(path) or path].patches
        return {
            string(table.get("package")) or key
            for source in ("crates-io", _REPLACED)
            for key, value in patches.get(source, {}).items()
            if {"git", "path"} & (table := _table(value)).keys()
        }


def _replaced(table: dict[str, Any]) -> dict[str, Any]:
    """What the older `replace` says, as patches: its keys are `name:version`, or an address in front of that."""
    return {name.group(1): value for key, value in table.items() if (name := _REPLACE_KEY.search(key))}


def _inherits(value: Any) -> bool:
    return isinstance(value, dict) and value.get("workspace") is True


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"version": value}


def _row(key: str, table: dict[str, Any], scope: str) -> Dependency:
    name = string(table.get("package")) or key
    written = next((string(table[one]) for one in ("version", "git", "path") if one in table), "")
    exact = _EXACT.fullmatch(written.strip())
    index = string(table.get("registry-index"))
    return dependency(
        NamedPackage(
            "cargo",
            name,
            exact.group(1) if exact else None,
            registry=not {"git", "path", "registry"} & table.keys(),
            qualifiers={"repository_url": index} if index else None,
        ),
        written,
        "optional" if table.get("optional") is True else scope,
    )


def cargo_lock(blob: bytes) -> Iterator[Dependency]:
    """A Cargo.lock without the workspace's own packages; what those name is direct. It does not tell when a package
    is needed: those of tests are in it too. A registry other than crates.io is told in the package URL."""
    packages = list(tables(toml(blob).get("package")))
    # What has no source lies in the workspace itself.
    own = [one for one in packages if "source" not in one]
    wanted = {entry.partition(" (")[0] for one in own for entry in strings(one.get("dependencies"))}
    for one in packages:
        if "source" in one:
            name, version = string(one.get("name")), string(one.get("version"))
            # A version stands beside a name only where the lock file has several versions of it.
            direct = (name in wanted or f"{name} {version}" in wanted) if own else None
            source = string(one.get("source"))
            index = "" if source.startswith(_CRATES_IO) else source.partition("+")[2]
            yield dependency(
                NamedPackage(
                    "cargo",
                    name,
                    version,
                    registry=not source.startswith("git+"),
                    qualifiers={"repository_url": index} if index else None,
                ),
                scope=None,
                direct=direct,
            )
