"""What was read of a tree: its blobs, and what was understood of them at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from snapshotter.scan.attributes import PathAttributes
from snapshotter.scan.dependencies import Dependency
from snapshotter.scan.reading_plan import Unit
from snapshotter.scan.symbols.projects import Projects

_LONGEST_POINTER: Final = 1024  # bytes, as git-lfs has it
_LFS: Final = re.compile(
    rb"version https://git-lfs[^\n]{1,100}\n(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n"
)


@dataclass(slots=True)
class Blob:
    """A blob that was read: its size in bytes, and if it is an LFS pointer the (SHA-256, size) it points at."""

    size: int
    lfs: tuple[str, int] | None = None


@dataclass
class TreeContents:
    """What was read, by blob, unit or path. `staged` has the unit of each staged name."""

    blobs: dict[str, Blob] = field(default_factory=dict)
    staged: dict[str, Unit] = field(default_factory=dict)
    dependencies: dict[str, list[Dependency]] = field(default_factory=dict)
    # Of a manifest, those beside it of which something may stand in its rows.
    lenders: dict[str, set[str]] = field(default_factory=dict)
    manifest_errors: dict[str, str] = field(default_factory=dict)
    licences: dict[str, list[str]] = field(default_factory=dict)
    projects: Projects = field(default_factory=Projects)
    # Only of paths of which .gitattributes say anything.
    attributes: dict[str, PathAttributes] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    readme: tuple[str, str] | None = None
    late: bool = False  # manifests were not read for want of time


def lfs_pointer(data: bytes) -> tuple[str, int] | None:
    """The SHA-256 and the size in bytes that an LFS pointer names; None if `data` is no pointer.

    Source: git-lfs's specification (docs/spec.md).
    """
    pointer = _LFS.fullmatch(data) if len(data) < _LONGEST_POINTER else None
    return (pointer[1].decode(), int(pointer[2])) if pointer else None
