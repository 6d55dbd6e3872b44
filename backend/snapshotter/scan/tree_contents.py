"""What was read of a tree: its blobs, and what was understood of them at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from snapshotter.scan.attributes import PathAttributes
from snapshotter.scan.dependencies import Dependency
from snapshotter.scan.reading_plan import Unit
from snapshotter.scan.symbols.projects import Projects


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
    gitmodules: bytes | None = None
    late: bool = False  # manifests were not read for want of time
