"""Maven: pom.xml, with the properties that the file itself defines filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from snapshotter.scan.dependencies.formats import xml
from snapshotter.scan.dependencies.record import Dependency, ManifestError, dependency

_PROPERTY: Final = re.compile(r"\$\{([\w.-]+)\}")
# One version, bare or in brackets; a comma makes it a range.
_EXACT: Final = re.compile(r"\[?([\w.-]+)\]?")
_ROUNDS: Final = 5  # a property may name others; a circle of them ends here
_LONGEST: Final = 300

_PLACES: Final = (
    ("dependencies/dependency", ""),
    ("profiles/profile/dependencies/dependency", ""),
    ("dependencyManagement/dependencies/dependency", "management"),
    ("build/plugins/plugin", "plugin"),
    ("build/pluginManagement/plugins/plugin", "management"),
    ("parent", "parent"),
)


def pom(blob: bytes) -> Iterator[Dependency]:
    """A pom.xml. What is only managed has the scope `management` and is not direct."""
    root = xml(blob)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    if root.tag != "project":
        raise ManifestError(f"its root is {root.tag[:50]!r}, not a project")
    known = _properties(root)
    for place, scope in _PLACES:
        for element in root.iterfind(place):
            yield from _row(element, scope, known)


def _properties(root: Element) -> dict[str, str]:
    parent = {f"parent.{key}": _text(root, f"parent/{key}") for key in ("groupId", "version")}
    own = {key: _text(root, key) or parent[f"parent.{key}"] for key in ("groupId", "version")}
    named = parent | own | {"artifactId": _text(root, "artifactId")}
    known = {f"{prefix}{key}": value for prefix in ("project.", "pom.", "") for key, value in named.items()}
    holder = root.find("properties")
    return known | {
        one.tag: (one.text or "").strip()[:_LONGEST] for one in (holder if holder is not None else ())
    }


def _row(element: Element, scope: str, known: dict[str, str]) -> Iterator[Dependency]:
    group = _filled(_text(element, "groupId"), known)
    if element.tag == "plugin":
        group = group or "org.apache.maven.plugins"
    artifact = _filled(_text(element, "artifactId"), known)
    written = _text(element, "version")
    exact = _EXACT.fullmatch(_filled(written, known))
    scope = scope or _text(element, "scope") or "runtime"
    if group and artifact:
        version = exact.group(1) if exact else None
        yield dependency("maven", f"{group}:{artifact}", version, written, scope, scope != "management")


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _filled(value: str, known: dict[str, str]) -> str:
    """A value with its properties filled in as far as they are known, never longer than _LONGEST."""
    for _ in range(_ROUNDS):
        filled = _PROPERTY.sub(lambda match: known.get(match.group(1), match.group()), value[:_LONGEST])
        if filled == value:
            break
        value = filled[:_LONGEST]
    return value
