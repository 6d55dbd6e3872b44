"""Yarn: yarn.lock, classic and Berry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from snapshotter.scan.dependencies.formats import text
from snapshotter.scan.dependencies.npm import ALIAS, is_elsewhere
from snapshotter.scan.dependencies.record import Dependency, ManifestError, NamedPackage, dependency

# Protocols of packages that lie in the repository itself: they are no dependencies.
_OURS: Final = ("workspace:", "link:", "portal:")
_VERSION: Final = re.compile(r"  version:? \"?([^\"\s]+)\"?\s*$")


def yarn_lock(blob: bytes) -> Iterator[Dependency]:
    """A yarn.lock; it says neither which packages are direct nor when they are needed.

    Both kinds are blocks: a line of comma-separated `name@range` up to a colon, then indented fields.
    """
    specs: list[str] = []
    blocks = 0
    body = False
    for line in text(blob).splitlines():
        body = body or (bool(line.strip()) and not line.startswith("#"))
        if line and not line[0].isspace() and line[0] != "#":
            header = line.rstrip().removesuffix(":").strip('"').split(",")
            specs = [spec.strip().strip('"') for spec in header]
            blocks += line.rstrip().endswith(":")
        elif specs and (match := _VERSION.match(line)):
            if row := _row(specs, match.group(1)):
                yield row
            specs = []
    if body and not blocks:
        raise ManifestError("not a yarn.lock")


def _row(specs: list[str], version: str) -> Dependency | None:
    """The row of a block; None for a package of the project's own."""
    # From the second character on: the name of a scoped package begins with the sign that ends it.
    name, _, requirement = specs[0][1:].partition("@")
    name = specs[0][:1] + name
    if not requirement or requirement.startswith(_OURS) or _is_folder(requirement):
        return None
    ranges = [_range(spec[len(name) + 1 :]) for spec in specs]
    alias = ALIAS.fullmatch(requirement)
    if alias:
        name = alias.group(1) if alias.group(2) else name
    elsewhere = not alias and is_elsewhere(requirement)
    return dependency(
        NamedPackage("npm", name, version, registry=not elsewhere), " || ".join(ranges), None, None
    )


def _range(requirement: str) -> str:
    """A range as manifests write it: Berry has the protocol before each, and only an alias needs it."""
    alias = ALIAS.fullmatch(requirement)
    return requirement if alias and alias.group(2) else requirement.removeprefix("npm:")


def _is_folder(requirement: str) -> bool:
    return requirement.startswith(("file:", "./", "../")) and not re.search(r"\.t(?:ar\.)?gz\b", requirement)
