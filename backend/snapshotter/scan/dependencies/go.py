"""Go: go.mod and go.work (the Go Modules Reference, "go.mod files" and "Workspaces")."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from snapshotter.scan.dependencies.formats import text
from snapshotter.scan.dependencies.record import Dependency, ManifestError, NamedPackage, dependency

_MODULE: Final = re.compile(r"^module\s+\"?([^\s\"/][^\s\"]*)\"?", re.M)
WORK: Final = "go.work"
"""The file of a workspace: it uses modules, and replaces for all of them."""

_PART: Final = r"[\"`]?([^\s\"`]+)[\"`]?"
_REQUIRE: Final = re.compile(rf"{_PART}\s+(v[^\s\"]+)\"?")
_REPLACE: Final = re.compile(rf"{_PART}(?:\s+(v\S+))?\s+=>\s+{_PART}(?:\s+(v\S+))?")


class _Replacement(NamedTuple):
    """What is built instead of a module; a folder has no version."""

    name: str
    version: str | None
    written: str


# By module, and the version that it holds for: None for all.
_Replacements = dict[tuple[str, str | None], _Replacement]


def module_path(blob: bytes) -> str | None:
    """The path that a go.mod declares for its own module, as `symbols.SourceTree` wants it."""
    match = _MODULE.search(text(blob))
    return match.group(1) if match else None


class _GoFile(NamedTuple):
    """A go.mod, or a go.work, which has no module of its own but the folders of those that it uses."""

    module: str
    required: list[tuple[str, str, bool]]
    replaced: _Replacements
    used: list[str]


class GoModules:
    """The go.mod and go.work files of a tree.

    Of a module that is replaced, only what is asked for is said, and what is built instead has a row of its own, unless
    it is the same module in another version or a folder. In a workspace its go.work replaces, too, and the modules that
    it uses are folders to each other.
    """

    def __init__(self) -> None:
        self._files: dict[str, _GoFile] = {}

    def add(self, path: str, blob: bytes) -> None:
        """Read one."""
        source = text(blob)
        module = _MODULE.search(source)
        is_work = posixpath.basename(path) == WORK
        if not module and not is_work:
            raise ManifestError("no module line")
        file = _GoFile(module.group(1) if module and not is_work else "", [], {}, [])
        for verb, rest, remark in _statements(source):
            if verb == "require" and (match := _REQUIRE.fullmatch(rest)):
                file.required.append((match.group(1), match.group(2), "indirect" not in remark))
            elif verb == "replace" and (match := _REPLACE.fullmatch(rest)):
                name, only, other, version = match.groups()
                file.replaced[name, only] = _Replacement(other, version, rest)
            elif verb == "use" and is_work:
                file.used.append(
                    posixpath.normpath(posixpath.join(posixpath.dirname(path), rest.strip('"`')))
                )
        self._files[path] = file

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._files[path]

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one; a go.work has what it replaces although none of its modules asks for it."""
        file = self._files[path]
        work = self._work(path)
        members = self._members(work) if work else []
        own = {one.module for one in members}
        replaced = dict(file.replaced)
        if work is not None and work != path:
            over = self._files[work].replaced
            names = {name for name, only in over if only is None}
            replaced = {key: one for key, one in replaced.items() if key[0] not in names} | over
        for name, version, direct in file.required:
            instead = replaced.get((name, version)) or replaced.get((name, None))
            if name in own:
                yield dependency(NamedPackage("golang", name, registry=False), version, direct=direct)
            else:
                yield from _rows(name, version, direct, instead)
        asked = {name for one in (file, *(members if work == path else ())) for name, *_ in one.required}
        for (name, only), instead in file.replaced.items():
            if instead.version and name not in asked and only is None:
                yield dependency(
                    NamedPackage("golang", instead.name, instead.version), instead.written, "replace"
                )

    def lenders(self, path: str) -> set[str]:
        """The go.work over it."""
        work = self._work(path)
        return set() if work is None else {work} - {path}

    def taken_in(self) -> tuple[str, ...]:
        """None: only a go.mod or a go.work is one."""
        return ()

    def _work(self, path: str) -> str | None:
        """The go.work in force: the nearest above, if it uses the module."""
        folder = own = posixpath.dirname(path)
        while True:
            if (work := posixpath.join(folder, WORK)) in self._files:
                return work if work == path or (own or ".") in self._files[work].used else None
            if not folder:
                return None
            folder = posixpath.dirname(folder)

    def _members(self, work: str) -> list[_GoFile]:
        folders = ("" if folder == "." else folder for folder in self._files[work].used)
        paths = (posixpath.join(folder, "go.mod") for folder in folders)
        return [self._files[path] for path in paths if path in self._files]


def _rows(name: str, version: str, direct: bool, instead: _Replacement | None) -> Iterator[Dependency]:
    if instead is None:
        yield dependency(NamedPackage("golang", name, version), version, direct=direct)
    elif instead.name == name and instead.version:
        yield dependency(NamedPackage("golang", name, instead.version), version, direct=direct)
    else:
        yield dependency(NamedPackage("golang", name, registry=False), version, direct=direct)
        if instead.version:
            yield dependency(
                NamedPackage("golang", instead.name, instead.version), instead.written, direct=direct
            )


def _statements(source: str) -> Iterator[tuple[str, str, str]]:
    """Verb, what follows it, and the remark, of each line and of each line in a block."""
    block = ""
    for raw in source.splitlines():
        line, _, remark = raw.partition("//")
        line = line.strip()
        if line.endswith("(") and not block:
            block = line[:-1].strip()
        elif line == ")":
            block = ""
        elif block:
            yield block, line, remark
        else:
            verb, _, rest = line.replace("\t", " ").partition(" ")
            yield verb, rest.strip(), remark
