"""Python: pyproject.toml (PEP 621, 735, Poetry, uv, PDM), setup.cfg and Pipfile."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from itertools import islice
from typing import Any, Final, NamedTuple

from packaging.utils import canonicalize_name

from snapshotter.scan.dependencies import pep508
from snapshotter.scan.dependencies.formats import mapping, string, strings, text, toml
from snapshotter.scan.dependencies.record import (
    MAX_ROWS,
    Dependency,
    ManifestError,
    NamedPackage,
    PartlyRead,
    dependency,
)
from snapshotter.scan.dependencies.requirements import NAMED

# Poetry takes a bare version for itself.
_PINNED: Final = re.compile(r"=*\s*(\d[\w.!+-]*)")
_ELSEWHERE: Final = ("git", "url", "path", "file", "workspace")


class _Pyproject(NamedTuple):
    """A pyproject.toml: its rows, what else it says that there are, its sources of uv (True for what is no registry),
    and whether it is the root of a workspace."""

    rows: list[Dependency]
    unread: str
    sources: dict[str, bool]
    is_root: bool


class Pyprojects:
    """The pyproject.toml files of a tree; extras and groups are scopes by their own names, the build system's is
    `build`. An extra that names the project itself, to take in another extra, is no dependency. The sources of a
    workspace's root hold for its members too."""

    def __init__(self) -> None:
        self._projects: dict[str, _Pyproject] = {}

    def add(self, path: str, blob: bytes) -> None:
        """Read one."""
        document = toml(blob)
        uv = mapping(mapping(document.get("tool"), "tool").get("uv"), "tool.uv")
        sources = mapping(uv.get("sources"), "tool.uv.sources")
        self._projects[path] = _Pyproject(
            # One more than is allowed: whoever counts them later sees that there are too many.
            list(islice(_rows(document, uv), MAX_ROWS + 1)),
            _unread(mapping(document.get("tool"), "tool")),
            {canonicalize_name(name): _is_elsewhere(source) for name, source in sources.items()},
            "workspace" in uv,
        )

    def forget(self, path: str) -> None:
        """Let go of one."""
        del self._projects[path]

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one."""
        own = self._projects[path]
        sources = self._root_sources(path) | own.sources
        for row in own.rows:
            yield row._replace(purl=None) if sources.get(row.name) else row
        if own.unread:
            raise PartlyRead(own.unread)

    def lenders(self, path: str) -> set[str]:
        """No paths: the root's sources only take a package URL away, and no text of it is quoted."""
        return set()

    def taken_in(self) -> tuple[str, ...]:
        """No paths: only a file of this name is a pyproject.toml."""
        return ()

    def _root_sources(self, path: str) -> dict[str, bool]:
        folder = posixpath.dirname(path)
        while folder:
            folder = posixpath.dirname(folder)
            root = self._projects.get(posixpath.join(folder, "pyproject.toml"))
            if root is not None and root.is_root:
                return root.sources
        return {}


def _unread(tool: dict[str, Any]) -> str:
    """Where the project has dependencies that are not read here; empty if nowhere."""
    dynamic = mapping(mapping(tool.get("setuptools"), "tool.setuptools").get("dynamic"), "dynamic")
    extras = mapping(dynamic.get("optional-dependencies"), "optional-dependencies")
    tables = [one for one in (dynamic.get("dependencies"), *extras.values()) if isinstance(one, dict)]
    files = [[one["file"]] if isinstance(one.get("file"), str) else one.get("file") for one in tables]
    told = _told_elsewhere(file for some in files for file in strings(some))
    return told or ("the dependencies of tool.pixi are not read" if "pixi" in tool else "")


def _told_elsewhere(files: Iterable[str]) -> str:
    """That dependencies stand in these files; empty if all of them are requirements by their names, and so are read."""
    unread = next((file for file in files if file and not NAMED.fullmatch(file)), None)
    return f"dependencies stand in {unread[:100]}, which is not read" if unread else ""


def _rows(document: dict[str, Any], uv: dict[str, Any]) -> Iterator[Dependency]:
    project = mapping(document.get("project"), "project")
    tool = mapping(document.get("tool"), "tool")
    own = canonicalize_name(string(project.get("name")))
    poetry = list(islice(_poetry(mapping(tool.get("poetry"), "tool.poetry")), MAX_ROWS + 1))
    elsewhere = {row.name for row in poetry if row.purl is None}
    named: set[str] = {own}
    for scope, entries in _lists(document, project, tool, uv):
        for entry in strings(entries):
            row = pep508.read(entry, scope)
            if row is not None and row.name != own:
                named.add(row.name)
                row = row._replace(direct=False) if scope == "constraint" else row
                yield row._replace(purl=None) if row.name in elsewhere else row
    # Beside PEP 621, Poetry's table may only say where a package comes from.
    yield from (row for row in poetry if row.requirement is not None or row.name not in named)


