"""Rust: Cargo.toml and Cargo.lock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from snapshotter.scan.dependencies.formats import mapping, string, strings, tables, toml
from snapshotter.scan.dependencies.record import Dependency, dependency

_SECTIONS: Final = {"dependencies": "runtime", "dev-dependencies": "dev", "build-dependencies": "build"}
# Cargo takes a bare `1.2.3` for `^1.2.3`: only an equals sign makes it exact.
_EXACT: Final = re.compile(r"=\s*(\d+\.\d+\.\d+[\w.+-]*)")


def cargo_toml(blob: bytes) -> Iterator[Dependency]:
    """A Cargo.toml, with its targets' sections; a workspace's shared ones have the scope `workspace`."""
    document = toml(blob)
    targets = mapping(document.get("target"), "target")
    for holder in (document, *(mapping(target, name) for name, target in targets.items())):
        for key, scope in _SECTIONS.items():
            yield from _section(holder.get(key), scope)
    yield from _section(mapping(document.get("workspace"), "workspace").get("dependencies"), "workspace")


def _section(section: Any, scope: str) -> Iterator[Dependency]:
    for key, value in mapping(section, scope).items():
        table = value if isinstance(value, dict) else {"version": value}
        name = string(table.get("package")) or key
        written = next((string(table[one]) for one in ("version", "git", "path") if one in table), "")
        exact = _EXACT.fullmatch(written.strip())
        optional = "optional" if table.get("optional") is True else scope
        yield dependency("cargo", name, exact.group(1) if exact else None, written, optional)


def cargo_lock(blob: bytes) -> Iterator[Dependency]:
    """A Cargo.lock without the workspace's own packages; what those name is direct."""
    packages = list(tables(toml(blob).get("package")))
    own = [one for one in packages if "source" not in one]
    wanted = {entry.partition(" (")[0] for one in own for entry in strings(one.get("dependencies"))}
    for one in packages:
        if "source" in one:
            name, version = string(one.get("name")), string(one.get("version"))
            direct = name in wanted or f"{name} {version}" in wanted
            yield dependency("cargo", name, version, direct=direct if own else None)
