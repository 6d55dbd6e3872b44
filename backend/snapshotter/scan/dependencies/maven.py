"""Maven: the pom.xml files of a tree, each with what its parents and the BOMs beside it say."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from snapshotter.scan.dependencies.formats import xml
from snapshotter.scan.dependencies.record import Dependency, ManifestError, dependency

_PROPERTY: Final = re.compile(r"\$\{([\w.-]+)\}")
# One version, bare or in brackets; a comma makes it a range.
# One version, bare or in brackets; a comma makes it a range.
_EXACT: Final = re.compile(r"\[?([\w.-]+)\]?")
_ROUNDS: Final = 5  # a property may name others; a circle of them ends here
_LONGEST: Final = 300
_MAX_PARENTS: Final = 10
_MAX_FILLED_IN: Final = 100
_MAX_BOMS: Final = 50  # of one pom and its parents, with theirs
_PLUGINS: Final = "org.apache.maven.plugins"

_PLACES: Final = (
    ("dependencies/dependency", ""),
    ("profiles/profile/dependencies/dependency", ""),
    ("dependencyManagement/dependencies/dependency", "management"),
    ("build/plugins/plugin", "plugin"),
    ("build/pluginManagement/plugins/plugin", "management"),
    ("parent", "parent"),
)


class _Entry(NamedTuple):
    """A dependency, plugin or parent, as written."""

    group: str
    artifact: str
    version: str
    scope: str


class _Managed:
    """Entries of a management, the first of each name; those whose names hold properties apart, and no more than a
    few, since each is a look of its own."""

    def __init__(self, entries: Iterable[_Entry], group: str = "") -> None:
        self._named: dict[tuple[str, str], _Entry] = {}
        self._filled_in: list[_Entry] = []
        for one in entries:
            if "$" not in one.group + one.artifact:
                self._named.setdefault((one.group or group, one.artifact), one)
            elif len(self._filled_in) < _MAX_FILLED_IN:
                self._filled_in.append(one)

    def get(self, key: tuple[str, str], known: Mapping[str, str]) -> tuple[str, str] | None:
        """Version and scope of a (group, artifact), in the words of `known`."""
        entry = self._named.get(key)
        for one in self._filled_in if entry is None else ():
            if (_filled(one.group, known), _filled(one.artifact, known)) == key:
                entry = one
        return (_filled(entry.version, known), entry.scope) if entry else None


class _Pom(NamedTuple):
    """What a pom.xml says, as written."""

    entries: list[tuple[str, _Entry]]
    properties: dict[str, str]
    managed: _Managed
    plugins: _Managed
    boms: list[_Entry]
    parent: _Entry | None
    relative_path: str | None


class Poms:
    """The pom.xml files of a tree. What is only managed has the scope `management` and is not direct."""

    def __init__(self) -> None:
        self._found: dict[str, _Pom] = {}
        self._chains: dict[str, list[str]] = {}
        self._index: dict[tuple[str, str], list[str]] | None = None

    def add(self, path: str, blob: bytes) -> None:
        """Read one."""
        self._found[path] = _read(blob)

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._found[path]

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one, with properties and managed versions from its parents and BOMs as far as the tree has
        them."""
        chain = self._chain(path)
        known = self._properties(chain)
        boms = [(bom, self._properties(self._chain(bom))) for bom in self._boms(chain)]
        for scope, entry in self._found[path].entries:
            group = _filled(entry.group, known) or (_PLUGINS if scope == "plugin" else "")
            artifact = _filled(entry.artifact, known)
            if group and artifact:
                managed = (
                    None
                    if scope in ("management", "parent")
                    else self._managed((group, artifact), scope == "plugin", chain, known, boms)
                )
                yield self._row(entry._replace(group=group, artifact=artifact), scope, known, managed)

    def _row(
        self, entry: _Entry, scope: str, known: Mapping[str, str], managed: tuple[str, str] | None
    ) -> Dependency:
        exact = _EXACT.fullmatch(
            _filled(entry.version, known) if entry.version or not managed else managed[0]
        )
        version = exact.group(1) if exact else None
        when = scope or entry.scope or (managed[1] if managed else "") or "runtime"
        return dependency(
            "maven",
            f"{entry.group}:{entry.artifact}",
            version,
            entry.version,
            when,
            scope != "management",
            registry=not self._of_this_tree(entry.group, entry.artifact, version),
        )

    def lenders(self, path: str) -> set[str]:
        """Its parents, their BOMs, and the parents of those."""
        chain = self._chain(path)
        return {*chain, *(one for bom in self._boms(chain) for one in self._chain(bom))} - {path}

    def taken_in(self) -> Iterable[str]:
        """None: only a pom.xml is one."""
        return ()

    def _managed(
        self,
        key: tuple[str, str],
        plugin: bool,
        chain: list[str],
        known: Mapping[str, str],
        boms: Sequence[tuple[str, Mapping[str, str]]],
    ) -> tuple[str, str] | None:
        """Version and scope that are managed for what is named without a version: by the pom itself, its parents,
        nearest first, and then by BOMs, in whose own words properties are filled in."""
        for pom in chain:
            held = self._found[pom].plugins if plugin else self._found[pom].managed
            if entry := held.get(key, known):
                return entry
        for bom, words in () if plugin else boms:
            for pom in self._chain(bom):
                if found := self._found[pom].managed.get(key, words):
                    return found
        return None

    def _boms(self, chain: list[str]) -> list[str]:
        """The BOMs in the tree that the poms of a chain import, with those that they import."""
        found: dict[str, None] = {}
        waiting = [chain]
        while waiting:
            one = waiting.pop(0)
            known = self._properties(one)
            for bom in (bom for pom in one for bom in self._found[pom].boms):
                path = self._by_name(_filled(bom.group, known), _filled(bom.artifact, known))
                if path is not None and path not in found and len(found) < _MAX_BOMS:
                    found[path] = None
                    waiting.append(self._chain(path))
        return list(found)

    def _chain(self, path: str) -> list[str]:
        """A pom and its parents in the tree, nearest first."""
        if path not in self._chains:
            chain = [path]
            while len(chain) <= _MAX_PARENTS:
                above = self._parent(chain[-1])
                if above is None or above in chain:
                    break
                chain.append(above)
            self._chains[path] = chain
        return self._chains[path]

    def _parent(self, path: str) -> str | None:
        """Where the tree has a pom's parent: at the relative path, if it is the one that is meant, or anywhere."""
        pom = self._found[path]
        if pom.parent is None:
            return None
        wanted = (pom.parent.group, pom.parent.artifact)
        relative = "../pom.xml" if pom.relative_path is None else pom.relative_path
        if relative:
            beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))
            for candidate in (beside, posixpath.join(beside, "pom.xml")):
                if candidate in self._found and _own_name(self._found[candidate]) == wanted:
                    return candidate
        return self._by_name(*wanted)

    def _by_name(self, group: str, artifact: str) -> str | None:
        """The one pom of the tree with this name."""
        if self._index is None:
            self._index = {}
            for path, pom in sorted(self._found.items()):
                self._index.setdefault(_own_name(pom), []).append(path)
        found = self._index.get((group, artifact), [])
        return found[0] if len(found) == 1 else None

    def _of_this_tree(self, group: str, artifact: str, version: str | None) -> bool:
        """Whether it is a module of this very tree, and not another release of it."""
        path = self._by_name(group, artifact)
        if path is None:
            return False
        known = self._properties(self._chain(path))
        return version is None or version == _filled(known.get("project.version", ""), known)

    def _properties(self, chain: list[str]) -> _Known:
        return _Known([self._found[pom].properties for pom in chain])


