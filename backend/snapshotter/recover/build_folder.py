"""The hidden folder beside its destination in which a restore is built, and what a killed restore left of one.

A restore holds a lock on its folder, which the system lets go when the process ends, however it ends. So a
folder that nobody holds is rubbish, and one that somebody holds is not touched.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer

_TRIES = 5


@contextmanager
def building(destination: Path, cancel: Cancel) -> Iterator[Path]:
    """A new, locked folder beside `destination`, for as long as the restore lasts.

    What is still under its name at the end, or when the work is cancelled, is removed. Raises OSError if the
    folder cannot be made.
    """
    work, lock = _make(destination)
    try:
        # A cancellation clears up by itself: this thread may be held by a dead store.
        with cancel.ending(lambda: shutil.rmtree(work, ignore_errors=True)):
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)


def clear(destination: Path, observer: Observer) -> None:
    """Remove what killed restores to `destination` left beside it, and say so; say what is left alone, and why."""
    pattern = re.compile(re.escape(f".{destination.name}.partial-") + r"[0-9a-f]{8}")
    try:
        beside = sorted(destination.parent.iterdir())
    except OSError:  # not made yet, or not to be listed: then there is nothing to see
        return
    for found in beside:
        if not pattern.fullmatch(found.name) or found.is_symlink() or not found.is_dir():
            continue
        if (lock := _lock(found)) is None:
            observer.warn(f"{found} is left alone: another restore to the same place may be at work in it")
            continue
        shutil.rmtree(found, ignore_errors=True)
        os.close(lock)
        if found.exists():
            observer.warn(
                f"{found}, which a killed restore left behind, cannot be removed; remove it by hand"
            )
        else:
            observer.warn(f"removed {found}, which a killed restore left behind")


def _make(destination: Path) -> tuple[Path, int]:
    """A new folder and the lock on it. Until it is locked, another restore may take it for rubbish; then anew."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_TRIES):
        work = destination.parent / f".{destination.name}.partial-{secrets.token_hex(4)}"
        work.mkdir()
        with suppress(FileNotFoundError):
            descriptor = os.open(work, os.O_RDONLY)
            if _take(descriptor) is not False and work.exists():
                return work, descriptor
            os.close(descriptor)
    raise FileNotFoundError(2, "the folder to build in was taken away", str(destination))


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the lock of a folder, or None: it is held, or cannot be."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # gone meanwhile, or somebody else's
        return None
    if _take(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _take(descriptor: int) -> bool | None:
    """Whether the lock was free; None on a file system without locks, where nobody removes anything."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
