"""The hidden folder beside its destination in which a restore is built, and what a killed restore left of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from snapshotter.base.cancel import Cancel
from snapshotter.base.folders import Fate, locked_folder, sweep
from snapshotter.base.observer import Observer

_MODE: Final = 0o777  # less the umask: the folder becomes the user's repository
_WARNINGS: Final[dict[Fate, str]] = {
    "removed": "removed {}, which a killed restore left behind",
    "in use": "{} is left alone: another restore to the same place may be at work in it",
    "stuck": "{}, which a killed restore left behind, cannot be removed; remove it by hand",
}


@contextmanager
def building(destination: Path, cancel: Cancel) -> Iterator[Path]:
    """A new, locked folder beside `destination`, for as long as the restore lasts.

    What is still under its name at the end, or when the work is cancelled, is removed. Raises OSError if the
    folder cannot be made.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with locked_folder(destination.parent, _prefix(destination), mode=_MODE, cancel=cancel) as work:
        yield work


def clear(destination: Path, observer: Observer) -> None:
    """Remove what killed restores to `destination` left beside it, and warn of it; warn of what stays, and why."""
    for leftover in sweep(destination.parent, _prefix(destination)):
        observer.warn(_WARNINGS[leftover.fate].format(leftover.path))


def _prefix(destination: Path) -> str:
    return f".{destination.name}.partial-"
