"""Ruby: Gemfile.lock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from snapshotter.scan.dependencies.formats import text
from snapshotter.scan.dependencies.record import Dependency, ManifestError, NamedPackage, dependency

# A locked gem is indented by four spaces; what it needs in turn, by six.
_SPEC: Final = re.compile(r"    (\S+) \(([^)\s-]+)[^)]*\)")
# An exclamation mark: the gem comes from a source of its own.
_ASKED: Final = re.compile(r"  ([^\s!]+)(?: \(([^)]*)\))?!?")
_NEEDED: Final = re.compile(r"      ([^\s!]+)(?: \(([^)]*)\))?")
_SECTIONS: Final = ("GEM", "GIT", "PATH", "DEPENDENCIES", "PLUGIN SOURCE")


def gemfile_lock(blob: bytes) -> Iterator[Dependency]:
    """A Gemfile.lock without own gems (PATH), but with what they ask for as direct; a gem locked for several platforms
    is one row. It does not tell when a gem is needed: groups are in the Gemfile, which is code."""
    section = ""
    locked: dict[tuple[str, str], bool] = {}
    asked: dict[str, str] = {}
    for line in text(blob).splitlines():
        if line and not line[0].isspace():
            section = line.strip()
        elif section in ("GEM", "GIT") and (match := _SPEC.fullmatch(line)):
            locked[match.group(1), match.group(2)] = section == "GEM"
        elif section == "DEPENDENCIES" and (match := _ASKED.fullmatch(line)):
            asked[match.group(1)] = match.group(2) or ""
        elif section == "PATH" and (match := _NEEDED.fullmatch(line)):
            asked.setdefault(match.group(1), match.group(2) or "")
    if not locked and not asked and section not in _SECTIONS and blob.strip():
        raise ManifestError("not a Gemfile.lock")
    for (name, version), registry in locked.items():
        yield dependency(
            NamedPackage("gem", name, version, registry=registry), asked.get(name), None, name in asked
        )
