"""Python's requirements as PEP 508 spells them."""

from __future__ import annotations

import re
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

_NAME: Final = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*")


def read(line: str, scope: str, *, registry: bool = True) -> Dependency | None:
    """The row of one requirement; None for a line that is none. One that names an address comes from no registry."""
    try:
        parsed = Requirement(line)
    except (InvalidRequirement, RecursionError):
        return None
    pins = [
        one.version for one in parsed.specifier if one.operator in ("==", "===") and "*" not in one.version
    ]
    return dependency(
        NamedPackage(
            "pypi",
            canonicalize_name(parsed.name),
            pins[0] if pins else None,
            registry=registry and parsed.url is None,
        ),
        _NAME.sub("", line, count=1),
        scope,
    )
