"""pnpm: pnpm-lock.yaml, lock file versions 5 to 9."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from snapshotter.scan.dependencies.formats import mapping, string, yaml_object
from snapshotter.scan.dependencies.npm import CATALOG, SCOPES, catalogs
from snapshotter.scan.dependencies.npm_lock import lock_scope
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

_NAME: Final = r"((?:@[^/@()]+/)?[^/@()]+)"
_KEYS: Final = (
    re.compile(rf"/?{_NAME}@(.+)"),  # versions 6 to 9: name@1.2.3, name@file:folder, name@https://…
    re.compile(rf"/{_NAME}/([^/]+)"),  # version 5: /name/1.2.3_peer@4
)
_VERSION: Final = re.compile(r"\d[^/:]*")
_ORDER: Final = ("runtime", "optional", "peer", "dev")


@dataclass(slots=True)
class _LockedPackage:
    """What all entries of one name and version say together."""

    name: str
    version: str | None
    registry: bool
    requirement: str = ""
    scopes: set[str] = field(default_factory=set)
    direct: bool = False


def pnpm_lock(blob: bytes) -> Iterator[Dependency]:
    """A pnpm-lock.yaml without folders of the repository itself. When a package is needed follows from the graph:
    `dev` is what only dev dependencies lead to."""
    document = yaml_object(blob)
    listed = mapping(document.get("packages"), "packages")
    graph = mapping(document.get("snapshots"), "snapshots") or listed
    asked = _asked(document, graph.keys() | listed.keys())
    scopes = _reach(asked, graph)
    direct = {key: requirement for _, wanted in reversed(asked) for key, requirement in wanted.items()}
    by_entry: dict[str, list[str]] = {}
    for key in graph:
        by_entry.setdefault(_entry_key(str(key)), []).append(str(key))
    together: dict[tuple[str, str | None], _LockedPackage] = {}
    for key, value in listed.items():
        entry = mapping(value, str(key))
        package = _package(str(key), entry)
        if package is None:
            continue
        package = together.setdefault((package.name, package.version), package)
        keys = {str(key), *by_entry.get(_entry_key(str(key)), ())}
        package.scopes |= {scopes[one] for one in keys if one in scopes} or _marked(entry)
        for one in sorted(keys & direct.keys()):
            package.direct, package.requirement = True, package.requirement or direct[one]
    for package in together.values():
        scope = next((one for one in _ORDER if one in package.scopes), None)
        yield dependency(
            NamedPackage("npm", package.name, package.version, registry=package.registry),
            package.requirement,
            scope,
            package.direct,
        )


def _asked(document: dict[str, Any], keys: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """What the project's own packages ask for: by scope, the entry's key and the requirement."""
    known = {str(key) for key in keys}
    importers = mapping(document.get("importers"), "importers") or {".": document}
    asked: list[tuple[str, dict[str, str]]] = []
    shared = catalogs(document)
    for section, scope in SCOPES.items():
        wanted: dict[str, str] = {}
        for value in importers.values():
            importer = mapping(value, "importer")
            specifiers = mapping(importer.get("specifiers"), "specifiers")
            for name, held in mapping(importer.get(section), section).items():
                table = held if isinstance(held, dict) else {"version": held}
                key = _key(str(name), string(table.get("version")), known)
                if key is not None:
                    written = string(table.get("specifier") or specifiers.get(name))
                    if written.startswith(CATALOG):
                        catalog = shared.get(written.removeprefix(CATALOG) or "default", {})
                        written = catalog.get(str(name), written)
                    wanted.setdefault(key, written)
        asked.append((scope, wanted))
    return asked


def _key(name: str, reference: str, known: set[str]) -> str | None:
    """The key of the entry that a reference means: a version of the name, or of another package by its whole key."""
    spelled = (
        f"{name}@{reference}",
        f"/{name}@{reference}",
        f"/{name}/{reference}",
        reference,
        f"/{reference}",
    )
    bare = _entry_key(reference)
    return next((one for one in (*spelled, f"{name}@{bare}", f"/{name}@{bare}", bare) if one in known), None)


def _reach(asked: list[tuple[str, dict[str, str]]], graph: dict[str, Any]) -> dict[str, str]:
    """The first scope, runtime before optional before others, from which each entry is reached."""
    keys = {str(key) for key in graph}
    scopes: dict[str, str] = {}
    for scope, waiting in _starts(asked):
        reached = list(waiting)
        optional: list[str] = []
        # An optional one waits until nothing else does: what is reached both ways is not optional.
        while reached or optional:
            key, now = (
                (reached.pop(), scope)
                if reached
                else (optional.pop(), "dev" if scope == "dev" else "optional")
            )
            if key in scopes:
                continue
            scopes[key] = now
            entry = mapping(graph.get(key), key)
            for section in ("dependencies", "optionalDependencies"):
                needs = mapping(entry.get(section), section).items()
                needed = [
                    one for name, ref in needs if (one := _key(str(name), string(ref), keys)) is not None
                ]
                (optional if section[0] == "o" or now == "optional" else reached).extend(needed)
    return scopes


def _starts(asked: list[tuple[str, dict[str, str]]]) -> Iterator[tuple[str, list[str]]]:
    held = {scope: list(wanted) for scope, wanted in asked}
    yield from ((scope, held.get(scope, [])) for scope in _ORDER)


def _marked(entry: dict[str, Any]) -> set[str]:
    """What versions before 9 write at each entry that is not reached otherwise."""
    return {lock_scope(entry)} if "dev" in entry or entry.get("optional") else set()


def _entry_key(key: str) -> str:
    """A key without its peers: `a@1` of `a@1(b@2)`."""
    return key.partition("(")[0]


def _package(key: str, entry: dict[str, Any]) -> _LockedPackage | None:
    """What a key and its entry name; None for a folder of the repository itself."""
    bare = _entry_key(key)
    match = next(filter(None, (one.fullmatch(bare) for one in _KEYS)), None)
    name = string(entry.get("name")) or (match.group(1) if match else bare)
    written = match.group(2) if match else ""
    resolution = mapping(entry.get("resolution"), key)
    if resolution.get("type") == "directory" or written.startswith("link:"):
        return None
    if _VERSION.fullmatch(written) and not resolution.get("type"):
        return _LockedPackage(name, re.split(r"_", written, maxsplit=1)[0], registry=True)
    return _LockedPackage(name, string(entry.get("version")) or None, registry=False)
