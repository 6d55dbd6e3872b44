"""The folder in which a restore is built, beside its destination or inside, and what a killed restore left of one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from snapshotter.base.cancel import Cancel
from snapshotter.base.folders import Fate, locked_folder, remove, sweep
from snapshotter.base.observer import Observer
from snapshotter.recover import in_place

_MODE: Final = 0o777  # less the umask: the folder becomes the user's repository
_WARNINGS: Final[dict[Fate, str]] = {
    "removed": "removed {}, which a killed restore left behind",
    "in use": "{} is left alone: another restore to the same place may be at work in it",
    "stuck": "{}, which a killed restore left behind, cannot be removed; remove it by hand",
}


class Build(Protocol):
    """A repository in the making."""

    @property
    def work(self) -> Path:
        """The folder to make it in."""
        ...

    def place(self, ready: Callable[[Path], None]) -> None:
        """Put what was made at its destination. Files that lie in it directly may get a new ctime; `ready` is called
        with the destination after that, and before the repository is one there.

        Raises OSError if it cannot be put there, the caller's Interrupted if the work was cancelled.
        """
        ...


def check_free(destination: Path) -> None:
    """Raises UsageError if something is at `destination` that is no empty folder."""
    # Not through a link, even to an empty folder: what it leads to may be anybody's.
    if destination.is_symlink() or (
        destination.exists() and not (destination.is_dir() and in_place.is_free(destination))
    ):
        raise in_place.not_empty(destination)


@contextmanager
def building(destination: Path, observer: Observer, cancel: Cancel) -> Iterator[Build]:
    """Where to build what is for `destination`: inside it if it is an empty folder, else in a new folder beside it.

    What is not placed at the end is removed, as it is when the work is cancelled, with the folders above that were made
    for it. What killed restores left is removed before, with a warning. Raises UsageError if the destination is in use,
    OSError if no folder can be made.
    """
    clear(destination, observer)
    if destination.exists():
        with in_place.building(destination, observer, cancel) as inside:
            yield inside
        return
    with (
        _parents(destination.parent) as made,
        locked_folder(destination.parent, _prefix(destination), mode=_MODE) as work,
    ):
        beside = _Beside(work, destination, made, cancel)
        with cancel.ending(beside.clear):
            yield beside


@dataclass(frozen=True)
class _Beside:
    """A new folder that gets the destination's name."""

    work: Path
    destination: Path
    parents: Sequence[Path]
    cancel: Cancel
    # A cancellation clears up from its own thread.
    _moving: threading.Lock = field(default_factory=threading.Lock)

    def place(self, ready: Callable[[Path], None]) -> None:
        """See Build."""
        with self._moving:
            self.cancel.check()
            self.work.rename(self.destination)

    def clear(self) -> None:
        """Remove the folder, and the parents made for it, unless it is placed. Safe to call from any thread."""
        with self._moving:
            remove(self.work)
            _remove_empty(self.parents)


@contextmanager
def _parents(folder: Path) -> Iterator[Sequence[Path]]:
    """`folder`, made with those above it that are missing; those are listed, and removed at the end if they are empty.

    Raises OSError if one cannot be made.
    """
    made: list[Path] = []
    try:
        for each in reversed((folder, *folder.parents)):
            if each.is_dir():
                continue
            try:
                each.mkdir()
            except FileExistsError:
                if not each.is_dir():  # else another process made it meanwhile
                    raise
            else:
                made.append(each)
        yield made
    finally:
        _remove_empty(made)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove nested folders, which are listed outermost first, up to the first that holds something."""
    with suppress(OSError):
        for folder in reversed(folders):
            folder.rmdir()


def clear(destination: Path, observer: Observer) -> None:
    """Remove what killed restores to `destination` left beside it, and warn of it; warn of what stays, and why."""
    for leftover in sweep(destination.parent, _prefix(destination)):
        observer.warn(_WARNINGS[leftover.fate].format(leftover.path))


def _prefix(destination: Path) -> str:
    return f".{destination.name}.partial-"
