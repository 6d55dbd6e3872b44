"""PHP: composer.json and composer.lock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from snapshotter.scan.dependencies.formats import json_object, mapping, string, tables
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

_EXACT: Final = re.compile(r"=?\s*(v?\d+\.\d+\.\d+[\w.+-]*)")


class _ComposerJson(NamedTuple):
    """A composer.json: what it asks for, its own name, and whether it has packages of folders."""

    asked: list[tuple[str, str, str]]
    name: str
    has_folders: bool


class ComposerJsons:
    """The composer.json files of a tree, without what they ask of the platform (`php`, `ext-json`), which has no
    vendor. Where one has folders for a repository (`path`), another package of the tree comes from its folder."""

    def __init__(self) -> None:
        self._packages: dict[str, _ComposerJson] = {}
        self._names: Counter[str] = Counter()

    def add(self, path: str, blob: bytes) -> None:
        """Read one."""
        document = json_object(blob)
        held = document.get("repositories")
        repositories = list(held.values()) if isinstance(held, dict) else held
        self._packages[path] = package = _ComposerJson(
            [
                (name, string(value), scope)
                for key, scope in (("require", "runtime"), ("require-dev", "dev"))
                for name, value in mapping(document.get(key), key).items()
                if "/" in name
            ],
            string(document.get("name")).lower(),
            any(one.get("type") == "path" for one in tables(repositories)),
        )
        self._names[package.name] += 1

    def forget(self, path: str) -> None:
        """Let go of one."""
        self._names[self._packages.pop(path).name] -= 1

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one."""
        package = self._packages[path]
        for name, requirement, scope in package.asked:
            exact = _EXACT.fullmatch(requirement.strip())
            own = package.has_folders and self._names[name.lower()] > 0
            named = NamedPackage("composer", name, exact.group(1) if exact else None, registry=not own)
            yield dependency(named, requirement, scope)

    def lenders(self, path: str) -> set[str]:
        """None: no text of another is taken."""
        return set()

    def taken_in(self) -> tuple[str, ...]:
        """None: only a composer.json is one."""
        return ()


def composer_lock(blob: bytes) -> Iterator[Dependency]:
    """A composer.lock without folders of the repository itself; it does not say which packages are direct."""
    document = json_object(blob)
    for key, scope in (("packages", "runtime"), ("packages-dev", "dev")):
        for one in tables(document.get(key)):
            if mapping(one.get("dist"), "dist").get("type") != "path":
                yield dependency(
                    NamedPackage("composer", string(one.get("name")), string(one.get("version"))),
                    scope=scope,
                    direct=None,
                )
