"""The paths of one tree, indexed for the questions that resolving an import asks."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final

from snapshotter.scan.symbols.projects import Projects

_COMMON: Final = "/commonMain/"
_MAX_UP: Final = 64  # folders looked through upwards


class TreeIndex:
    """The files and folders of one tree, with the Go modules and crates that its project files declare."""

    def __init__(self, paths: Iterable[str], projects: Projects) -> None:
        self.files = frozenset(paths)
        self.folders = {posixpath.dirname(path) for path in self.files}
        self.go_modules = sorted(projects.go_modules.items(), key=lambda item: -len(item[1]))
        self._crates: dict[str, list[str]] = defaultdict(list)
        for name, path in projects.crates.values():
            if path in self.files:
                self._crates[name].append(path)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.files:
            self._by_name[posixpath.basename(path)].append(path)
        stems = (posixpath.splitext(name)[0] for name in self._by_name if name.endswith((".py", ".pyi")))
        self.python_names = {*stems, *(name for folder in self.folders for name in folder.split("/"))}

    def first(self, candidates: Iterable[str | None]) -> str | None:
        """The first candidate that is a file of the tree."""
        return next((path for path in candidates if path in self.files), None)

    def only(self, suffix: str, near: str = "") -> str | None:
        """The one file whose path ends with these whole segments.

        Of several it is the one that shares the longest start with the path `near`, if one does.
        """
        named = self._by_name.get(suffix[suffix.rfind("/") + 1 :])
        return _nearest(_ending(named, suffix), near) if named else None

    def only_folder(self, suffix: str, near: str, ends: tuple[str, ...]) -> str | None:
        """The one folder, with a file of one of these ends in it, whose path ends with these whole segments; of several
        as `only` has it."""
        named = _ending(self._folders_by_name.get(posixpath.basename(suffix), ()), suffix)
        return _nearest([one for one in named if not self._ends[one].isdisjoint(ends)], near)

    @cached_property
    def _folders_by_name(self) -> dict[str, list[str]]:
        named: dict[str, list[str]] = defaultdict(list)
        for folder in self.folders:
            named[posixpath.basename(folder)].append(folder)
        return named

    @cached_property
    def _ends(self) -> dict[str, set[str]]:
        """The ends of the names of each folder's files."""
        ends: dict[str, set[str]] = defaultdict(set)
        for path in self.files:
            ends[posixpath.dirname(path)].add(posixpath.splitext(path)[1])
        return ends

    def crate(self, name: str) -> str | None:
        """The library of the one crate of the tree that has this name."""
        paths = self._crates.get(name, ())
        return paths[0] if len(paths) == 1 else None

    def has_name(self, path: str) -> bool:
        """Whether any file has this path's last segment: without one, no folder is worth a look."""
        return posixpath.basename(posixpath.normpath(path)) in self._by_name

    def upwards(self, path: str) -> Iterator[str]:
        """The folders from a file's own up to the root, "" last."""
        folder = posixpath.dirname(path)
        for _ in range(_MAX_UP):
            yield folder
            if not folder:
                return
            folder = posixpath.dirname(folder)


def _ending(paths: Iterable[str], suffix: str) -> list[str]:
    return [path for path in paths if path == suffix or path.endswith("/" + suffix)]


def _nearest(paths: list[str], near: str) -> str | None:
    if len(paths) < 2:
        return paths[0] if paths else None
    # By whole names, not by characters: `a/bc` is no neighbour of `a/bd`.
    shared = sorted((len(posixpath.commonprefix([path.split("/"), near.split("/")])), path) for path in paths)
    if shared[-1][0] > shared[-2][0]:
        return shared[-1][1]
    # Kotlin's platforms each have a file of their own for what this one declares.
    common = [path for path in paths if near and _COMMON in path]
    return common[0] if len(common) == 1 else None
