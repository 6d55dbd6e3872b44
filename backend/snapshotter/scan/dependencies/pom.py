"""One pom.xml as it is written (Maven's POM reference), and properties as they are filled in."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeVar
from xml.etree.ElementTree import Element

from snapshotter.scan.dependencies.formats import xml
from snapshotter.scan.dependencies.record import ManifestError

_Name = TypeVar("_Name", bound=Hashable)
_Said = TypeVar("_Said", bound=Hashable)

PLUGINS: Final = "org.apache.maven.plugins"
"""The group of a plugin that names none."""

_PROPERTY: Final = re.compile(r"\$\{([\w.-]+)\}")
_ROUNDS: Final = 5  # a property may name others; a circle of them ends here
_LONGEST: Final = 300
_MAX_FILLED_IN: Final = 100  # names with properties in one management: each is a look of its own

_DEPENDENCIES: Final = "dependencies/dependency"
_MANAGED: Final = "dependencyManagement/dependencies/dependency"
_PLUGINS: Final = ("build/plugins/plugin", "reporting/plugins/plugin")
_MANAGED_PLUGINS: Final = "build/pluginManagement/plugins/plugin"
_PROFILES: Final = "profiles/profile"
# Each is looked for in the project and in its profiles.
_PLACES: Final = (
    (_DEPENDENCIES, ""),
    (_MANAGED, "management"),
    *((place, "plugin") for place in _PLUGINS),
    (_MANAGED_PLUGINS, "management"),
    *((f"{place}/dependencies/dependency", "build") for place in (*_PLUGINS, _MANAGED_PLUGINS)),
    *(
        (f"{place}/configuration/annotationProcessorPaths/{name}", "build")
        for place in ("build/plugins/plugin", _MANAGED_PLUGINS)
        for name in ("path", "annotationProcessorPath")
    ),
    ("build/extensions/extension", "build"),
)


class PomEntry(NamedTuple):
    """A dependency, plugin or parent, as written."""

    group: str
    artifact: str
    version: str
    scope: str


class Managed(NamedTuple):
    """The version and scope that a management has for a name."""

    version: str
    scope: str


class Management:
    """What is managed: of each name the first entry."""

    def __init__(self, entries: Iterable[PomEntry], group: str = "") -> None:
        self._named: dict[tuple[str, str], PomEntry] = {}
        self._filled_in: list[PomEntry] = []
        for one in entries:
            if "$" not in one.group + one.artifact:
                self._named.setdefault((one.group or group, one.artifact), one)
            elif len(self._filled_in) < _MAX_FILLED_IN:
                self._filled_in.append(one)

    def get(self, key: tuple[str, str], known: Mapping[str, str]) -> Managed | None:
        """What is managed for a (group, artifact), with the properties in `known`."""
        named = (
            one for one in self._filled_in if (filled(one.group, known), filled(one.artifact, known)) == key
        )
        entry = self._named.get(key) or next(named, None)
        return Managed(filled(entry.version, known), entry.scope) if entry else None


class Pom(NamedTuple):
    """A pom.xml. `entries` are what it names, each with the scope of its place, empty where it has one of its own.
    `relative_path` is None where the parent has none, and then is ``../pom.xml``."""

    entries: list[tuple[str, PomEntry]]
    properties: dict[str, str]
    dependencies: Management
    plugins: Management
    boms: list[PomEntry]
    parent: PomEntry | None
    relative_path: str | None

    @property
    def name(self) -> tuple[str, str]:
        """Its group and artifact."""
        return self.properties["project.groupId"], self.properties["project.artifactId"]


class Properties(Mapping[str, str]):
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


def read(blob: bytes) -> Pom:
    """A pom.xml. Raises ManifestError for what is none."""
    root = _root(blob, "project")
    parent = root.find("parent")
    managed = [*_entries(root, _MANAGED), *_of_profiles(root, _MANAGED)]
    plugins = [*_entries(root, _MANAGED_PLUGINS), *_of_profiles(root, _MANAGED_PLUGINS)]
    held_in = ("", f"{_PROFILES}/")
    named = [(scope, one) for at in held_in for place, scope in _PLACES for one in _entries(root, at + place)]
    return Pom(
        [*named, *(("parent", one) for one in _entries(root, "parent"))],
        _profile_properties(root) | _own_properties(root),
        Management(one for one in managed if one.scope != "import"),
        Management(plugins, PLUGINS),
        [one for one in managed if one.scope == "import"],
        None if parent is None else _entry(parent),
        None if parent is None or parent.find("relativePath") is None else _text(parent, "relativePath"),
    )


def extensions(blob: bytes) -> list[PomEntry]:
    """What a .mvn/extensions.xml names. Raises ManifestError for what is none."""
    return _entries(_root(blob, "extensions"), "extension")


def _root(blob: bytes, tag: str) -> Element:
    root = xml(blob)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if root.tag != tag:
        raise ManifestError(f"its root is {root.tag[:50]!r}, not {tag}")
    return root


def filled(value: str, known: Mapping[str, str]) -> str:
    """A value with its properties filled in as far as they are known, never longer than 300 characters if it has
    any."""
    for _ in range(_ROUNDS):
        if "$" not in value:
            break
        value = _PROPERTY.sub(lambda match: known.get(match.group(1), match.group()), value[:_LONGEST])[
            :_LONGEST
        ]
    return value


def _entries(root: Element, place: str) -> list[PomEntry]:
    return [_entry(element) for element in root.iterfind(place)]


def _entry(element: Element) -> PomEntry:
    entry = PomEntry(*(_text(element, name) for name in ("groupId", "artifactId", "version", "scope")))
    return entry._replace(scope=entry.scope or "optional") if _text(element, "optional") == "true" else entry


def _of_profiles(root: Element, place: str) -> list[PomEntry]:
    """What profiles manage, as far as it does not depend on which of them is asked for."""
    told = [
        (profile, (one.group, one.artifact), one)
        for profile in root.iterfind(_PROFILES)
        for one in _entries(profile, place)
    ]
    return list(_agreed(told).values())


def _profile_properties(root: Element) -> dict[str, str]:
    """The properties of profiles, as far as they do not depend on which of them is asked for."""
    told = [
        (profile, one.tag, (one.text or "").strip()[:_LONGEST])
        for profile in root.iterfind(_PROFILES)
        for one in profile.iterfind("properties/*")
    ]
    return _agreed(told)


def _agreed(told: list[tuple[Element, _Name, _Said]]) -> dict[_Name, _Said]:
    """What a profile that holds by default says of a name, else what all profiles say that do."""
    agreed: dict[_Name, _Said] = {}
    all_said: dict[_Name, set[_Said]] = {}
    for profile, name, said in told:
        all_said.setdefault(name, set()).add(said)
        if _text(profile, "activation/activeByDefault") == "true":
            agreed.setdefault(name, said)
    return {name: next(iter(said)) for name, said in all_said.items() if len(said) == 1} | agreed


def _own_properties(root: Element) -> dict[str, str]:
    parent = {f"parent.{key}": _text(root, f"parent/{key}") for key in ("groupId", "version")}
    # A pom that writes no group or version has its parent's.
    own = {key: _text(root, key) or parent[f"parent.{key}"] for key in ("groupId", "version")}
    named = parent | own | {"artifactId": _text(root, "artifactId")}
    known = {f"{prefix}{key}": value for prefix in ("project.", "pom.", "") for key, value in named.items()}
    holder = root.find("properties")
    return known | {
        one.tag: (one.text or "").strip()[:_LONGEST] for one in (holder if holder is not None else ())
    }


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()
