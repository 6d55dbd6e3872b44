""".NET: the projects of a tree with the files that are over them, packages.config, and packages.lock.json."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from snapshotter.scan.dependencies.formats import json_object, mapping, string, xml
from snapshotter.scan.dependencies.record import (
    Dependency,
    ManifestError,
    NamedPackage,
    PartlyRead,
    dependency,
)

SHARED: Final = ("Directory.Packages.props", "Directory.Build.props", "Directory.Build.targets")
"""Files that MSBuild takes into every project of their folder and those below."""

# To NuGet a bare version is the lowest that will do, which is the one that it takes.
_EXACT: Final = re.compile(r"\[?(\d[\w.+-]*)\]?")
# How a project writes a path beside its own file; every other property leads to the tools.
_BESIDE: Final = re.compile(r"\$\((?:MSBuildThisFileDirectory|MSBuildProjectDirectory)\)")
_PROPERTY: Final = re.compile(r"\$\(([\w.-]+)\)")
_ROUNDS: Final = 5  # a property may name others; a circle of them ends here
_LONGEST: Final = 300
_MANAGED: Final = "PackageVersion"
_ASKED: Final = ("PackageReference", "GlobalPackageReference", "package")


class _PackageElement(NamedTuple):
    """A package as one element names it. An `override` goes before what is managed."""

    kind: str
    name: str
    version: str
    override: str
    scope: str


class _ProjectFile(NamedTuple):
    """`imports` are the files of the repository that it takes in by other names than SHARED, as it writes them."""

    entries: list[_PackageElement]
    properties: dict[str, str]
    imports: list[str]


class DotnetProjects:
    """The projects (csproj and its like) of a tree, and what is shared by those below its folder.

    Versions and properties come from the files over a project, the nearest first. A version that is only managed has
    the scope `management`, and is not direct.
    """

    def __init__(self) -> None:
        self._files: dict[str, _ProjectFile] = {}

    def add(self, path: str, blob: bytes) -> None:
        """Read one."""
        self._files[path] = _read(blob, "Project")

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._files[path]

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one. Raises PartlyRead after them if it imports a file that may hold more."""
        over = [self._files[path], *(self._files[one] for one in self._over(path))]
        # The nearest come last here, and so hold.
        known = {name: value for project in reversed(over) for name, value in project.properties.items()}
        managed = {
            entry.name.lower(): entry.version
            for project in reversed(over)
            for entry in project.entries
            if entry.kind == _MANAGED
        }
        for entry in self._files[path].entries:
            name = _filled(entry.name, known)
            if name and "$" not in name:
                version = entry.override or entry.version
                yield _row(entry, name, _filled(version or managed.get(name.lower(), ""), known))
        if imports := self._files[path].imports:
            raise PartlyRead(f"it imports {imports[0]!r}, which is not read")

    def lenders(self, path: str) -> set[str]:
        """The files over it."""
        return set(self._over(path))

    def taken_in(self) -> tuple[str, ...]:
        """No paths: the files over a project are known by their names."""
        return ()

    def _over(self, path: str) -> list[str]:
        """The shared files of the folders from a project's own up to the root."""
        over: list[str] = []
        folder = path
        while folder:
            folder = posixpath.dirname(folder)
            over += [one for name in SHARED if (one := posixpath.join(folder, name)) in self._files]
        return [one for one in over if one != path]


def packages_config(blob: bytes) -> Iterator[Dependency]:
    """A packages.config."""
    for entry in _read(blob, "packages").entries:
        yield _row(entry, entry.name, entry.version)


def tools(blob: bytes) -> Iterator[Dependency]:
    """A dotnet-tools.json."""
    for name, tool in mapping(json_object(blob).get("tools"), "tools").items():
        version = string(mapping(tool, name).get("version"))
        yield dependency(NamedPackage("nuget", name, version), version, "dev")


def _row(entry: _PackageElement, name: str, version: str) -> Dependency:
    exact = _EXACT.fullmatch(version.strip())
    written = entry.override or entry.version
    return dependency(
        NamedPackage("nuget", name, exact.group(1) if exact else None),
        written,
        entry.scope,
        entry.kind != _MANAGED,
    )


def _read(blob: bytes, root_tag: str) -> _ProjectFile:
    root = xml(blob)
    if _tag(root) != root_tag:
        raise ManifestError(f"its root is {_tag(root)[:50]!r}, not a {root_tag}")
    project = _ProjectFile([], {}, [])
    for element in root.iter():
        if _tag(element) == "PropertyGroup":
            project.properties.update({_tag(one): (one.text or "").strip()[:_LONGEST] for one in element})
        elif _tag(element) == "Import":
            project.imports.extend(_of_the_repository(element))
        elif _tag(element) in (*_ASKED, _MANAGED):
            names = element.get("Include") or element.get("Update") or element.get("id") or ""
            version = element.get("Version") or element.get("version") or _child(element, "Version")
            override = element.get("VersionOverride") or _child(element, "VersionOverride")
            kind = _MANAGED if element.get("Update") and not element.get("Include") else _tag(element)
            scope = "management" if kind == _MANAGED else _scope(element)
            project.entries.extend(
                _PackageElement(kind, name.strip(), version, override, scope) for name in names.split(";")
            )
    return project


def _of_the_repository(element: Element) -> Iterator[str]:
    """The path that one Import names; none where an SDK or the tools have it, or where it is of those that are read."""
    path = _BESIDE.sub("", element.get("Project") or "").strip()[:_LONGEST]
    named = path and "$" not in path and not element.get("Sdk")
    if named and posixpath.basename(path.replace("\\", "/")) not in SHARED:
        yield path


def _scope(element: Element) -> str:
    """`dev` for analyzers and tools, of which nothing is handed on to who uses the project."""
    private = element.get("PrivateAssets") or _child(element, "PrivateAssets")
    developing = element.get("developmentDependency") or ""
    return "dev" if private.lower() == "all" or developing.lower() == "true" else "runtime"


def _child(element: Element, name: str) -> str:
    return next(((one.text or "").strip() for one in element if _tag(one) == name), "")


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _filled(value: str, known: dict[str, str]) -> str:
    """A value with its properties filled in as far as they are known, never longer than _LONGEST."""
    for _ in range(_ROUNDS):
        filled = _PROPERTY.sub(lambda match: known.get(match.group(1), match.group()), value[:_LONGEST])
        if filled == value:
            break
        value = filled[:_LONGEST]
    return value


def packages_lock(blob: bytes) -> Iterator[Dependency]:
    """A packages.lock.json, over all target frameworks, without projects of the solution. It does not tell when a
    package is needed."""
    locked: dict[tuple[str, str], tuple[str, bool]] = {}
    for framework, packages in mapping(json_object(blob).get("dependencies"), "dependencies").items():
        for name, value in mapping(packages, framework).items():
            entry = mapping(value, name)
            if entry.get("type") != "Project":
                key = name, string(entry.get("resolved"))
                asked, direct = locked.get(key, ("", False))
                locked[key] = asked or string(entry.get("requested")), direct or entry.get("type") == "Direct"
    for (name, version), (asked, direct) in locked.items():
        yield dependency(NamedPackage("nuget", name, version), asked, None, direct)
