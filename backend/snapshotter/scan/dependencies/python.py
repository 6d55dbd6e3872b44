"""Python: pip requirements (PEP 508), pyproject (PEP 621, 735, Poetry, uv), uv.lock and poetry.lock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from snapshotter.scan.dependencies.formats import mapping, string, strings, tables, text, toml
from snapshotter.scan.dependencies.record import Dependency, ManifestError, dependency

_NAME: Final = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*")
_EGG: Final = re.compile(r"[#&]egg=([A-Za-z0-9][\w.-]*)")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_OPTIONS: Final = re.compile(r"\s--?[a-z-]+[= ].*")
# Poetry takes a bare version for itself.
_PINNED: Final = re.compile(r"=*\s*(\d[\w.!+-]*)")
_MAX_LINE: Final = 10_000


def requirements(blob: bytes) -> Iterator[Dependency]:
    """A pip requirements file. Lines that are options, or no requirement, are passed over."""
    refused = read = 0
    for raw in text(blob).replace("\\\n", " ").splitlines():
        line = _COMMENT.sub("", raw[:_MAX_LINE]).strip()
        if egg := _EGG.search(line):
            source = re.sub(r"^(?:-e|--editable)[= ]\s*", "", line)
            yield dependency("pypi", canonicalize_name(egg.group(1)), None, source)
            read += 1
        elif line and not line.startswith("-"):
            row = _pep508(_OPTIONS.sub("", line), "runtime")
            read, refused = (read + 1, refused) if row else (read, refused + 1)
            if row:
                yield row
    if refused and not read:
        raise ManifestError("no line of it is a requirement")


def pyproject(blob: bytes) -> Iterator[Dependency]:
    """A pyproject.toml; extras and groups are scopes by their own names, the build system's is `build`."""
    document = toml(blob)
    project = mapping(document.get("project"), "project")
    lists = {"build": mapping(document.get("build-system"), "build-system").get("requires")}
    lists |= mapping(project.get("optional-dependencies"), "optional-dependencies")
    lists |= mapping(document.get("dependency-groups"), "dependency-groups")
    tool = mapping(document.get("tool"), "tool")
    lists["dev"] = [
        *strings(lists.get("dev")),
        *strings(mapping(tool.get("uv"), "tool.uv").get("dev-dependencies")),
    ]
    yield from _all(project.get("dependencies"), "runtime")
    for scope, entries in lists.items():
        yield from _all(entries, scope)
    yield from _poetry(mapping(tool.get("poetry"), "tool.poetry"))


def _all(entries: Any, scope: str) -> Iterator[Dependency]:
    for entry in strings(entries):
        if row := _pep508(entry, scope):
            yield row


def _pep508(line: str, scope: str) -> Dependency | None:
    """The row of one PEP 508 requirement; None for a line that is none."""
    try:
        parsed = Requirement(line)
    except (InvalidRequirement, RecursionError):
        return None
    written = _NAME.sub("", line, count=1)
    pins = [
        one.version for one in parsed.specifier if one.operator in ("==", "===") and "*" not in one.version
    ]
    return dependency("pypi", canonicalize_name(parsed.name), pins[0] if pins else None, written, scope)


def _poetry(tool: dict[str, Any]) -> Iterator[Dependency]:
    sections = {"runtime": tool.get("dependencies"), "dev": tool.get("dev-dependencies")}
    for group, content in mapping(tool.get("group"), "tool.poetry.group").items():
        sections[group] = mapping(content, f"group {group}").get("dependencies")
    for scope, section in sections.items():
        for name, value in mapping(section, f"dependencies of {scope}").items():
            if name.lower() == "python":
                continue
            for one in value if isinstance(value, list) else [value]:
                written = one if isinstance(one, str) else _source(one)
                pinned = _PINNED.fullmatch(written.strip())
                yield dependency(
                    "pypi", canonicalize_name(name), pinned.group(1) if pinned else None, written, scope
                )


def _source(table: Any) -> str:
    """The constraint of a Poetry table: its version, or where it comes from."""
    table = table if isinstance(table, dict) else {}
    return next((string(table[key]) for key in ("version", "git", "url", "path") if key in table), "")


def poetry_lock(blob: bytes) -> Iterator[Dependency]:
    """A poetry.lock; it does not say which packages are direct."""
    for package in tables(toml(blob).get("package")):
        groups = [*strings(package.get("groups")), string(package.get("category"))]
        scope = "runtime" if "main" in groups or not any(groups) else groups[0]
        name, version = canonicalize_name(string(package.get("name"))), string(package.get("version"))
        yield dependency("pypi", name, version, scope=scope, direct=None)


def uv_lock(blob: bytes) -> Iterator[Dependency]:
    """A uv.lock without the project's own packages.

    A package that only a group needs has the group for its scope, one that only an extra needs the extra.
    """
    packages = list(tables(toml(blob).get("package")))
    own = [one for one in packages if _LOCAL & mapping(one.get("source"), "source").keys()]
    needs: dict[str, list[str]] = {}
    for one in packages:
        needs.setdefault(string(one.get("name")), []).extend(_names(one.get("dependencies")))
    asked: dict[str, list[str]] = {"runtime": []}
    for one in own:
        asked["runtime"] += _names(one.get("dependencies"))
        for key in ("optional-dependencies", "dev-dependencies"):
            for scope, entries in mapping(one.get(key), key).items():
                asked.setdefault(scope, []).extend(_names(entries))
    scopes = _reach(asked, needs)
    direct = {name for names in asked.values() for name in names}
    own_names = {string(one.get("name")) for one in own}
    for one in packages:
        name, version = string(one.get("name")), string(one.get("version"))
        if name not in own_names:
            is_direct = name in direct if own else None
            yield dependency("pypi", name, version, "", scopes.get(name, "runtime"), is_direct)


# Sources of the packages that lie in the repository itself.
_LOCAL: Final = frozenset({"editable", "virtual", "directory"})


def _names(entries: Any) -> list[str]:
    return [string(entry.get("name")) for entry in tables(entries)]


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
