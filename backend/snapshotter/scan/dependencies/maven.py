"""Maven: the pom.xml files of a tree, each with what its parents and the BOMs beside it say."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from snapshotter.scan.dependencies import pom
from snapshotter.scan.dependencies.pom import Managed, Pom, PomEntry, Properties, filled
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

# One version, bare or in brackets; a comma makes it a range.
_EXACT: Final = re.compile(r"\[?((?!(?:LATEST|RELEASE)\Z)[\w.-]+)\]?")
_MAX_PARENTS: Final = 10  # above one pom; real projects have three or four
_MAX_BOMS: Final = 50  # of one pom and its parents, with theirs


class _Effective(NamedTuple):
    """A pom with its parents, nearest first, all their properties, and the BOMs that they import."""

    chain: list[Pom]
    known: Properties
    boms: list[_Effective]

    def managed(self, key: tuple[str, str], *, plugin: bool) -> Managed | None:
        """What is managed for a name: by the pom itself, its parents, and then by BOMs in words of their own."""
        for one in self.chain:
            if managed := (one.plugins if plugin else one.dependencies).get(key, self.known):
                return managed
        by_boms = (bom.managed(key, plugin=plugin) for bom in self.boms)
        return next((managed for managed in by_boms if managed), None)


class Poms:
    """The pom.xml files of a tree. What is only managed has the scope `management` and is not direct."""

    def __init__(self) -> None:
        self._poms: dict[str, Pom] = {}
        self._chains: dict[str, list[str]] = {}
        self._index: dict[tuple[str, str], list[str]] | None = None

    def add(self, path: str, blob: bytes) -> None:
        """Read one."""
        self._poms[path] = pom.read(blob)

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._poms[path]

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one, with properties and managed versions from its parents and BOMs as far as the tree has
        them."""
        boms = [self._effective(bom, []) for bom in self._boms(path)]
        whole = self._effective(path, boms)
        for place, entry in self._poms[path].entries:
            group = filled(entry.group, whole.known) or (pom.PLUGINS if place == "plugin" else "")
            artifact = filled(entry.artifact, whole.known)
            if group and artifact:
                yield self._row(whole, place, entry._replace(group=group, artifact=artifact))

    def lenders(self, path: str) -> set[str]:
        """Its parents, their BOMs, and the parents of those."""
        return {one for own in (path, *self._boms(path)) for one in self._chain(own)} - {path}

    def taken_in(self) -> Iterable[str]:
        """No paths: only a file of this name is a pom.xml."""
        return ()

    def _row(self, whole: _Effective, place: str, entry: PomEntry) -> Dependency:
        managed = None
        if place not in ("management", "parent"):
            managed = whole.managed((entry.group, entry.artifact), plugin=place == "plugin")
        own = filled(entry.version, whole.known)
        exact = _EXACT.fullmatch(own or (managed.version if managed else ""))
        version = exact.group(1) if exact else None
        return dependency(
            NamedPackage(
                "maven",
                f"{entry.group}:{entry.artifact}",
                version,
                registry=entry.scope != "system" and self._of_this_tree(entry, version or "") is None,
            ),
            entry.version,
            place or entry.scope or (managed.scope if managed else "") or "runtime",
            place != "management",
        )

    def _effective(self, path: str, boms: list[_Effective]) -> _Effective:
        chain = [self._poms[one] for one in self._chain(path)]
        return _Effective(chain, Properties([one.properties for one in chain]), boms)

    def _boms(self, path: str) -> list[str]:
        """The BOMs in the tree that a pom and its parents import, with those that they import."""
        boms: dict[str, None] = {}
        waiting = [path]
        while waiting:
            whole = self._effective(waiting.pop(0), [])
            for entry in (entry for one in whole.chain for entry in one.boms):
                named = PomEntry(*(filled(part, whole.known) for part in entry))
                bom = self._of_this_tree(named, named.version)
                if bom is not None and bom not in boms and len(boms) < _MAX_BOMS:
                    boms[bom] = None
                    waiting.append(bom)
        return list(boms)

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
        own = self._poms[path]
        if own.parent is None:
            return None
        relative = "../pom.xml" if own.relative_path is None else own.relative_path
        places = self._named(own.parent)
        if relative:  # written empty it tells Maven not to look in a folder
            beside = posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))
            for place in (beside, posixpath.join(beside, "pom.xml")):
                if place in places and _may_be(own.parent.version, self._poms[place]):
                    return place
        return self._only(places, own.parent.version)

    def _of_this_tree(self, entry: PomEntry, version: str) -> str | None:
        """The pom of this very tree that is meant, and not another release of it."""
        path = self._only(self._named(entry), "")
        if path is None:
            return None
        chain = [self._poms[one].properties for one in self._chain(path)]
        own = filled(chain[0]["project.version"], Properties(chain))
        return path if not version or "$" in version or version == own else None

    def _only(self, paths: list[str], version: str) -> str | None:
        return paths[0] if len(paths) == 1 and _may_be(version, self._poms[paths[0]]) else None

    def _named(self, entry: PomEntry) -> list[str]:
        """The poms of the tree with this group and artifact."""
        if self._index is None:
            self._index = {}
            for path, one in sorted(self._poms.items()):
                self._index.setdefault(one.name, []).append(path)
        return self._index.get((entry.group, entry.artifact), [])


def extensions(blob: bytes) -> Iterator[Dependency]:
    """A .mvn/extensions.xml: what Maven itself loads, with the scope `build`."""
    for entry in pom.extensions(blob):
        if entry.group and entry.artifact:
            exact = _EXACT.fullmatch(entry.version)
            package = NamedPackage(
                "maven", f"{entry.group}:{entry.artifact}", exact.group(1) if exact else None
            )
            yield dependency(package, entry.version, "build")


def _may_be(version: str, candidate: Pom) -> bool:
    """Whether a pom is of this version, as far as both are written without properties."""
    own = candidate.properties["project.version"]
    return not version or not own or "$" in version + own or version == own
