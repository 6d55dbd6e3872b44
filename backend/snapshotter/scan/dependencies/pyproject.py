"""Python: pyproject.toml (PEP 621, 735, Poetry, uv, PDM), setup.cfg and Pipfile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from typing import Any, Final

from packaging.utils import canonicalize_name

from snapshotter.scan.dependencies import pep508
from snapshotter.scan.dependencies.formats import mapping, string, strings, text, toml
from snapshotter.scan.dependencies.record import Dependency, ManifestError, dependency

# Poetry takes a bare version for itself.
_PINNED: Final = re.compile(r"=*\s*(\d[\w.!+-]*)")
_ELSEWHERE: Final = ("git", "url", "path", "file", "workspace")


def pyproject(blob: bytes) -> Iterator[Dependency]:
    """A pyproject.toml; extras and groups are scopes by their own names, the build system's is `build`. An extra that
    names the project itself, to take in another extra, is no dependency."""
    document = toml(blob)
    project = mapping(document.get("project"), "project")
    tool = mapping(document.get("tool"), "tool")
    uv = mapping(tool.get("uv"), "tool.uv")
    own = canonicalize_name(string(project.get("name")))
    sources = mapping(uv.get("sources"), "tool.uv.sources")
    elsewhere = {canonicalize_name(name) for name, source in sources.items() if _is_elsewhere(source)}
    for scope, entries in _lists(document, project, tool, uv):
        for entry in strings(entries):
            row = pep508.read(entry, scope)
            if row is not None and row.name != own:
                yield row._replace(purl=None) if row.name in elsewhere else row
    yield from _poetry(mapping(tool.get("poetry"), "tool.poetry"))


def _lists(
    document: dict[str, Any], project: dict[str, Any], tool: dict[str, Any], uv: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Each list of requirements with its scope."""
    yield "runtime", project.get("dependencies")
    yield "build", mapping(document.get("build-system"), "build-system").get("requires")
    yield from mapping(project.get("optional-dependencies"), "optional-dependencies").items()
    yield from mapping(document.get("dependency-groups"), "dependency-groups").items()
    yield "dev", uv.get("dev-dependencies")
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
            "pypi",
            canonicalize_name(name),
            pin.group(1) if pin else None,
            written,
            "optional" if table.get("optional") is True and scope == "runtime" else scope,
            registry=not any(key in table for key in _ELSEWHERE),
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
