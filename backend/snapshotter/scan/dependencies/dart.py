"""Dart: pubspec.yaml and pubspec.lock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from snapshotter.scan.dependencies.formats import mapping, string, yaml_object
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

_EXACT: Final = re.compile(r"\d+\.\d+\.\d+[\w.+-]*")
_SECTIONS: Final = {"dependencies": "runtime", "dev_dependencies": "dev", "dependency_overrides": "override"}
_ELSEWHERE: Final = ("git", "path", "sdk")


def pubspec(blob: bytes) -> Iterator[Dependency]:
    """A pubspec.yaml without what comes with the SDK."""
    document = yaml_object(blob)
    for key, scope in _SECTIONS.items():
        for name, value in mapping(document.get(key), key).items():
            table = value if isinstance(value, dict) else {"version": value}
            written = next((_source(table[one]) for one in ("version", *_ELSEWHERE) if one in table), "")
            if "sdk" not in table:
                version = written if _EXACT.fullmatch(written) else None
                elsewhere = bool(table.keys() & {"git", "path"})
                yield dependency(
                    NamedPackage("pub", str(name), version, registry=not elsewhere), written, scope
                )


def _source(value: Any) -> str:
    return string(value.get("url") if isinstance(value, dict) else value).strip()


def pubspec_lock(blob: bytes) -> Iterator[Dependency]:
    """A pubspec.lock without folders of the repository itself and without what comes with the SDK. It does not tell
    when a package is needed that others ask for."""
    for name, value in mapping(yaml_object(blob).get("packages"), "packages").items():
        entry = mapping(value, str(name))
        kind, source = string(entry.get("dependency")), entry.get("source")
        if source not in ("path", "sdk"):
            scope = {"direct main": "runtime", "direct dev": "dev"}.get(kind)
            direct = kind.startswith("direct")
            version = string(entry.get("version"))
            yield dependency(
                NamedPackage("pub", str(name), version, registry=source == "hosted"), None, scope, direct
            )
