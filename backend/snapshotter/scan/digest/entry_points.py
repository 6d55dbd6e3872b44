"""Where a program starts: by what manifests declare, and by names and paths that custom gives a meaning."""

from __future__ import annotations

import configparser
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from duckdb import DuckDBPyConnection

from snapshotter.scan.dependencies.formats import json_object, mapping, string, tables, text, toml
from snapshotter.scan.dependencies.record import ManifestError
from snapshotter.scan.facts import MAX_TEXT
from snapshotter.scan.ranking import is_test

_MOST: Final = 200  # of one manifest, and of the tables

_STARTS: Final = re.compile(r"(ENTRYPOINT|CMD)\s+(\S.*)", re.I)
# In Java and its like a `main` starts a program from within any class; elsewhere only from outside of all.
_MAINS: Final = """
    SELECT path, line, language, coalesce(signature, name) FROM symbols
    WHERE name IN ('main', 'Main') AND kind IN ('function', 'method')
      AND (language IN ('Go', 'Rust', 'C', 'C++', 'Kotlin', 'Swift', 'Scala', 'Java', 'C#'))
      AND (qualified_name = CASE language WHEN 'Go' THEN 'main.main' ELSE name END
        OR language IN ('Java', 'C#', 'Scala', 'Kotlin'))
    ORDER BY path, line"""
_PATHS: Final = """
    SELECT path, regexp_matches(path, '(^|/)__main__\\.py$') AS module FROM files
    WHERE kind = 'file' AND skip_reason IS NULL
      AND (module OR regexp_matches(path, '(^|/)(manage|wsgi|asgi)\\.py$')
        OR (mode = '100755' AND regexp_matches(path, '^(bin|scripts?|cmd)/[^/]+$')))
    ORDER BY module DESC, length(path) - length(replace(path, '/', '')), path"""


class EntryPoint(NamedTuple):
    """One entry point: where it is written, its sort, its name, and what it runs if that is written too."""

    path: str
    line: int | None
    sort: str
    name: str
    runs: str | None = None


def entry_points(tables: DuckDBPyConnection, texts: Mapping[str, bytes]) -> list[EntryPoint]:
    """The entry points, declared ones first, nearest to the root first; those of tests and examples last.

    A manifest that cannot be read gives none; the `files` table has its parse error.
    """
    entries: list[EntryPoint] = []
    for path in sorted(texts, key=lambda path: (path.count("/"), path)):
        try:
            entries += _declared(path, texts[path][:MAX_TEXT])
        except ManifestError:
            continue  # recorded as the file's parse error by the dependencies' scan of the same blob
    mains = tables.execute(f"{_MAINS} LIMIT {_MOST}").fetchall()
    entries += [EntryPoint(path, line, f"{language} program", sign) for path, line, language, sign in mains]
    for path, module in tables.execute(f"{_PATHS} LIMIT {_MOST}").fetchall():
        name = posixpath.basename(posixpath.dirname(path)) if module else posixpath.basename(path)
        entries.append(EntryPoint(path, None, "Python package that runs" if module else "script", name))
    return sorted(entries, key=lambda one: is_test(one.path))


def _declared(path: str, blob: bytes) -> list[EntryPoint]:
    name = posixpath.basename(path)
    reader = _READERS.get(name, _dockerfile)
    return [
        EntryPoint(path, None, sort, key, string(runs) or None)
        for _, (sort, key, runs) in zip(range(_MOST), reader(blob), strict=False)
    ]


def _pyproject(blob: bytes) -> Iterator[tuple[str, str, Any]]:
    document = toml(blob)
    project = mapping(document.get("project"), "project")
    poetry = mapping(mapping(document.get("tool"), "tool").get("poetry"), "tool.poetry")
    for table, sort in ((project, "console script"), (poetry, "console script")):
        for name, runs in mapping(table.get("scripts"), "scripts").items():
            yield sort, name, runs
    for name, runs in mapping(project.get("gui-scripts"), "gui-scripts").items():
        yield "window program", name, runs


def _setup_cfg(blob: bytes) -> Iterator[tuple[str, str, Any]]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text(blob))
        scripts = parser.get("options.entry_points", "console_scripts", fallback="")
    except configparser.Error as error:
        raise ManifestError("not an ini file") from error
    for line in scripts.splitlines():
        name, equals, runs = line.partition("=")
        if equals:
            yield "console script", name.strip(), runs.strip()


def _package_json(blob: bytes) -> Iterator[tuple[str, str, Any]]:
    document = json_object(blob)
    name = string(document.get("name"))
    commands = document.get("bin")
    if isinstance(commands, str):
        yield "command", name, commands
    elif isinstance(commands, dict):
        for command, runs in commands.items():
            yield "command", command, runs
    for key in ("main", "module", "browser"):
        if isinstance(document.get(key), str):
            yield f"{key} module", name, document[key]
    start = mapping(document.get("scripts"), "scripts").get("start")
    if isinstance(start, str):
        yield "script", "start", start


def _cargo(blob: bytes) -> Iterator[tuple[str, str, Any]]:
    document = toml(blob)
    for binary in tables(document.get("bin")):
        yield "command", string(binary.get("name")), binary.get("path")


def _dockerfile(blob: bytes) -> Iterator[tuple[str, str, Any]]:
    for line in re.sub(r"\\\r?\n", " ", text(blob)).splitlines():
        if start := _STARTS.match(line.strip()):
            yield "image", start.group(1).upper(), " ".join(start.group(2).split())


_READERS: Final = {
    "pyproject.toml": _pyproject,
    "setup.cfg": _setup_cfg,
    "package.json": _package_json,
    "Cargo.toml": _cargo,
}
