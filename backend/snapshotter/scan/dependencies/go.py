"""Go: go.mod (the Go Modules Reference, "go.mod files")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from snapshotter.scan.dependencies.formats import text
from snapshotter.scan.dependencies.record import Dependency, ManifestError, dependency

_MODULE: Final = re.compile(r"^module\s+\"?([^\s\"/][^\s\"]*)\"?", re.M)
_PART: Final = r"\"?([^\s\"]+)\"?"
_REQUIRE: Final = re.compile(rf"{_PART}\s+(v[^\s\"]+)\"?")
_REPLACE: Final = re.compile(rf"{_PART}(?:\s+\S+)?\s+=>\s+{_PART}\s+(v\S+)")


def module_path(blob: bytes) -> str | None:
    """The path that a go.mod declares for its own module, as `symbols.SourceTree` wants it."""
    match = _MODULE.search(text(blob))
    return match.group(1) if match else None


def go_mod(blob: bytes) -> Iterator[Dependency]:
    """A go.mod; a replacement by another module is a row of its own, with the scope `replace`."""
    source = text(blob)
    if not _MODULE.search(source):
        raise ManifestError("no module line")
    block = ""
    for raw in source.splitlines():
        line, _, remark = raw.partition("//")
        line = line.strip()
        if line.endswith("(") and not block:
            block = line[:-1].strip()
            continue
        if line == ")":
            block = ""
            continue
        verb, rest = (block, line) if block else (line.partition(" ")[0], line.partition(" ")[2].strip())
        if verb == "require" and (required := _REQUIRE.fullmatch(rest)):
            name, version = required.groups()
            yield dependency("golang", name, version, version, direct="indirect" not in remark)
        elif verb == "replace" and (replaced := _REPLACE.fullmatch(rest)):
            _, name, version = replaced.groups()
            yield dependency("golang", name, version, rest, "replace")
