"""Gradle: gradle.lockfile and the version catalog. Its build files are code, which nobody here reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from snapshotter.scan.dependencies.formats import mapping, string, text, toml
from snapshotter.scan.dependencies.record import Dependency, ManifestError, NamedPackage, dependency

_LOCKED: Final = re.compile(r"([^:=#\s]+):([^:=#\s]+):([^:=#\s]+)=(\S*)")
_EXACT: Final = re.compile(r"\d[\w.-]*")


def lockfile(blob: bytes) -> Iterator[Dependency]:
    """A gradle.lockfile; it does not say which modules are direct. Those that only tests' configurations hold have the
    scope `test`, those that none hold which is there at run time the first of their configurations."""
    rows = 0
    for line in text(blob).splitlines():
        if match := _LOCKED.fullmatch(line.strip()):
            group, artifact, version, held = match.groups()
            rows += 1
            yield dependency(
                NamedPackage("maven", f"{group}:{artifact}", version), None, _scope(held.split(",")), None
            )
        elif line.strip() and not line.startswith(("#", "empty=")) and not rows:
            raise ManifestError("not a gradle.lockfile")


def _scope(configurations: list[str]) -> str:
    shipped = [one for one in configurations if not one.startswith(("test", "androidTest", "jmh"))]
    if any(one.lower().endswith("runtimeclasspath") for one in shipped):
        return "runtime"
    return shipped[0] if shipped else "test"


def catalog(blob: bytes) -> Iterator[Dependency]:
    """A libs.versions.toml: what build files may ask for by a short name. It has the scope `management`, and is not
    known to be asked for. A plugin is the module that Gradle finds it by (`id:id.gradle.plugin`)."""
    document = toml(blob)
    versions = mapping(document.get("versions"), "versions")
    for name, value in mapping(document.get("libraries"), "libraries").items():
        table = _split(value) if isinstance(value, str) else mapping(value, name)
        module = string(table.get("module")) or f"{string(table.get('group'))}:{string(table.get('name'))}"
        written = _version(table.get("version"), versions)
        if module.count(":") == 1 and not module.startswith(":"):
            version = written if _EXACT.fullmatch(written) else None
            yield dependency(NamedPackage("maven", module, version), written, "management", None)
    for name, value in mapping(document.get("plugins"), "plugins").items():
        if isinstance(value, str):
            plugin, _, version = value.partition(":")
            value = {"id": plugin, "version": version}
        table = mapping(value, name)
        plugin = string(table.get("id"))
        written = _version(table.get("version"), versions)
        if plugin and ":" not in plugin:
            version = written if _EXACT.fullmatch(written) else None
            module = f"{plugin}:{plugin}.gradle.plugin"
            yield dependency(NamedPackage("maven", module, version), written, "management", None)


def _split(written: str) -> dict[str, Any]:
    module, _, version = written.rpartition(":")
    return {"module": module, "version": version} if ":" in module else {"module": written}


def _version(value: Any, versions: dict[str, Any]) -> str:
    """A version, one that `ref` names, or a rich one: what it requires, strictly or by preference."""
    if isinstance(value, dict) and "ref" in value:
        value = versions.get(string(value["ref"]))
    if isinstance(value, dict):
        value = next((value[key] for key in ("strictly", "require", "prefer") if key in value), None)
    return string(value)
