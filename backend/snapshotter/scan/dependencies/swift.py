"""Swift: Package.resolved. Package.swift is code, which nobody here reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from snapshotter.scan.dependencies.formats import json_object, mapping, string, tables
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

_PLACE: Final = re.compile(r"(?:\w+://)?(?:[^/@]*@)?([\w.-]+)(?::\d+)?[:/]+(\S+/[^/\s]+?)(?:\.git)?/?")


def package_resolved(blob: bytes) -> Iterator[Dependency]:
    """A Package.resolved, versions 1 to 3: packages are named by where they are. It says neither which are direct nor
    when they are needed. A package that is held to a branch or commit has that commit for its version."""
    document = json_object(blob)
    pins = document.get("pins") or mapping(document.get("object"), "object").get("pins")
    for pin in tables(pins):
        location = string(pin.get("location") or pin.get("repositoryURL"))
        match = _PLACE.fullmatch(location)
        name = "/".join(match.groups()) if match else string(pin.get("identity") or pin.get("package"))
        version = _version(mapping(pin.get("state"), "state"))
        elsewhere = match is None or pin.get("kind") == "localSourceControl"
        yield dependency(NamedPackage("swift", name, version, registry=not elsewhere), None, None, None)


def _version(state: dict[str, Any]) -> str:
    return string(state.get("version")) or string(state.get("revision"))
