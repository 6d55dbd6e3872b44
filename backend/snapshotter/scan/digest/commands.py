"""How a repository is built, tested and linted: what its manifests declare, and what custom says of files it has.

Only commands are told, by the names that they are called by: what they run is the repository's, and may hold anything.
"""

from __future__ import annotations

import configparser
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Final, NamedTuple

from snapshotter.scan.dependencies.formats import json_object, mapping, text, toml
from snapshotter.scan.dependencies.record import ManifestError
from snapshotter.scan.facts import MAX_TEXT
from snapshotter.scan.ranking import is_test

_MOST: Final = 40  # commands of one file
# Names that tell what a command is for. Under any other name it may do anything: publish, deploy, delete.
_TELLING: Final = re.compile(
    r"(?:.*[:_./-])?(?:build|compile|dist|bundle|tests?|check|verify|ci|lint|format|fmt|style|types?|type-?check|mypy|e2e|unit|"
    r"integration|bench|coverage|dev|start|serve|run|install|setup|bootstrap)(?:[:_./-].*)?",
    re.I,
)
_TARGET: Final = re.compile(r"^([A-Za-z0-9][\w./-]*(?:[ \t]+[\w./-]+)*)[ \t]*::?(?![=:])", re.M)
_RECIPE: Final = re.compile(r"^@?([A-Za-z_][\w-]*)(?!\s*:=)(?:[ \t][^\n]*?)?:(?!=)", re.M)
_SESSION: Final = re.compile(r"^def[ \t]+(\w+)\(session\b", re.M)
_MANAGERS: Final = {
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
    "package-lock.json": "npm",
}
_TOOLS: Final = {
    "pytest": "pytest",
    "ruff": "ruff check",
    "mypy": "mypy",
    "black": "black --check .",
    "tox": "tox",
}
_SECTIONS: Final = {"tool:pytest": "pytest", "flake8": "flake8", "mypy": "mypy"}
# By a file at the root; the first of each line that exists.
_CUSTOMS: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    (("Cargo.toml",), ("cargo build", "cargo test", "cargo clippy")),
    (("go.mod",), ("go build ./...", "go test ./...", "go vet ./...")),
    (("mvnw",), ("./mvnw verify",)),
    (("gradlew",), ("./gradlew build",)),
    (("CMakeLists.txt",), ("cmake -B build", "cmake --build build", "ctest --test-dir build")),
    (("meson.build",), ("meson setup build", "meson test -C build")),
    (("mix.exs",), ("mix compile", "mix test")),
    (("Package.swift",), ("swift build", "swift test")),
    (("build.sbt",), ("sbt compile", "sbt test")),
    (("Rakefile",), ("rake",)),
    (("pytest.ini",), ("pytest",)),
    ((".golangci.yml", ".golangci.yaml", ".golangci.toml"), ("golangci-lint run",)),
    ((".pre-commit-config.yaml",), ("pre-commit run --all-files",)),
)
# The wrapper in a tree fetches the release that the project is built with: the plain tool is named only without one.
_WITHOUT: Final = {"pom.xml": ("mvnw", "mvn verify"), "build.gradle": ("gradlew", "gradle build")}


class Commands(NamedTuple):
    """The commands that one file declares, or that custom has for a file of its name."""

    path: str
    commands: list[str]
    by_custom: bool


def commands(texts: Mapping[str, bytes], paths: Set[str]) -> list[Commands]:
    """The commands of a tree of `paths`, of which `texts` holds those that may declare some; nearest to the root
    first, and those of tests and examples last. A file that cannot be read has none."""
    declared = []
    for path in sorted(texts, key=lambda path: (is_test(path), path.count("/"), path)):
        reader = _READERS.get(posixpath.basename(path))
        if reader is not None:
            try:
                named = list(dict.fromkeys(reader(texts[path][:MAX_TEXT], path, paths)))
            except ManifestError:
                continue  # recorded as the file's parse error
            declared.append(Commands(path, named[:_MOST], False))
    usual = [
        Commands(path, list(by_custom), True)
        for names, by_custom in _CUSTOMS
        for path in [name for name in names if name in paths][:1]
    ]
    usual += [
        Commands(path, [by_custom], True)
        for path, (wrapper, by_custom) in _WITHOUT.items()
        if path in paths and wrapper not in paths
    ]
    return [one for one in declared + usual if one.commands]


