"""Dependencies, from the manifests and lock files that name them."""

from __future__ import annotations

from snapshotter.scan.dependencies.go import module_path
from snapshotter.scan.dependencies.kinds import bears_on, family_of, is_manifest
from snapshotter.scan.dependencies.record import MAX_ROWS, Dependency, ManifestError
from snapshotter.scan.dependencies.tree import Manifests, parse
from snapshotter.scan.dependencies.unread import unread

__all__ = [
    "MAX_ROWS",
    "Dependency",
    "ManifestError",
    "Manifests",
    "bears_on",
    "family_of",
    "is_manifest",
    "module_path",
    "parse",
    "unread",
]
