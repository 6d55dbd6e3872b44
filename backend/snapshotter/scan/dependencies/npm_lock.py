"""npm: package-lock.json and npm-shrinkwrap.json."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from snapshotter.scan.dependencies.formats import json_object, mapping, string
from snapshotter.scan.dependencies.npm import ALIAS, EXACT, SCOPES, is_elsewhere
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency


def package_lock(blob: bytes) -> Iterator[Dependency]:
    """A package-lock.json or npm-shrinkwrap.json, versions 1 to 3. Version 1 does not tell which packages are
    direct."""
    document = json_object(blob)
    if "packages" in document:
        yield from _lock_packages(mapping(document["packages"], "packages"))
        return
    waiting = [mapping(document.get("dependencies"), "dependencies")]
    while waiting:
        for name, value in waiting.pop().items():
            entry = mapping(value, name)
            waiting.append(mapping(entry.get("dependencies"), name))
            written = string(entry.get("version"))
            alias = ALIAS.fullmatch(written)
            name = alias.group(1) if alias else name
            exact = EXACT.fullmatch((alias.group(2) or "") if alias else written)
            if exact:
                yield dependency(NamedPackage("npm", name, exact.group(1)), None, lock_scope(entry), None)
            elif not _is_folder(written):
                yield dependency(NamedPackage("npm", name, registry=False), written, lock_scope(entry), None)


def _is_folder(written: str) -> bool:
    """Whether it is a folder of this repository, and so a package of the project's own."""
    return written.startswith(("file:", "link:")) and not written.endswith((".tgz", ".tar.gz"))


def _lock_packages(packages: dict[str, Any]) -> Iterator[Dependency]:
    """The flat list of versions 2 and 3; a key outside node_modules is one of the project's own packages."""
    asked: dict[str, dict[str, str]] = {}  # by the own package's folder
    for path, entry in packages.items():
        if "node_modules/" not in path:
            held = [mapping(mapping(entry, path).get(key), key) for key in SCOPES]
            asked[path] = {name: string(wanted) for one in held for name, wanted in one.items()}
    # Backwards, so that the root's own requirement, which stands first, holds where packages disagree.
    anywhere = {name: wanted for one in reversed(list(asked.values())) for name, wanted in one.items()}
    for path, value in packages.items():
        entry = mapping(value, path)
        holder, _, installed = path.rpartition("node_modules/")
        if "node_modules/" not in path or entry.get("link"):
            continue
        wanted = (asked.get(holder.rstrip("/"), {}) if holder else anywhere).get(installed)
        resolved = string(entry.get("resolved"))
        elsewhere = resolved.startswith(("git", "file:")) or is_elsewhere(wanted or "")
        yield dependency(
            NamedPackage(
                "npm",
                string(entry.get("name")) or installed,
                string(entry.get("version")),
                registry=not elsewhere,
            ),
            wanted,
            lock_scope(entry),
            wanted is not None,
        )


def lock_scope(entry: dict[str, Any]) -> str:
    """When a locked package is needed, by its marks."""
    if entry.get("dev") or entry.get("devOptional"):
        return "dev"
    return "optional" if entry.get("optional") else "peer" if entry.get("peer") else "runtime"
