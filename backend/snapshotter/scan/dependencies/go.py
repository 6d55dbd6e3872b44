"""Go: go.mod (the Go Modules Reference, "go.mod files")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from snapshotter.scan.dependencies.formats import text
from snapshotter.scan.dependencies.record import Dependency, ManifestError, NamedPackage, dependency

_MODULE: Final = re.compile(r"^module\s+\"?([^\s\"/][^\s\"]*)\"?", re.M)
_PART: Final = r"[\"`]?([^\s\"`]+)[\"`]?"
_REQUIRE: Final = re.compile(rf"{_PART}\s+(v[^\s\"]+)\"?")
_REPLACE: Final = re.compile(rf"{_PART}(?:\s+(v\S+))?\s+=>\s+{_PART}(?:\s+(v\S+))?")


class _Replacement(NamedTuple):
    """What is built instead of a module; a folder has no version."""

    name: str
    version: str | None
    written: str


# By module, and the version that it holds for: None for all.
_Replacements = dict[tuple[str, str | None], _Replacement]


def module_path(blob: bytes) -> str | None:
    """The path that a go.mod declares for its own module, as `symbols.SourceTree` wants it."""
    match = _MODULE.search(text(blob))
    return match.group(1) if match else None


def go_mod(blob: bytes) -> Iterator[Dependency]:
    """A go.mod. Of a module that is replaced, only what is asked for is said, and what is built instead has a row of
    its own, unless it is the same module in another version or a folder."""
    source = text(blob)
    if not _MODULE.search(source):
        raise ManifestError("no module line")
    required: list[tuple[str, str, bool]] = []
    replaced: _Replacements = {}
    for verb, rest, remark in _statements(source):
        if verb == "require" and (match := _REQUIRE.fullmatch(rest)):
            required.append((match.group(1), match.group(2), "indirect" not in remark))
        elif verb == "replace" and (match := _REPLACE.fullmatch(rest)):
            name, only, other, version = match.groups()
            replaced[name, only] = _Replacement(other, version, rest)
    for name, version, direct in required:
        instead = replaced.pop((name, version), None) or replaced.get((name, None))
        yield from _rows(name, version, direct, instead)
    names = {name for name, _, _ in required}
    for (name, only), instead in replaced.items():
        if instead.version and name not in names and only is None:
            yield dependency(
                NamedPackage("golang", instead.name, instead.version), instead.written, "replace"
            )


def _rows(name: str, version: str, direct: bool, instead: _Replacement | None) -> Iterator[Dependency]:
    if instead is None:
        yield dependency(NamedPackage("golang", name, version), version, direct=direct)
    elif instead.name == name and instead.version:
        yield dependency(NamedPackage("golang", name, instead.version), version, direct=direct)
    else:
        yield dependency(NamedPackage("golang", name, registry=False), version, direct=direct)
        if instead.version:
            yield dependency(
                NamedPackage("golang", instead.name, instead.version), instead.written, direct=direct
            )


def _statements(source: str) -> Iterator[tuple[str, str, str]]:
    """Verb, what follows it, and the remark, of each line and of each line in a block."""
    block = ""
    for raw in source.splitlines():
        line, _, remark = raw.partition("//")
        line = line.strip()
        if line.endswith("(") and not block:
            block = line[:-1].strip()
        elif line == ")":
            block = ""
        elif block:
            yield block, line, remark
        else:
            verb, _, rest = line.replace("\t", " ").partition(" ")
            yield verb, rest.strip(), remark
