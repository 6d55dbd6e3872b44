"""A `fleet.toml` as an inventory, or the line and column of what is wrong with it.

No message repeats a value but an origin, without its secrets: where two things were confused, any may be a secret.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec

from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.base.settings import parse_size, parse_span
from snapshotter.base.text import printable
from snapshotter.base.toml_places import Path as Keys
from snapshotter.base.toml_places import end_of, places, syntax_place
from snapshotter.capture.plan import RequestedOptions
from snapshotter.fleet import inventory
from snapshotter.fleet.inventory import (
    SOURCE_KEYS,
    FolderTable,
    GitHubTable,
    Inventory,
    InventoryTables,
    NamedRepo,
    SourceTable,
)
from snapshotter.git.origin import Origin
from snapshotter.git.origin_parsing import parse

MAX_INVENTORY: Final = (
    32 * 1024 * 1024
)  # bytes: room for some 300,000 repositories, and any number of sources
_HINT: Final = "docs/fleet.schema.json says what an inventory may hold"
_NO_SECRETS: Final = "SNAPSHOTTER_GIT_TOKENS is the place for credentials; an inventory holds none"
_OPTIONS: Final[dict[str, Any]] = {
    "segment_size": parse_size,
    "max_chain_age": parse_span,
    "idle_timeout": parse_span,
}
_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "repo": inventory.RepoTable,
    "github": GitHubTable,
    "gitlab": inventory.GitLabTable,
    "folder": FolderTable,
}


@dataclass(frozen=True)
class _Document:
    """The text of an inventory, and how it is called in errors."""

    name: str
    text: str
    tables: Mapping[str, Any]

    def refused(self, why: str, path: Keys, *, key: bool = False, hint: str = _HINT) -> UsageError:
        """The error about what stands at a path: at its key, or at its value."""
        found = places(self.text)
        place = found.of_key(path) if key else found.of_value(path)
        return UsageError(f"{self.name}, {place}: {why}", code="inventory", hint=hint)

    def place(self, path: Keys) -> str:
        """Where a value stands."""
        return str(places(self.text).of_value(path))


def read(data: bytes, name: str, folder: Path | None) -> Inventory:
    """The inventory in a file's bytes. `name` is the file's, for errors and as the inventory's own name if it has none;
    `folder` is where the file lies, or None for one from the store.

    Raises UsageError (code `inventory`) with line and column for what is no TOML, for unknown keys, values of a wrong
    kind, an origin or a source that is there twice, a credential, and for what one from the store may not say.
    """
    shown = printable(name)
    if len(data) > MAX_INVENTORY:
        raise UsageError(f"{shown} is larger than {MAX_INVENTORY} bytes", code="inventory", hint=_HINT)
    document = _Document(shown, *_parsed(data, shown))
    tables = _converted(document)
    if not any(document.tables.get(key) for key in SOURCE_KEYS):
        raise document.refused("it names no repository and no source", ())
    sources = _sources(document, tables, stored=folder is None)
    repos = [_repo(document, number, table, folder) for number, table in enumerate(tables.repo)]
    _check_twice(document, repos)
    return Inventory(tables.name or _stem(document), repos, sources, folder)


def _parsed(data: bytes, name: str) -> tuple[str, dict[str, Any]]:
    text = ""
    try:
        text = data.decode("utf-8")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        why = f", line {line}, column {column}: not UTF-8"
    except tomllib.TOMLDecodeError as error:
        place = syntax_place(error) or end_of(text)
        why = f", {place}: not TOML"  # without tomllib's own words, which quote keys
    except RecursionError:
        why = ": arrays in arrays without end"
    raise UsageError(f"{name}{why}", code="inventory", hint="toml.io explains the format; " + _HINT)


def _converted(document: _Document) -> InventoryTables:
    try:
        return _convert(document.tables)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        raise _translated(document, what, where) from None


def _convert(tables: Mapping[str, Any]) -> InventoryTables:
    return msgspec.convert(tables, InventoryTables)


def _translated(document: _Document, what: str, where: str) -> UsageError:
    """msgspec's words in an inventory's."""
    path = _path(document.tables, where)
    name = re.search(r"`([^`]*)`", what)
    if what.startswith("Object contains unknown field") and name:
        known = _fields(path)
        hint = f"known are {', '.join(known)}"
        return document.refused(
            f"unknown key `{printable(name[1])}`", (*path, name[1]), key=True, hint=f"{hint}; {_HINT}"
        )
    if what.startswith("Object missing required field") and name:
        return document.refused(f"`{name[1]}` is missing", path, key=True)
    return document.refused(printable(what[:1].lower() + what[1:])[:300], path)


def _path(tables: Mapping[str, Any], where: str) -> Keys:
    """The path that msgspec writes as ``$.repo[0].labels[...]``, where ``[...]`` is some value of a mapping."""
    path: list[str | int] = []
    value: Any = tables
    for key, number in re.findall(r"\.([A-Za-z_]\w*)|\[(\d+|\.\.\.)\]", where.rpartition("$")[2]):
        step: str | int | None = key or (int(number) if number.isdigit() else None)
        if step is None:
            step = next((each for each, text in value.items() if not isinstance(text, str)), None)
        if step is None:
            break
        path.append(step)
        value = value[step]
    return tuple(path)


def _fields(path: Keys) -> tuple[str, ...]:
    if path and path[-1] == "options":
        return RequestedOptions.__struct_fields__
    return _TABLES.get(str(path[0]) if path else "", InventoryTables).__struct_fields__


def _sources(document: _Document, tables: InventoryTables, *, stored: bool) -> list[SourceTable]:
    """The sources in the order of their kinds."""
    sources: list[SourceTable] = []
    seen: dict[str, Keys] = {}
    kinds: list[tuple[str, Sequence[SourceTable]]] = [
        ("github", tables.github),
        ("gitlab", tables.gitlab),
        ("folder", tables.folder),
    ]
    for kind, each in kinds:
        for number, table in enumerate(each):
            path = (kind, number)
            _check_source(document, path, table, stored=stored)
            title = table.title if isinstance(table, FolderTable) else table.title.lower()
            if (before := seen.setdefault(title, path)) != path:
                raise document.refused(f"this source is at {document.place(before)}, too", path)
            sources.append(table)
    return sources


def _check_source(document: _Document, path: Keys, table: SourceTable, *, stored: bool) -> None:
    _check_options(document, path, table.labels, table.options, stored=stored)
    if isinstance(table, FolderTable):
        if stored:
            raise document.refused("an inventory from the store names no folder of this machine", path)
        return
    if isinstance(table, GitHubTable) and (table.organisation is None) == (table.user is None):
        raise document.refused("either `organisation` or `user`, and one of them", path)
    try:
        origin = parse(table.url.rstrip("/") + "/x")
        good = origin.scheme in ("https", "http") and origin.credential is None
    except SnapshotterError:
        good = False
    if not good:
        hint = f"write it like https://git.example.org; {_NO_SECRETS}"
        raise document.refused("not the URL of a forge's pages", (*path, "url"), hint=hint)


def _repo(document: _Document, number: int, table: inventory.RepoTable, folder: Path | None) -> NamedRepo:
    path = ("repo", number)
    _check_options(document, path, table.labels, table.options, stored=folder is None)
    at = (*path, "origin")
    try:
        origin = _origin(table.origin, folder)
    except SnapshotterError as error:
        raise document.refused(error.message, at, hint=error.hint) from None
    if origin.credential is not None:
        raise document.refused("the origin holds a user or a credential", at, hint=_NO_SECRETS)
    if origin.is_local and folder is None:
        raise document.refused("an inventory from the store names no path on this machine", at)
    return NamedRepo(origin, table.labels, table.options)


def _origin(text: str, folder: Path | None) -> Origin:
    """The origin of a text; a path is relative to the inventory's folder."""
    origin = parse(text)
    relative = origin.is_local and not text.startswith(("/", "~", "file:"))
    return parse(str(folder / text)) if relative and folder is not None else origin


