"""Private folders: locked while their owner lives, swept once it was killed.

The owner holds a lock on its folder, which the system lets go when the process ends, however it ends. So a
folder that nobody holds is rubbish, and one that somebody holds is not touched.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

from snapshotter.base.cancel import Cancel

_TRIES: Final = 100
_REMOVALS: Final = 5
_SUFFIX: Final = re.compile(r"[0-9a-f]{8}")
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Fate = Literal["removed", "in use", "stuck"]


class Leftover(NamedTuple):
    """A folder that a sweep met: removed; in use, as far as can be told; or stuck, so it cannot be removed."""

    path: Path
    fate: Fate


@contextmanager
def locked_folder(
    parent: Path, prefix: str, *, mode: int = 0o700, cancel: Cancel | None = None
) -> Iterator[Path]:
    """A new folder in `parent`, named `prefix` and 8 hex digits, locked until the end.

    What is still under its name at the end, or when `cancel` is cancelled, is removed as far as it can be. Whoever
    renames it gives no `cancel`: a removal that has begun goes on under the new name.
    Raises OSError if the folder cannot be made.
    """
    folder, lock = _make(parent, prefix, mode)
    try:
        # A cancellation clears up by itself: the thread that works may be held by a dead store.
        with (cancel or Cancel()).ending(lambda: remove(folder)):
            yield folder
    finally:
        remove(folder)
        os.close(lock)


def sweep(parent: Path, prefix: str) -> list[Leftover]:
    """Remove the folders of `prefix` in `parent` whose owner was killed, and tell what became of each.

    Only this user's are removed. A `parent` that is not there, or cannot be listed, has none.
    """
    try:
        # By name before any path is made: a temporary folder may hold thousands of others'.
        with os.scandir(parent) as found:
            names = sorted(entry.name for entry in found if entry.name.startswith(prefix))
    except OSError:
        return []
    entries = [parent / name for name in names]
    fates = [(entry, _sweep_one(entry)) for entry in entries if _is_ours(entry, prefix)]
    return [Leftover(entry, fate) for entry, fate in fates if fate is not None]


def open_locked(folder: Path) -> tuple[int, bool | None]:
    """A folder's descriptor, for its caller to close, and whether it is locked by that: False if another process
    holds it, None on a file system without locks. Raises OSError if it is no folder or cannot be opened."""
    descriptor = os.open(folder, _OPEN)
    return descriptor, _lock(descriptor)


def remove(folder: Path) -> None:
    """Remove a folder as far as it can be, though another thread may do the same, or a child may still write."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)


def _is_ours(entry: Path, prefix: str) -> bool:
    if not _SUFFIX.fullmatch(entry.name[len(prefix) :]):
        return False
    return entry.is_dir() and not entry.is_symlink()


def _sweep_one(folder: Path) -> Fate | None:
    """What became of a folder; None if it went by itself."""
    try:
        descriptor = os.open(folder, _OPEN)
    except FileNotFoundError:
        return None
    except OSError:
        return "in use"
    try:
        if not _lock(descriptor):
            return "in use"
        if os.fstat(descriptor).st_uid == os.geteuid():
            shutil.rmtree(folder, ignore_errors=True)
        return "stuck" if folder.exists() else "removed"
    finally:
        os.close(descriptor)


def _make(parent: Path, prefix: str, mode: int) -> tuple[Path, int]:
    """A new folder and the lock on it. Until it is locked, another process may sweep it; then anew."""
    for _ in range(_TRIES):
        folder = parent / f"{prefix}{secrets.token_hex(4)}"
        folder.mkdir(mode)
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, _OPEN)
            # Between mkdir and the lock, a sweep may have held it and removed the folder: then it is not ours.
            if _lock(descriptor) is not False and folder.exists():
                return folder, descriptor
            os.close(descriptor)
    raise FileNotFoundError(2, "the folder was removed by another process each time it was made", str(parent))


def _lock(descriptor: int) -> bool | None:
    """Take the lock. False if another process holds it; None on a file system without locks, where no sweep can tell
    and so none removes anything."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
