"""Which paths of a store in a folder stay in it, and which a link leads out of it.

Whoever may write to a store could plant a link, by which readers took other files of this machine for objects, and
writers left objects elsewhere. Links from one place of the store to another are followed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_KNOWN: Final = 4096  # folders, so that a run of many files looks at each of its folders once


class FolderLinks:
    """The links of the store in the folder `root`, which one may lead to. Safe to share between threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._within: set[tuple[str, int, int]] = set()

    def stay(self, path: Path) -> bool:
        """Whether what `path`, the root or below it, leads to lies in the store. Raises OSError if nothing is there."""
        status = path.stat()
        if path == self._root:
            return True
        known = (str(path), status.st_dev, status.st_ino)  # whatever is put in its place later is another
        if known in self._within:
            return True
        stays = self._stays(path, status)
        if stays:
            if len(self._within) >= _KNOWN:
                self._within.clear()
            self._within.add(known)
        return stays

    def _stays(self, path: Path, status: os.stat_result) -> bool:
        at = path.lstat()
        if not stat.S_ISLNK(at.st_mode):
            return os.path.samestat(at, status) and self.stay(path.parent)
        end = path.resolve()
        return end.is_relative_to(self._root.resolve()) and os.path.samestat(end.stat(), status)