class _Known(Mapping[str, str]):
    """The properties of a pom and its parents: the nearest holds, but a parent's own name is not its child's."""

    def __init__(self, held: list[dict[str, str]]) -> None:
        self._held = held

    def __getitem__(self, name: str) -> str:
        if name.startswith(("project.", "pom.")):
            return self._held[0][name]
        for one in self._held:
            if name in one:
                return one[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter({name: None for one in self._held for name in one})

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _read(blob: bytes) -> _Pom:
    root = xml(blob)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if root.tag != "project":
        raise ManifestError(f"its root is {root.tag[:50]!r}, not a project")
    managed = _entries(root, "dependencyManagement/dependencies/dependency")
    parent = root.find("parent")
    return _Pom(
        [(scope, _entry(element)) for place, scope in _PLACES for element in root.iterfind(place)],
        _own_properties(root),
        _Managed(one for one in managed if one.scope != "import"),
        _Managed(_entries(root, "build/pluginManagement/plugins/plugin"), _PLUGINS),
        [one for one in managed if one.scope == "import"],
        None if parent is None else _entry(parent),
        None if parent is None or parent.find("relativePath") is None else _text(parent, "relativePath"),
    )


def _entries(root: Element, place: str) -> list[_Entry]:
    return [_entry(element) for element in root.iterfind(place)]


def _entry(element: Element) -> _Entry:
    return _Entry(*(_text(element, name) for name in ("groupId", "artifactId", "version", "scope")))


def _own_name(pom: _Pom) -> tuple[str, str]:
    return pom.properties["project.groupId"], pom.properties["project.artifactId"]


def _own_properties(root: Element) -> dict[str, str]:
    parent = {f"parent.{key}": _text(root, f"parent/{key}") for key in ("groupId", "version")}
    own = {key: _text(root, key) or parent[f"parent.{key}"] for key in ("groupId", "version")}
    named = parent | own | {"artifactId": _text(root, "artifactId")}
    known = {f"{prefix}{key}": value for prefix in ("project.", "pom.", "") for key, value in named.items()}
    holder = root.find("properties")
    return known | {
        one.tag: (one.text or "").strip()[:_LONGEST] for one in (holder if holder is not None else ())
    }


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _filled(value: str, known: Mapping[str, str]) -> str:
    """A value with its properties filled in as far as they are known, never longer than _LONGEST."""
    for _ in range(_ROUNDS):
        filled = _PROPERTY.sub(lambda match: known.get(match.group(1), match.group()), value[:_LONGEST])
        if filled == value:
            break
        value = filled[:_LONGEST]
    return value
