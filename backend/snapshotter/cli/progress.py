"""Progress on stderr: a live line with rate and estimate on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from snapshotter.base.observer import Observer
from snapshotter.base.text import human_bytes, printable

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID

_EVERY = 5.0  # seconds between two plain lines of one stage


class PlainProgress(Observer):
    """A line when a stage begins and every few seconds while it lasts."""

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet, self._clock = quiet, clock
        self._stage, self._total, self._done = "", None, 0  # type: tuple[str, int | None, int]
        self._began = self._last_line = clock()

    def stage(self, what: str, total: int | None = None) -> None:
        """See Observer."""
        self._stage, self._total, self._done = what, total, 0
        self._began = self._last_line = self._clock()
        self._print(what)

    def advance(self, count: int) -> None:
        """See Observer."""
        self._done += count
        now = self._clock()
        if now - self._last_line >= _EVERY:
            self._last_line = now
            rate = self._done / max(now - self._began, 0.001)
            self._print(f"{self._stage}: {facts(self._done, self._total, rate)}")

    def note(self, what: str) -> None:
        """See Observer."""
        now = self._clock()
        if now - self._last_line >= _EVERY:
            self._last_line = now
            self._print(what)

    def warn(self, what: str) -> None:
        """See Observer."""
        sys.stderr.write(f"warning: {printable(what)}\n")

    def close(self) -> None:
        """Do nothing: a printed line needs no end."""

    def _print(self, line: str) -> None:
        if not self._quiet:
            sys.stderr.write(f"{printable(line)}\n")
            sys.stderr.flush()


class LiveProgress(Observer):
    """One live line by rich. `live` makes one that is on the screen."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._task: TaskID | None = None

    def stage(self, what: str, total: int | None = None) -> None:
        """See Observer."""
        if self._task is not None:
            self._display.remove_task(self._task)
        self._task = self._display.add_task(printable(what), total=total)

    def advance(self, count: int) -> None:
        """See Observer."""
        if self._task is not None:
            self._display.advance(self._task, count)

    def note(self, what: str) -> None:
        """See Observer."""
        if self._task is not None:
            self._display.update(self._task, description=printable(what))

    def warn(self, what: str) -> None:
        """See Observer."""
        self._display.console.print(
            f"warning: {printable(what)}", style="yellow", markup=False, highlight=False
        )

    def close(self) -> None:
        """Take the line off the screen."""
        self._display.stop()


def progress(*, quiet: bool) -> PlainProgress | LiveProgress:
    """What fits stderr: live on a terminal, plain lines elsewhere, warnings only when `quiet`."""
    return live() if sys.stderr.isatty() and not quiet else PlainProgress(quiet=quiet)


def live() -> LiveProgress:
    """A live line on stderr, drawn from now on until it is closed."""
    # Here and not above: rich takes longer to load than `list` takes to run, and most runs have no terminal.
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, SpinnerColumn, TimeElapsedColumn
    from rich.text import Text

    screen = Console(stderr=True)

    class StageLine(ProgressColumn):
        """The stage, cut where the screen is too narrow, and its facts in the words of the plain lines."""

        def render(self, task: Task) -> Text:
            """See ProgressColumn."""
            total = int(task.total) if task.total else None
            figures = facts(int(task.completed), total, task.speed or 0.0)
            tail = f": {figures}" if figures else ""
            room = max(screen.width - len(tail) - 12, 10)  # beside spinner and clock
            stage = task.description
            return Text((stage if len(stage) <= room else f"{stage[: room - 1]}…") + tail, no_wrap=True)

    display = Progress(SpinnerColumn(), StageLine(), TimeElapsedColumn(), console=screen, transient=True)
    display.start()
    return LiveProgress(display)


def facts(done: int, total: int | None, rate: float) -> str:
    """``12.0 MiB of 48.0 MiB, 6.0 MiB/s, 6 s left``, from bytes and bytes a second.

    `total` is None where nobody knows it. A total that `done` has passed was an estimate, and is not shown any more.
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
