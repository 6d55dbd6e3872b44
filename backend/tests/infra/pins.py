"""What infra/pin writes, read: a release of each distribution, where it is wanted, and by which hashes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Pin:
    """One pinned release. `here` is whether its marker holds on this machine."""

    version: str
    marker: str
    hashes: frozenset[str]
    here: bool


def pinned(path: Path) -> dict[str, Pin]:
    """The pins of a file, by canonical name. Raises ValueError for a line that is none."""
    found = {}
    for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        words, *hashes = re.split(r"\s+--hash=", line.strip())
        wanted = Requirement(words)
        (only,) = wanted.specifier
        if only.operator != "==" or wanted.url or wanted.extras:
            raise ValueError(f"not a pin: {words}")
        here = wanted.marker is None or wanted.marker.evaluate()
        found[canonicalize_name(wanted.name)] = Pin(
            only.version, str(wanted.marker or ""), frozenset(hashes), here
        )
    return found
