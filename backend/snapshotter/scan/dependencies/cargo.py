"""Rust: Cargo.toml and Cargo.lock."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from snapshotter.scan.dependencies.formats import mapping, string, strings, tables, toml
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

_SECTIONS: Final = {"dependencies": "runtime", "dev-dependencies": "dev", "build-dependencies": "build"}
# Cargo takes a bare `1.2.3` for `^1.2.3`: only an equals sign makes it exact.
_EXACT: Final = re.compile(r"=\s*(\d+\.\d+\.\d+[\w.+-]*)")


class _Manifest(NamedTuple):
    """A Cargo.toml: its sections with their scopes; what its workspace shares, None where it is no workspace's root;
    and the folder of the workspace that it names."""

    sections: list[tuple[dict[str, Any], str]]
    shared: dict[str, Any] | None
    workspace: str

    @property
    def inherits(self) -> bool:
        """Whether it takes anything from its workspace."""
        return any(_inherits(value) for section, _ in self.sections for value in section.values())


class CargoTomls:
    """The Cargo.toml files of a tree, with their targets' sections; a workspace's shared ones have the scope
    `workspace`. What a member takes from its workspace (`workspace = true`) is as the workspace's root says."""

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
        )

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._manifests[path]

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one."""
        manifest = self._manifests[path]
        root = self._root(path)
        shared = (self._manifests[root].shared if root is not None else None) or {}
        for section, scope in manifest.sections:
            for key, value in section.items():
                inherited = _table(shared.get(key)) if _inherits(value) else {}
                optional = {"optional": value["optional"]} if inherited and "optional" in value else {}
                yield _row(key, inherited | optional if inherited else _table(value), scope)
        for key, value in (manifest.shared or {}).items():
            yield _row(key, _table(value), "workspace")

    def lenders(self, path: str) -> set[str]:
        """The workspace's root."""
        root = self._root(path)
        return set() if root is None else {root}

    def taken_in(self) -> tuple[str, ...]:
        """None: only a Cargo.toml is one."""
        return ()

    def _root(self, path: str) -> str | None:
        """The root of the workspace that the package at `path` takes something from: itself, the one that it names,
        or the nearest above."""
        manifest = self._manifests[path]
        if not manifest.inherits or manifest.shared is not None:
            return path if manifest.inherits else None
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


def _inherits(value: Any) -> bool:
    return isinstance(value, dict) and value.get("workspace") is True


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"version": value}


def _row(key: str, table: dict[str, Any], scope: str) -> Dependency:
    name = string(table.get("package")) or key
    written = next((string(table[one]) for one in ("version", "git", "path") if one in table), "")
    exact = _EXACT.fullmatch(written.strip())
    return dependency(
        NamedPackage(
            "cargo", name, exact.group(1) if exact else None, registry=not {"git", "path"} & table.keys()
        ),
        written,
        "optional" if table.get("optional") is True else scope,
    )


def cargo_lock(blob: bytes) -> Iterator[Dependency]:
    """A Cargo.lock without the workspace's own packages; what those name is direct. It does not tell when a package
    is needed: those of tests are in it too."""
    packages = list(tables(toml(blob).get("package")))
    own = [one for one in packages if "source" not in one]
    wanted = {entry.partition(" (")[0] for one in own for entry in strings(one.get("dependencies"))}
    for one in packages:
        if "source" in one:
            name, version = string(one.get("name")), string(one.get("version"))
            direct = (name in wanted or f"{name} {version}" in wanted) if own else None
            is_git = string(one.get("source")).startswith("git+")
            yield dependency(
                NamedPackage("cargo", name, version, registry=not is_git), scope=None, direct=direct
            )
