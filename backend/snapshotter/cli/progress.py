"""Progress on stderr: a live line with rate and estimate on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from snapshotter.base.observer import Observer
from snapshotter.base.text import human_bytes, printable

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

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
            self._say(f"{self._stage}: {facts(self._done, self._total, rate)}")

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
        from rich.progress import Progress, ProgressColumn, SpinnerColumn, TimeElapsedColumn
        from rich.text import Text

        screen = Console(stderr=True)

        class Line(ProgressColumn):
            """The stage, cut where the screen is too narrow, and its facts in the words of the plain lines."""

            def render(self, task: Task) -> Text:
                """See ProgressColumn."""
                total = int(task.total) if task.total else None
                figures = facts(int(task.completed), total, task.speed or 0.0)
                tail = f": {figures}" if figures else ""
                room = max(screen.width - len(tail) - 12, 10)  # beside spinner and clock
                stage = task.description
                return Text((stage if len(stage) <= room else f"{stage[: room - 1]}…") + tail, no_wrap=True)

        self._progress: Progress = Progress(
            SpinnerColumn(), Line(), TimeElapsedColumn(), console=screen, transient=True
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


def facts(done: int, total: int | None, rate: float) -> str:
    """``12.0 MiB of 48.0 MiB, 6.0 MiB/s, 6 s left``, from bytes and bytes a second.

    `total` is None where nobody knows it; one that was passed was an estimate, and is not shown any more.
    """
    if not done:
        return ""
    known = total is not None and done <= total
    amount = f"{human_bytes(done)} of {human_bytes(total or 0)}" if known else human_bytes(done)
    if rate <= 0:
        return amount
    left = f", {_span(((total or 0) - done) / rate)} left" if known else ""
    return f"{amount}, {human_bytes(rate)}/s{left}"


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"
