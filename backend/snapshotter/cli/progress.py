"""Progress on stderr: a live line with rate and estimate on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from snapshotter.observer import Observer
from snapshotter.text import human_bytes, printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_EVERY = 5.0  # seconds between two plain lines of one stage


class PlainProgress(Observer):
    """A line when a stage begins and every few seconds while it lasts."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._stage, self._total, self._done = "", None, 0  # type: tuple[str, int | None, int]
        self._began = self._said = time.monotonic()

    def stage(self, what: str, total: int | None = None) -> None:
        """See Observer."""
        self._stage, self._total, self._done = what, total, 0
        self._began = self._said = time.monotonic()
        self._say(what)

    def advance(self, count: int) -> None:
        """See Observer."""
        self._done += count
        now = time.monotonic()
        if now - self._said >= _EVERY:
            self._said = now
            rate = self._done / max(now - self._began, 0.001)
            of = f" of {human_bytes(self._total)}" if self._total else ""
            left = f", {(self._total - self._done) / max(rate, 1):.0f} s left" if self._total else ""
            self._say(f"{self._stage}: {human_bytes(self._done)}{of}, {human_bytes(rate)}/s{left}")

    def warn(self, what: str) -> None:
        """See Observer."""
        sys.stderr.write(f"warning: {printable(what)}\n")

    def close(self) -> None:
        """Nothing is held."""

    def _say(self, line: str) -> None:
        if not self._quiet:
            sys.stderr.write(f"{printable(line)}\n")
            sys.stderr.flush()


class LiveProgress(Observer):
    """One live line by rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(True),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._progress.start()
        self._task: TaskID | None = None

    def stage(self, what: str, total: int | None = None) -> None:
        """See Observer."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(printable(what), total=total)

    def advance(self, count: int) -> None:
        """See Observer."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def warn(self, what: str) -> None:
        """See Observer."""
        self._progress.console.print(
            f"warning: {printable(what)}", style="yellow", markup=False, highlight=False
        )

    def close(self) -> None:
        """Take the line away."""
        self._progress.stop()


def progress(*, quiet: bool) -> PlainProgress | LiveProgress:
    """What fits stderr: live on a terminal, plain lines elsewhere, warnings only when `quiet`."""
    return LiveProgress() if sys.stderr.isatty() and not quiet else PlainProgress(quiet=quiet)
