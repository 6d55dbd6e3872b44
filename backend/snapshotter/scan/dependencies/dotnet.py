""".NET: projects, packages.config, and packages.lock.json."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from snapshotter.scan.dependencies.formats import json_object, mapping, string, xml
from snapshotter.scan.dependencies.record import Dependency, ManifestError, dependency

_EXACT: Final = re.compile(r"\[?(\d[\w.+-]*)\]?")
_SCOPES: Final = {
    "PackageReference": "runtime",
    "GlobalPackageReference": "runtime",
    "PackageVersion": "management",
    "package": "runtime",
}


def project(blob: bytes) -> Iterator[Dependency]:
    """A project (csproj and its like), Directory.Packages.props or packages.config. A version that stands in one
    that manages them centrally has the scope `management` there, and is not direct."""
    root = xml(blob)
    if _tag(root) not in ("Project", "packages"):
        raise ManifestError(f"its root is {_tag(root)[:50]!r}, not a project")
    for element in root.iter():
        scope = _SCOPES.get(_tag(element))
        name = element.get("Include") or element.get("id") or ""
        if scope is None or not name or "$" in name:
            continue
        written = element.get("Version") or element.get("version") or _child(element, "Version")
        exact = _EXACT.fullmatch(written.strip())
        if (element.get("developmentDependency") or "").lower() == "true" or _is_private(element):
            scope = "dev"
        version = exact.group(1) if exact else None
        yield dependency("nuget", name, version, written, scope, scope != "management")


def _is_private(element: Element) -> bool:
    """Whether nothing of a package is handed on to who uses the project: analyzers and tools."""
    return (element.get("PrivateAssets") or _child(element, "PrivateAssets")).lower() == "all"


def _child(element: Element, name: str) -> str:
    return next(((one.text or "").strip() for one in element if _tag(one) == name), "")


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def packages_lock(blob: bytes) -> Iterator[Dependency]:
    """A packages.lock.json, over all target frameworks, without projects of the solution. It does not tell when a
    package is needed."""
    found: dict[tuple[str, str], tuple[str, bool]] = {}
    for framework, packages in mapping(json_object(blob).get("dependencies"), "dependencies").items():
        for name, value in mapping(packages, framework).items():
            entry = mapping(value, name)
            if entry.get("type") != "Project":
                key = name, string(entry.get("resolved"))
                asked, direct = found.get(key, ("", False))
                found[key] = asked or string(entry.get("requested")), direct or entry.get("type") == "Direct"
    for (name, version), (asked, direct) in found.items():
        yield dependency("nuget", name, version, asked, None, direct)
