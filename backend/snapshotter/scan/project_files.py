"""The files of a tree that say where its imports lead: go.mod, Cargo.toml, tsconfig.json, package.json, workspaces.

One that does not read says nothing.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any, Final

from snapshotter.scan.dependencies import ManifestError, module_path
from snapshotter.scan.dependencies.formats import json_object, string, strings, text, toml, yaml_object
from snapshotter.scan.symbols.projects import Mapped, Projects, ScriptConfig, ScriptPackage

_CONFIG: Final = re.compile(r"[\w.-]*(?:ts|js)config[\w.-]*\.json")
_NAMES: Final = frozenset({"go.mod", "Cargo.toml", "package.json", "pnpm-workspace.yaml", "lerna.json"})
_LARGEST: Final = 1 << 20  # bytes; larger ones say nothing
_MOST: Final = 1_000  # entries of one list or table
_DEEPEST: Final = 8  # conditions in conditions
_ENTRIES: Final = ("source", "types", "typings", "module", "main", "browser")
_COMMENT: Final = re.compile(r'("(?:\\.|[^"\\])*+"?)|//[^\n]*|/\*.*?(?:\*/|\Z)', re.S)
_COMMA: Final = re.compile(r'("(?:\\.|[^"\\])*+"?)|,(?=\s*[}\]])', re.S)
_LINK: Final = re.compile(r"(?:file|link|portal):(?!.*\.t(?:ar\.)?gz$)(.+)")


def is_project_file(path: str) -> bool:
    """Whether a file of this path may say where imports lead."""
    name = posixpath.basename(path)
    return name in _NAMES or (_CONFIG.fullmatch(name) is not None and "node_modules/" not in path)


def read_project_file(projects: Projects, path: str, blob: bytes) -> None:
    """Take what one file says into `projects`."""
    folder, name = posixpath.split(path)
    if len(blob) > _LARGEST:
        return
    try:
        if name == "go.mod":
            if module := module_path(blob):
                projects.go_modules[folder] = module
        elif name == "Cargo.toml":
            _crate(projects, folder, toml(blob))
        elif name == "package.json":
            _package(projects, path, json_object(blob))
        elif name == "pnpm-workspace.yaml":
            projects.workspaces[path] = _listed(yaml_object(blob).get("packages"))
        elif name == "lerna.json":
            projects.workspaces[path] = _listed(json_object(blob).get("packages"))
        else:
            projects.configs[path] = _config(_with_comments(blob))
    except ManifestError:
        return


def _crate(projects: Projects, folder: str, document: dict[str, Any]) -> None:
    library = _table(document.get("lib"))
    name = string(library.get("name")) or string(_table(document.get("package")).get("name"))
    path = posixpath.normpath(posixpath.join(folder, string(library.get("path")) or "src/lib.rs"))
    if name:
        projects.crates[folder] = name.replace("-", "_"), path


def _with_comments(blob: bytes) -> dict[str, Any]:
    """A JSON document with comments and commas at ends, as TypeScript reads it."""
    bare = _COMMENT.sub(lambda match: match[1] or " ", text(blob))
    return json_object(_COMMA.sub(lambda match: match[1] or "", bare).encode())


def _config(document: dict[str, Any]) -> ScriptConfig:
    options = _table(document.get("compilerOptions"))
    extends = document.get("extends")
    references = document.get("references")
    paths = Mapped({key: _listed(value) for key, value in _table(options.get("paths")).items()})
    return ScriptConfig(
        (extends,) if isinstance(extends, str) else _listed(extends),
        _listed([_table(one).get("path") for one in references] if isinstance(references, list) else None),
        string(options.get("baseUrl")) or None,
        paths if "paths" in options else None,
    )


def _package(projects: Projects, path: str, document: dict[str, Any]) -> None:
    workspaces = document.get("workspaces")
    projects.workspaces[path] = _listed(
        workspaces.get("packages") if isinstance(workspaces, dict) else workspaces
    )
    exports = document.get("exports")
    by_path = isinstance(exports, dict) and any(str(key).startswith(".") for key in exports)
    wanted = [
        (name, link[1])
        for scope in ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
        for name, value in _table(document.get(scope)).items()
        if (link := _LINK.fullmatch(string(value)))
    ]
    projects.packages[posixpath.dirname(path)] = ScriptPackage(
        string(document.get("name")),
        tuple(entry for key in _ENTRIES if (entry := string(document.get(key)))),
        _mapped(exports if by_path else {".": exports}),
        _mapped(document.get("imports")),
        dict(wanted),
    )


def _mapped(value: Any) -> Mapped:
    return Mapped({key: tuple(_targets(one)) for key, one in _table(value).items()})


def _targets(value: Any, depth: int = 0) -> Iterator[str]:
    """The files that an entry of `exports` or `imports` may mean, whatever the condition."""
    if isinstance(value, str):
        yield value
    elif depth < _DEEPEST:
        inner = value if isinstance(value, list) else [*_table(value).values()]
        for one in inner[:_DEEPEST]:
            yield from _targets(one, depth + 1)


def _table(value: Any) -> dict[str, Any]:
    return dict([*value.items()][:_MOST]) if isinstance(value, dict) else {}


def _listed(value: Any) -> tuple[str, ...]:
    return tuple(strings(value))[:_MOST]
