"""The bare repositories below a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from snapshotter.base.errors import Unavailable
from snapshotter.base.text import decode_name, printable
from snapshotter.fleet.inventory import FolderTable
from snapshotter.fleet.sources.listed import Listed


class FolderSource:
    """See RepoSource. `base` is what the table's path is relative to."""

    def __init__(self, table: FolderTable, base: Path) -> None:
        self._root = base / Path(table.path).expanduser()

    def listed(self) -> Iterator[Listed]:
        """See RepoSource. In order of their paths; symbolic links are not followed, and neither repositories nor
        working trees are looked into."""

        def stop(error: OSError) -> None:
            # A folder that cannot be read may hold repositories: to pass over it would be to lose them in silence.
            raise Unavailable(
                f"cannot read {printable(str(error.filename))}: {error.strerror}",
                code="folder",
                hint="check the path, and that this user may read it",
            )

        for folder, names, files in os.walk(self._root, onerror=stop):
            names.sort()
            if {"objects", "refs"} <= {*names} and "HEAD" in files:  # git's own test, see its setup.c
                names.clear()
                yield self._listed(Path(folder))
            elif ".git" in names:  # a working tree, which is large, and not bare
                names.clear()

    def found(self, id: str) -> None:  # noqa: A002 - see RepoSource
        """See RepoSource. A folder knows no ids."""
        return

    def _listed(self, folder: Path) -> Listed:
        # The origin has the path's bytes; where it is told and kept, bytes that are no text are escaped.
        path = decode_name(os.fsencode(folder.relative_to(self._root).as_posix()))
        name = (decode_name(os.fsencode(folder.name)) if path == "." else path).removesuffix(".git")
        return Listed(id="", path=path, name=name, origin=str(folder.absolute()))