def _lists(
    document: dict[str, Any], project: dict[str, Any], tool: dict[str, Any], uv: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Each list of requirements with its scope."""
    yield "runtime", project.get("dependencies")
    yield "build", mapping(document.get("build-system"), "build-system").get("requires")
    yield from mapping(project.get("optional-dependencies"), "optional-dependencies").items()
    yield from mapping(document.get("dependency-groups"), "dependency-groups").items()
    yield "dev", uv.get("dev-dependencies")
    for key in ("constraint-dependencies", "override-dependencies", "build-constraint-dependencies"):
        yield "constraint", uv.get(key)
    flit = mapping(mapping(tool.get("flit"), "tool.flit").get("metadata"), "tool.flit.metadata")
    yield "runtime", flit.get("requires")
    yield from mapping(flit.get("requires-extra"), "requires-extra").items()
    hatch = mapping(mapping(tool.get("hatch"), "tool.hatch").get("envs"), "tool.hatch.envs")
    for name, env in hatch.items():
        for key in ("dependencies", "extra-dependencies"):
            yield name, mapping(env, name).get(key)
    pdm = mapping(tool.get("pdm"), "tool.pdm")
    yield from mapping(pdm.get("dev-dependencies"), "tool.pdm.dev-dependencies").items()


def _is_elsewhere(source: Any) -> bool:
    """Whether a source, or each of several, is no registry."""
    several = source if isinstance(source, list) and source else [source]
    return all(isinstance(one, dict) and any(key in one for key in _ELSEWHERE) for one in several)


def _poetry(tool: dict[str, Any]) -> Iterator[Dependency]:
    sections = [("runtime", tool.get("dependencies")), ("dev", tool.get("dev-dependencies"))]
    for group, content in mapping(tool.get("group"), "tool.poetry.group").items():
        sections.append((group, mapping(content, f"group {group}").get("dependencies")))
    for scope, section in sections:
        for name, value in mapping(section, f"dependencies of {scope}").items():
            if name.lower() != "python":
                yield from _tables(name, value, scope)


def pipfile(blob: bytes) -> Iterator[Dependency]:
    """A Pipfile; categories are scopes by their own names."""
    sections = {"packages": "runtime", "dev-packages": "dev"}
    for key, section in toml(blob).items():
        if key not in ("source", "requires", "pipenv", "scripts"):
            for name, value in mapping(section, key).items():
                yield from _tables(name, value, sections.get(key, key))


def _tables(name: str, value: Any, scope: str) -> Iterator[Dependency]:
    """The rows of a package as Poetry and Pipenv spell it: a constraint, a table, or several of them."""
    for one in value if isinstance(value, list) else [value]:
        table = one if isinstance(one, dict) else {"version": one}
        written = next((string(table[key]) for key in ("version", *_ELSEWHERE) if key in table), "")
        pin = _PINNED.fullmatch(written.strip())
        yield dependency(
            NamedPackage(
                "pypi",
                canonicalize_name(name),
                pin.group(1) if pin else None,
                registry=not any(key in table for key in _ELSEWHERE),
            ),
            written,
            "optional" if table.get("optional") is True and scope == "runtime" else scope,
        )


def setup_cfg(blob: bytes) -> Iterator[Dependency]:
    """A setup.cfg as setuptools reads it; extras are scopes by their own names."""
    parser = ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text(blob))
    except (ConfigError, ValueError) as error:
        raise ManifestError(f"not INI: {' '.join(str(error).split())[:200]}") from error
    lists = [
        ("runtime", parser.get("options", "install_requires", fallback="")),
        ("build", parser.get("options", "setup_requires", fallback="")),
        ("test", parser.get("options", "tests_require", fallback="")),
    ]
    if parser.has_section("options.extras_require"):
        lists += parser.items("options.extras_require")
    own = canonicalize_name(parser.get("metadata", "name", fallback=""))
    for scope, lines in lists:
        for line in lines.splitlines():
            row = pep508.read(re.sub(r"(?:^|\s)#.*", "", line).strip(), scope)
            if row is not None and row.name != own:
                yield row
    files = (
        re.split(r"[,\s]+", lines.strip()[5:]) for _, lines in lists if lines.strip().startswith("file:")
    )
    if told := _told_elsewhere(file for some in files for file in some):
        raise PartlyRead(told)
