"""Python's lock files: uv.lock, poetry.lock and Pipfile.lock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from packaging.utils import canonicalize_name

from snapshotter.scan.dependencies.formats import json_object, mapping, string, strings, tables, toml
from snapshotter.scan.dependencies.record import Dependency, NamedPackage, dependency

# Sources of the packages that lie in the repository itself.
_OWN: Final = frozenset({"editable", "virtual", "directory"})
_REGISTRIES: Final = ("", "legacy", "pypi")  # of poetry.lock; the legacy one is any other index


def poetry_lock(blob: bytes) -> Iterator[Dependency]:
    """A poetry.lock or pdm.lock without the project's own folders; it does not say which packages are direct, nor, as
    Poetry 1.5 to 1.8 wrote it, when they are needed."""
    for package in tables(toml(blob).get("package")):
        source = string(mapping(package.get("source"), "source").get("type"))
        if source == "directory" or package.get("editable") is True:
            continue
        groups = [*strings(package.get("groups")), string(package.get("category"))]
        scope = "runtime" if {"main", "default"} & set(groups) else groups[0]
        if scope == "runtime" and package.get("optional") is True:
            scope = "optional"  # as the project's pyproject.toml has it
        name, version = canonicalize_name(string(package.get("name"))), string(package.get("version"))
        registry = source in _REGISTRIES and not {"git", "url", "path"} & package.keys()
        yield dependency(NamedPackage("pypi", name, version, registry=registry), scope=scope, direct=None)


def pipfile_lock(blob: bytes) -> Iterator[Dependency]:
    """A Pipfile.lock; it does not say which packages are direct."""
    scopes = {"default": "runtime", "develop": "dev"}
    for key, section in json_object(blob).items():
        for name, value in mapping(section, key).items() if key != "_meta" else ():
            entry = mapping(value, name)
            written = next(
                (string(entry[one]) for one in ("version", "git", "file", "path") if one in entry), ""
            )
            version = written.removeprefix("==") if written.startswith("==") else None
            yield dependency(
                NamedPackage(
                    "pypi",
                    canonicalize_name(name),
                    version,
                    registry=not {"git", "file", "path"} & entry.keys(),
                ),
                None if version else written,
                scopes.get(key, key),
                None,
            )


def uv_lock(blob: bytes) -> Iterator[Dependency]:
    """A uv.lock without the project's own packages.

    A package that only a group needs has the group for its scope, one that only an extra needs the extra; one that
    nothing of the project needs has none.
    """
    document = toml(blob)
    packages = list(tables(document.get("package")))
    own = [one for one in packages if _OWN & mapping(one.get("source"), "source").keys()]
    groups = mapping(mapping(document.get("manifest"), "manifest").get("dependency-groups"), "groups")
    needs: dict[str, list[str]] = {}
    for one in packages:
        name = string(one.get("name"))
        needs.setdefault(name, []).extend(_nodes(one.get("dependencies")))
        for extra, entries in mapping(one.get("optional-dependencies"), "extras").items():
            # A node for each extra: who asks for one needs the package itself too.
            needs.setdefault(f"{name}[{extra}]", []).extend([name, *_nodes(entries)])
    asked: dict[str, list[str]] = {"runtime": []}
    for one in own:
        asked["runtime"] += _nodes(one.get("dependencies"))
        for key in ("optional-dependencies", "dev-dependencies"):
            for scope, entries in mapping(one.get(key), key).items():
                asked.setdefault(scope, []).extend(_nodes(entries))
    for scope, entries in groups.items():  # of a workspace whose root is no package
        asked.setdefault(scope, []).extend(_nodes(entries))
    scopes = _reach(asked, needs)
    direct = {name.partition("[")[0] for names in asked.values() for name in names}
    own_names = {string(one.get("name")) for one in own}
    for one in packages:
        name, version = string(one.get("name")), string(one.get("version"))
        if name not in own_names:
            is_direct = name in direct if own or groups else None
            registry = "registry" in mapping(one.get("source"), "source") or "source" not in one
            yield dependency(
                NamedPackage("pypi", name, version, registry=registry), None, scopes.get(name), is_direct
            )


def _nodes(entries: Any) -> list[str]:
    """The packages that a list names, and each of their extras that it asks for as ``name[extra]``."""
    nodes = []
    for entry in tables(entries):
        name = string(entry.get("name"))
        extras = [*strings(entry.get("extra")), *strings(entry.get("extras"))]
        nodes += [name, *(f"{name}[{extra}]" for extra in extras)]
    return nodes


def _reach(asked: dict[str, list[str]], needs: dict[str, list[str]]) -> dict[str, str]:
    """The first scope, runtime before others, from which each package is reached."""
    scopes: dict[str, str] = {}
    for scope, names in asked.items():
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in scopes:
                scopes[name] = scope
                waiting += needs.get(name, [])
    return scopes