def _package_json(blob: bytes, path: str, paths: Set[str]) -> Iterator[str]:
    manager = _manager(posixpath.dirname(path), paths)
    for name in mapping(json_object(blob).get("scripts"), "scripts"):
        if _TELLING.fullmatch(name):
            yield f"{manager} run {name}"


def _manager(folder: str, paths: Set[str]) -> str:
    """The package manager whose lock file is nearest."""
    while True:
        for name, manager in _MANAGERS.items():
            if posixpath.join(folder, name) in paths:
                return manager
        if not folder:
            return "npm"
        folder = posixpath.dirname(folder)


def _makefile(blob: bytes, _path: str, _paths: Set[str]) -> Iterator[str]:
    for target in _TARGET.finditer(text(blob)):
        yield from (f"make {name}" for name in target.group(1).split() if _TELLING.fullmatch(name))


def _justfile(blob: bytes, _path: str, _paths: Set[str]) -> Iterator[str]:
    yield from (
        f"just {one.group(1)}" for one in _RECIPE.finditer(text(blob)) if _TELLING.fullmatch(one.group(1))
    )


def _tox(blob: bytes, _path: str, _paths: Set[str]) -> Iterator[str]:
    yield "tox"
    for section in _ini(blob):
        if section.startswith("testenv:"):
            yield f"tox -e {section.removeprefix('testenv:')}"
    yield from (command for section, command in _SECTIONS.items() if section in _ini(blob))


def _nox(blob: bytes, _path: str, _paths: Set[str]) -> Iterator[str]:
    yield from (f"nox -s {one.group(1)}" for one in _SESSION.finditer(text(blob)))


def _setup_cfg(blob: bytes, _path: str, _paths: Set[str]) -> Iterator[str]:
    yield from (command for section, command in _SECTIONS.items() if section in _ini(blob))


def _ini(blob: bytes) -> list[str]:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text(blob))
    except configparser.Error as error:
        raise ManifestError("not an ini file") from error
    return parser.sections()


def _pyproject(blob: bytes, _path: str, _paths: Set[str]) -> Iterator[str]:
    document = toml(blob)
    tool = mapping(document.get("tool"), "tool")
    if "build-system" in document:
        yield "python -m build"
    yield from (command for name, command in _TOOLS.items() if name in tool)
    for runner, table in (("pdm", "scripts"), ("poe", "tasks"), ("task", "tasks")):
        scripts = mapping(tool.get("taskipy" if runner == "task" else runner), runner).get(table)
        words = "pdm run" if runner == "pdm" else runner
        yield from (f"{words} {name}" for name in mapping(scripts, table) if _TELLING.fullmatch(name))
    for name, env in mapping(mapping(tool.get("hatch"), "hatch").get("envs"), "envs").items():
        where = "" if name == "default" else f"{name}:"
        scripts = mapping(mapping(env, name).get("scripts"), "scripts")
        yield from (f"hatch run {where}{script}" for script in scripts if _TELLING.fullmatch(script))


def _composer(blob: bytes, _path: str, _paths: Set[str]) -> Iterator[str]:
    for name in mapping(json_object(blob).get("scripts"), "scripts"):
        if _TELLING.fullmatch(name):
            yield f"composer run {name}"


_READERS: Final[dict[str, Callable[[bytes, str, Set[str]], Iterator[str]]]] = {
    "package.json": _package_json,
    "Makefile": _makefile,
    "makefile": _makefile,
    "GNUmakefile": _makefile,
    "justfile": _justfile,
    "Justfile": _justfile,
    ".justfile": _justfile,
    "tox.ini": _tox,
    "noxfile.py": _nox,
    "setup.cfg": _setup_cfg,
    "pyproject.toml": _pyproject,
    "composer.json": _composer,
}
