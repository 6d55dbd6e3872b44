"""PHP: composer.json and composer.lock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from snapshotter.scan.dependencies.formats import json_object, mapping, string, tables
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

_EXACT: Final = re.compile(r"=?\s*(v?\d+\.\d+\.\d+[\w.+-]*)")


def composer_json(blob: bytes) -> Iterator[Dependency]:
    """A composer.json without what it asks of the platform (`php`, `ext-json`), which has no vendor."""
    document = json_object(blob)
    for key, scope in (("require", "runtime"), ("require-dev", "dev")):
        for name, value in mapping(document.get(key), key).items():
            exact = _EXACT.fullmatch(string(value).strip())
            if "/" in name:
                yield dependency(
                    NamedPackage("composer", name, exact.group(1) if exact else None), string(value), scope
                )


def composer_lock(blob: bytes) -> Iterator[Dependency]:
    """A composer.lock without folders of the repository itself; it does not say which packages are direct."""
    document = json_object(blob)
    for key, scope in (("packages", "runtime"), ("packages-dev", "dev")):
        for one in tables(document.get(key)):
            if mapping(one.get("dist"), "dist").get("type") != "path":
                yield dependency(
                    NamedPackage("composer", string(one.get("name")), string(one.get("version"))),
                    scope=scope,
                    direct=None,
                )
