"""The manifests of one tree: read one by one, told together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from snapshotter.scan.dependencies.kinds import FAMILIES, family_of, parser_of
from snapshotter.scan.dependencies.record import MAX_ROWS, Dependency, ManifestError, PartlyRead
from snapshotter.scan.dependencies.tied import Family


class Manifests:
    """The manifests of a tree, in whatever order they come. `ecosystem` of a row is the purl type."""

    def __init__(self) -> None:
        self._plain: dict[str, list[Dependency]] = {}
        self._families: dict[str, Family] = {}
        self._of: dict[str, Family] = {}
        self.partly: dict[str, str] = {}
        """Why the rows of a manifest, once they were told, are not all that it names, by its path."""

    def add(self, path: str, blob: bytes) -> None:
        """Read one. A path that no manifest has by its name is a list that a requirements file takes in.

        Raises ManifestError, and nothing else, for content that cannot be read and for more than MAX_ROWS rows.
        """
        parser = parser_of(path)
        if parser is not None:
            self._plain[path] = self._limited(path, parser(blob))
            return
        kind = family_of(path) or "pip"
        family = self._families.setdefault(kind, FAMILIES[kind]())
        family.add(path, blob)
        self._of[path] = family

    def forget(self, path: str) -> None:
        """Let go of one that was added: it explains no other."""
        self._plain.pop(path, None)
        self.partly.pop(path, None)
        if (family := self._of.pop(path, None)) is not None:
            family.forget(path)

    def taken_in(self) -> set[str]:
        """Paths, not added yet, that those which were added take in."""
        return {path for family in self._families.values() for path in family.taken_in()}

    def rows(self, path: str) -> list[Dependency]:
        """The rows of a manifest that was added, in its own order, each once. Raises ManifestError as `add` does."""
        if path in self._plain:
            return self._plain[path]
        return self._limited(path, self._of[path].rows(path))

    def lenders(self, path: str) -> set[str]:
        """The other manifests of which something may stand in the rows of this one."""
        return set(self._of[path].lenders(path)) if path in self._of else set()

    def _limited(self, path: str, rows: Iterator[Dependency]) -> list[Dependency]:
        """Each row once, also those before a PartlyRead."""
        once: dict[Dependency, None] = {}
        try:
            for row in islice(rows, MAX_ROWS + 1):
                once[row] = None
        except PartlyRead as reason:
            self.partly[path] = str(reason)
        if len(once) > MAX_ROWS:
            raise ManifestError(f"names more than {MAX_ROWS:,} packages")
        return list(once)


def parse(path: str, blob: bytes) -> list[Dependency]:
    """The rows of one manifest by itself, as if it were alone in its tree. Raises ManifestError as `Manifests.add`
    does, and for a path that is no manifest."""
    if family_of(path) is None and parser_of(path) is None:
        raise ManifestError("its path is not that of a manifest")
    alone = Manifests()
    alone.add(path, blob)
    return alone.rows(path)
