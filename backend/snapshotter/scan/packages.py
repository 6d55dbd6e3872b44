"""The packages that a tree's manifests name, each told once: which of them are asked for, where, and what for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from duckdb import DuckDBPyConnection

from snapshotter.scan.table_engine import streamed

# DuckDB sorts, on disk where it has to; the rest is done here, for it plans a query that does it all for longer than a
# small repository's rows take.
_ROWS: Final = """
    SELECT ecosystem, name, path, version, requirement, scope, coalesce(direct, false)
    FROM dependencies ORDER BY ecosystem, name"""
# A lock file repeats what the manifests of its workspace ask for: its rows count where no manifest says the same.
_LOCKED: Final = re.compile(r"(?:lock(?:ed|file)?|shrinkwrap|resolved)(?:\.(?:json|ya?ml))?\Z")


class Package(NamedTuple):
    """One package, over all the manifests that name it.

    `path` is the one nearest to the root, and `paths` counts them all. `versions` are the exact ones in that
    manifest's folder. `requirements` and `scopes` are what that manifest asks for, and when it is needed.
    """

    ecosystem: str
    name: str
    versions: str | None
    requirements: str | None
    scopes: str | None
    path: str
    paths: int


class Ecosystem(NamedTuple):
    """One ecosystem: how many packages are named, how many of them are direct somewhere, and in how many manifests."""

    name: str
    packages: int
    direct: int
    manifests: int


Counted = tuple[int, list[Package]]
"""How many packages there are, and the first of them."""


@dataclass(frozen=True, slots=True)
class Packages:
    """What the manifests name. `rows` counts the dependencies, and `names` each name of an ecosystem once.

    `direct` are the packages that some manifest asks for, and `indirect` all others. `workspaces` are the direct ones
    of every folder with manifests, each folder counted for itself: their `versions` are those that this folder knows,
    or else the nearest above it, where a workspace is locked. Ecosystems come by their number of packages.
    """

    rows: int = 0
    names: int = 0
    ecosystems: list[Ecosystem] = field(default_factory=list)
    direct: Counted = (0, [])
    workspaces: Counted = (0, [])
    indirect: Counted = (0, [])


class _Row(NamedTuple):
    ecosystem: str
    name: str
    path: str
    version: str | None
    requirement: str | None
    scope: str | None
    direct: bool


def read_packages(tables: DuckDBPyConnection, most: int) -> Packages:
    """The packages in the table `dependencies`, the first `most` of each sort; the counts are exact."""
    rows = names = 0
    ecosystems: list[Ecosystem] = []
    direct, workspaces, indirect = _First(most), _First(most), _First(most)
    for ecosystem, of_ecosystem in groupby(streamed(tables.execute(_ROWS)), key=itemgetter(0)):
        packages = asked_for = 0
        manifests: set[str] = set()
        for _, of_package in groupby(of_ecosystem, key=itemgetter(1)):
            named = [_Row(*row) for row in of_package]
            rows, packages = rows + len(named), packages + 1
            manifests.update(row.path for row in named)
            if any(row.direct for row in named):
                asked_for += 1
                direct.add(_nearest(named))
                for package in _by_folder(named):
                    workspaces.add(package)
            else:
                indirect.add(_nearest(named))
        names += packages
        ecosystems.append(Ecosystem(ecosystem, packages, asked_for, len(manifests)))
    ecosystems.sort(key=lambda one: (-one.packages, one.name))
    return Packages(rows, names, ecosystems, direct.told(), workspaces.told(), indirect.told())


def _nearest(rows: Sequence[_Row]) -> Package:
    """A package as the manifest nearest to the root has it.

    Versions are taken from its folder, not from the file: the manifest asks, and the lock file beside it has the
    version. Of that folder, the first file that gives no version is the manifest.
    """
    nearest = min({_folder(row.path) for row in rows}, key=lambda folder: (folder.count("/"), folder))
    beside = [row for row in rows if _folder(row.path) == nearest]
    _, path = min((row.version is not None, row.path) for row in beside)
    return _package(beside, path, _versions(beside), len({row.path for row in rows}))


def _by_folder(rows: Sequence[_Row]) -> Iterator[Package]:
    """A package as every folder asks for it."""
    beside: dict[str, list[_Row]] = {}
    for row in rows:
        beside.setdefault(_folder(row.path), []).append(row)
    locked = all(_LOCKED.search(row.path) for row in rows if row.direct)
    for folder, all_of_it in beside.items():
        asking = [row for row in all_of_it if row.direct]
        if not asking:
            continue
        is_locked, path = min((_LOCKED.search(row.path) is not None, row.path) for row in asking)
        if not is_locked or locked:
            known = (_versions(beside[above]) for above in _upwards(folder) if above in beside)
            yield _package(asking, path, next((one for one in known if one is not None), None), 1)


def _package(rows: Iterable[_Row], path: str, versions: str | None, paths: int) -> Package:
    """The package that the file `path` of these rows asks for."""
    asking = [row for row in rows if row.path == path]
    requirements = _joined({row.requirement for row in asking if row.requirement})
    scopes = _joined({row.scope for row in asking if row.scope is not None})
    return Package(asking[0].ecosystem, asking[0].name, versions, requirements, scopes, path, paths)


def _versions(rows: Iterable[_Row]) -> str | None:
    return _joined({row.version for row in rows if row.version is not None})


def _joined(texts: set[str]) -> str | None:
    return ", ".join(sorted(texts)) if texts else None


def _folder(path: str) -> str:
    """The folder of a path with its slash at the end; '' for the root."""
    return path[: path.rfind("/") + 1]


def _upwards(folder: str) -> Iterator[str]:
    """The folder, and all above it up to the root."""
    yield folder
    while folder:
        folder = _folder(folder[:-1])
        yield folder


class _First:
    """Packages in their order, of which the first `most` are kept: those of manifests near the root come first."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._held: list[tuple[tuple[object, ...], Package]] = []

    def add(self, one: Package) -> None:
        self._count += 1
        at_run_time = 2 if one.scopes is None else "runtime" not in one.scopes
        key = (one.path.count("/"), one.path, one.ecosystem, at_run_time, one.scopes or "", one.name)
        self._held.append((key, one))
        if len(self._held) > 2 * self._most:
            self._cut()

    def told(self) -> Counted:
        self._cut()
        return self._count, [package for _, package in self._held]

    def _cut(self) -> None:
        self._held.sort(key=itemgetter(0))
        del self._held[self._most :]
