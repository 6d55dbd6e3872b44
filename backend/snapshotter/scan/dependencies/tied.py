"""Manifests that other manifests of the same tree explain: a parent, a workspace, an included file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Protocol

from snapshotter.scan.dependencies.record import Dependency


class Family(Protocol):
    """All manifests of one kind in one tree. Rows are told once every one of them was added."""

    def add(self, path: str, blob: bytes) -> None:
        """Read one. Raises ManifestError for content that cannot be read."""

    def forget(self, path: str) -> None:
        """Let go of one that was added."""

    def rows(self, path: str) -> Iterator[Dependency]:
        """The rows of one that was added. Raises ManifestError for a name that cannot be one."""

    def lenders(self, path: str) -> Set[str]:
        """The other manifests of which something may stand in the rows of this one."""

    def taken_in(self) -> Iterable[str]:
        """Paths, not yet added, that those which were added take in, whatever their names."""
