"""A restore into an empty folder that exists: built inside it, so that its mode, owner and inode stay.

The repository is made in a hidden folder within, and moved up entry by entry, the one that makes it a repository
last. Before the first is moved, all are written down with their inodes, so that the next restore to the same place
can tell what a killed one left from what is somebody's.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import UsageError
from snapshotter.base.folders import open_locked
from snapshotter.base.observer import Observer

_NAME: Final = re.compile(r"\.snapshotter-restore-[0-9a-f]{8}")
_TREE: Final = "tree"
_LIST: Final = "moved"  # of what is moved up, in that order: "<inode> <name>", each ended by a NUL
_LAST: Final = (".git", "HEAD")  # without it git sees no repository


class _MovedEntry(NamedTuple):
    """A file or folder that is moved up: its name, and its inode, which a move keeps."""

    name: str
    inode: int


class _KilledRestore(NamedTuple):
    """What a killed restore left in a folder: its hidden folder, and what it had moved up."""

    folder: Path
    moved: list[Path]


def is_free(destination: Path) -> bool:
    """Whether an existing folder holds nothing but what killed restores left in it."""
    theirs = {path for left in _leftovers(destination) for path in (left.folder, *left.moved)}
    return theirs.issuperset(destination.iterdir())


@contextmanager
def building(destination: Path, observer: Observer, cancel: Cancel) -> Iterator[InPlace]:
    """A build inside the empty folder `destination`, which is locked meanwhile.

    What killed restores left in it is removed first, with a warning. Unless the build was placed at the end, the
    folder is empty again; so it is when the work is cancelled. Raises UsageError if the folder is in use, OSError if
    it cannot be written.
    """
    lock, locked = open_locked(destination)
    try:
        leftovers = _leftovers(destination)
        if locked is False or (leftovers and not locked):  # without locks nobody knows whether it was killed
            raise _in_use(destination)
        if not is_free(destination):
            raise not_empty(destination)
        for left in leftovers:
            for path in (*left.moved, left.folder):
                _remove(path)
            observer.warn(f"removed {left.folder}, which a killed restore left behind")
        build = InPlace(destination, cancel)
        try:
            with cancel.ending(build.clear):
                build.make()
                yield build
        finally:
            build.clear()
    finally:
        os.close(lock)


class InPlace:
    """A repository in the making, inside the folder that it is for."""

    def __init__(self, destination: Path, cancel: Cancel) -> None:
        self._destination, self._cancel = destination, cancel
        self._folder = destination / f".snapshotter-restore-{secrets.token_hex(4)}"
        self.work = self._folder / _TREE
        self._entries: list[_MovedEntry] = []
        self._placed = False
        self._moving = threading.Lock()  # a cancellation clears up from its own thread

    def make(self) -> None:
        """Make the folders. Raises OSError if they cannot be made."""
        self._folder.mkdir(0o700)
        (self._folder / _LIST).touch()
        self.work.mkdir()

    def place(self, ready: Callable[[Path], None]) -> None:
        """Move everything up. `ready` is called with the destination when all but git's own folder is there.

        Raises OSError if something cannot be moved, the caller's Interrupted if the work was cancelled.
        """
        *others, last = self._note()
        self._move(others)
        ready(self._destination)
        self._move([last])

    def clear(self) -> None:
        """Remove the hidden folder, and unless all is placed what was moved up. Safe to call twice, from any thread."""
        with self._moving:
            if not self._placed:
                for path in _present(self._destination, self._entries):
                    _remove(path)
            _remove(self._folder)

    def _note(self) -> list[_MovedEntry]:
        """Write down what will be moved, in its order."""
        with os.scandir(self.work) as scan:
            entries = [_MovedEntry(entry.name, entry.inode()) for entry in scan]
        last = next(name for name in _LAST if any(entry.name == name for entry in entries))
        entries.sort(key=lambda entry: (entry.name == last, entry.name))
        lines = (b"%d %b\0" % (entry.inode, os.fsencode(entry.name)) for entry in entries)
        (self._folder / _LIST).write_bytes(b"".join(lines))
        self._entries = entries
        return entries

    def _move(self, entries: list[_MovedEntry]) -> None:
        with self._moving:
            self._cancel.check()
            for entry in entries:
                (self.work / entry.name).rename(self._destination / entry.name)
            self._placed = entries[-1:] == self._entries[-1:]


def not_empty(destination: Path) -> UsageError:
    """The error for a destination that something else holds."""
    return UsageError(
        f"the destination exists and is not an empty folder: {destination}",
        hint="name a folder that does not exist, or that is empty",
    )


def _in_use(destination: Path) -> UsageError:
    return UsageError(
        f"another restore is at work in the destination: {destination}",
        hint="wait for it, or name another folder",
    )


def _leftovers(destination: Path) -> list[_KilledRestore]:
    """What killed restores of this user left there: hidden folders that hold only what a restore puts into one."""
    leftovers = []
    for entry in sorted(destination.iterdir()):
        with suppress(OSError, ValueError):
            if not _NAME.fullmatch(entry.name) or entry.is_symlink() or entry.stat().st_uid != os.geteuid():
                continue
            inside = {child.name for child in entry.iterdir()}
            if inside <= {_TREE, _LIST}:  # one that was being made, or removed, may have no list
                entries = list(_listed((entry / _LIST).read_bytes())) if _LIST in inside else []
                # With the last in its place the repository was whole, and is somebody's by now.
                whole = entries and _present(destination, entries[-1:])
                leftovers.append(_KilledRestore(entry, [] if whole else _present(destination, entries)))
    return leftovers


def _listed(data: bytes) -> Iterator[_MovedEntry]:
    """The entries that a list names. Raises ValueError if `data` is no such list."""
    for line in data.split(b"\0")[:-1]:
        inode, _, name = line.partition(b" ")
        # Somebody else may have written it: what it names is removed, so it must lie directly in the folder.
        if not name or b"/" in name or name in (b".", b".."):
            raise ValueError("not a name in a folder")
        yield _MovedEntry(os.fsdecode(name), int(inode))


def _present(destination: Path, entries: list[_MovedEntry]) -> list[Path]:
    """Those of `entries` that are in `destination` now."""
    present = []
    for entry in entries:
        with suppress(OSError):
            if (destination / entry.name).lstat().st_ino == entry.inode:
                present.append(destination / entry.name)
    return present


def _remove(path: Path) -> None:
    """Remove a file or a folder as far as it can be; no link is followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
