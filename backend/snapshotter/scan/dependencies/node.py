"""npm, Yarn and pnpm: package.json and the lock files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from snapshotter.scan.dependencies.formats import json_object, mapping, string, text, yaml_object
from snapshotter.scan.dependencies.record import Dependency, ManifestError, dependency

_SCOPES: Final = {
    "dependencies": "runtime",
    "optionalDependencies": "optional",
    "devDependencies": "dev",
    "peerDependencies": "peer",
}
# npm takes a full version for itself, unlike Cargo.
_EXACT: Final = re.compile(r"[v=]*\s*(\d+\.\d+\.\d+[\w.+-]*)")
_ALIAS: Final = re.compile(r"npm:((?:@[^/@]+/)?[^@]+)(?:@(.*))?")
# Protocols of packages that lie in the repository itself: they are no dependencies.
_OURS: Final = ("workspace:", "file:", "link:", "portal:")


def package_json(blob: bytes) -> Iterator[Dependency]:
    """A package.json."""
    document = json_object(blob)
    for key, scope in _SCOPES.items():
        for name, value in mapping(document.get(key), key).items():
            requirement = string(value)
            if alias := _ALIAS.fullmatch(requirement):
                name = alias.group(1)
                exact = _EXACT.fullmatch((alias.group(2) or "").strip())
            else:
                exact = _EXACT.fullmatch(requirement.strip())
            yield dependency("npm", name, exact.group(1) if exact else None, requirement, scope)


def package_lock(blob: bytes) -> Iterator[Dependency]:
    """A package-lock.json or npm-shrinkwrap.json, versions 1 to 3."""
    document = json_object(blob)
    if "packages" in document:
        yield from _lock_packages(mapping(document["packages"], "packages"))
        return
    waiting = [mapping(document.get("dependencies"), "dependencies")]
    while waiting:
        for name, entry in waiting.pop().items():
            entry = mapping(entry, name)
            version = string(entry.get("version"))
            exact = version if _EXACT.fullmatch(version) else None
            yield dependency("npm", name, exact, "" if exact else version, _scope(entry), None)
            waiting.append(mapping(entry.get("dependencies"), name))


def _lock_packages(packages: dict[str, Any]) -> Iterator[Dependency]:
    """The flat list of versions 2 and 3; a key outside node_modules is one of the project's own packages."""
    direct: dict[str, str] = {}
    for path, entry in packages.items():
        if "node_modules/" not in path:
            for key in _SCOPES:
                asked = mapping(mapping(entry, path).get(key), key)
                direct |= {name: string(wanted) for name, wanted in asked.items()}
    for path, value in packages.items():
        entry = mapping(value, path)
        installed = path.rpartition("node_modules/")[2]
        if "node_modules/" not in path or entry.get("link"):
            continue
        top = path == f"node_modules/{installed}"
        wanted = direct.get(installed) if top else None
        name = string(entry.get("name")) or installed
        version = string(entry.get("version"))
        yield dependency("npm", name, version, wanted or "", _scope(entry), wanted is not None)


def _scope(entry: dict[str, Any]) -> str:
    if entry.get("dev") or entry.get("devOptional"):
        return "dev"
    return "optional" if entry.get("optional") else "peer" if entry.get("peer") else "runtime"


def yarn_lock(blob: bytes) -> Iterator[Dependency]:
    """A yarn.lock, classic or Berry; it does not say which packages are direct.

    Both are blocks: a line of comma-separated `name@range` up to a colon, then indented fields.
    """
    specs: list[str] = []
    blocks = 0
    for line in text(blob).splitlines():
        if line and not line[0].isspace() and line[0] != "#":
            header = line.rstrip().removesuffix(":").split(",")
            specs = [spec.strip().strip('"') for spec in header]
            blocks += line.rstrip().endswith(":")
        elif specs and (match := re.match(r"  version:? \"?([^\"\s]+)\"?\s*$", line)):
            if named := _yarn(specs, match.group(1)):
                yield named
            specs = []
    if not blocks and text(blob).strip(" \n\r#"):
        body = [line for line in text(blob).splitlines() if line.strip() and not line.startswith("#")]
        if body:
            raise ManifestError("not a yarn.lock")


def _yarn(specs: list[str], version: str) -> Dependency | None:
    name, _, requirement = specs[0][1:].partition("@")
    name = specs[0][:1] + name
    if not requirement or requirement.startswith(_OURS):
        return None
    ranges = [spec[len(name) + 1 :].removeprefix("npm:") for spec in specs]
    if alias := _ALIAS.fullmatch(requirement):
        name = alias.group(1) if alias.group(2) else name
    return dependency("npm", name, version, " || ".join(ranges), direct=None)


def pnpm_lock(blob: bytes) -> Iterator[Dependency]:
    """A pnpm-lock.yaml, lock file versions 5 to 9."""
    document = yaml_object(blob)
    importers = mapping(document.get("importers"), "importers") or {".": document}
    direct: dict[str, tuple[str, str]] = {}
    for importer in importers.values():
        importer = mapping(importer, "importer")
        specifiers = mapping(importer.get("specifiers"), "specifiers")
        for key, scope in _SCOPES.items():
            for name, value in mapping(importer.get(key), key).items():
                table = value if isinstance(value, dict) else {"version": value}
                specifier = string(table.get("specifier") or specifiers.get(name))
                direct.setdefault(f"{name}@{_bare(string(table.get('version')))}", (specifier, scope))
    for key, entry in mapping(document.get("packages"), "packages").items():
        name, version = _pnpm_key(str(key))
        specifier, scope = direct.get(f"{name}@{version}", ("", ""))
        scope = scope or _scope(mapping(entry, name))
        yield dependency("npm", name, version, specifier, scope, f"{name}@{version}" in direct)


def _bare(version: str) -> str:
    """A version without pnpm's peer suffix: `1.2.3(react@18)` or, before version 6, `1.2.3_react@18`."""
    return re.split(r"[(_]", version, maxsplit=1)[0]


def _pnpm_key(key: str) -> tuple[str, str]:
    """Name and version of `a@1`, `/a@1(b@2)` and `/a/1_b@2`, scoped or not."""
    path = key.removeprefix("/").partition("(")[0]
    name, at, version = path[1:].partition("@")
    if at and "/" not in version and not re.search(r"/\d", name):
        return path[:1] + name, version
    name, _, version = path.rpartition("/")
    return name or path, _bare(version)