def _check_options(
    document: _Document, path: Keys, labels: Mapping[str, str], options: RequestedOptions, *, stored: bool
) -> None:
    for key, value in labels.items():
        if printable(key + value) != key + value or "\t" in key + value:
            raise document.refused("a label holds control characters", (*path, "labels", key))
    for name, reading in _OPTIONS.items():
        text = getattr(options, name)
        try:
            if text is not None:
                reading(text)
        except SnapshotterError as error:
            at = (*path, "options", name)
            raise document.refused(f"`{name}` cannot be read", at, hint=error.hint) from None
    if options.refs is not None and not all(options.refs):
        raise document.refused("an empty pattern of refs takes none", (*path, "options", "refs"))
    if stored and options.allow_http:
        at = (*path, "options", "allow_http")
        hint = "set SNAPSHOTTER_ALLOW_HTTP"
        raise document.refused("an inventory from the store allows no plain http", at, hint=hint)


def _check_twice(document: _Document, repos: list[NamedRepo]) -> None:
    """Raise UsageError for the first origin that is there twice, in whatever spelling."""
    seen: dict[str, int] = {}
    for number, repo in enumerate(repos):
        before = seen.setdefault(repo.origin.canonical, number)
        if before != number:
            first = document.place(("repo", before, "origin"))
            why = f"this origin is at {first}, too: {printable(repo.origin.url)}"
            raise document.refused(why, ("repo", number, "origin"), hint="name it once")


def _stem(document: _Document) -> str:
    """The inventory's name, from its file's."""
    stem = PurePosixPath(document.name).name.removesuffix(".toml").lower()
    name = re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")[:64]
    if not name:
        raise document.refused(
            "it has no name, and none can be made of its file's", (), hint='add `name = "…"`'
        )
    return name
