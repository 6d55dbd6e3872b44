"""kingfisher with its rules loaded, held back until the blobs are there.

Loading its rules costs it a third of a second of processor time, whatever it searches; a small repository's blobs
cost a hundredth. So it starts while they are fetched, and one process searches the blobs of several scans.

It writes its audit log before it looks at any folder that it is given, and for each of them once more. The log is a
pipe that we have filled: kingfisher waits in its first write, and goes on when we empty the pipe. Would it look at the
folders first, its report would say that it read none of the blobs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from snapshotter.base.cancel import Cancel
from snapshotter.scan import secrets
from snapshotter.scan.runner import RunningScanner, ScannerFailed, started
from snapshotter.scan.secrets import Report, Searched, SecretFinding
from snapshotter.scan.staging import private_folder

_SCANNER: Final = "kingfisher"
_AUDIT: Final = "audit"
_BLOBS: Final = "blobs"

Answer = list[SecretFinding] | ScannerFailed
"""The secrets of one scan, or why its blobs have to be searched again, alone."""


class HeldSearch:
    """One process of kingfisher, for one search; close it at the end."""

    def __init__(self, folder: Path, running: RunningScanner, audit: int, ending: ExitStack) -> None:
        self._folder, self._running, self._audit, self._ending = folder, running, audit, ending

    @classmethod
    def start(
        cls,
        parent: Path | None,
        scans: int,
        seconds: float,
        *,
        rule_cache: Path | None,
        kingfisher: Path | None = None,
    ) -> Self:
        """A process that will search the blobs of at most `scans` scans, and waits for them, or soon will.

        Its processor time is limited as that of one that may run for `seconds`. Its folder lies in `parent`, by
        default the system's temporary folder. Raises ScannerFailed if kingfisher does not start, and Unavailable (code
        `machine`) if there is no room for the folder.
        """
        with ExitStack() as opening:
            folder = opening.enter_context(private_folder(parent))
            roots = [str(number) for number in range(scans)]
            for root in roots:
                (folder / root).mkdir(0o700)
            audit = opening.enter_context(_full_pipe(folder / _AUDIT))
            command = secrets.command(
                folder,
                roots,
                rule_cache=rule_cache,
                kingfisher=kingfisher,
                more=["--audit-log", str(folder / _AUDIT)],
            )
            running = opening.enter_context(started(command, folder=folder, seconds=seconds))
            return cls(folder, running, audit, opening.pop_all())

    def close(self) -> None:
        """End the process, whatever it does. May be called twice."""
        self._ending.close()

    @property
    def waits(self) -> bool:
        """Whether the process still waits. One that ended by itself cannot search."""
        return not self._running.has_ended

    def search(self, scans: Sequence[Searched], seconds: float, cancel: Cancel) -> list[Answer]:
        """Search the blobs of some scans, within so many seconds from now on; the answers in their order.

        The blobs are moved here and back: nobody else looks at them meanwhile. Raises ScannerFailed if there is no
        answer for any of them, and the cancellation's error.
        """
        with ExitStack() as lent:
            given = [lent.enter_context(_lent(one, self._folder / str(at))) for at, one in enumerate(scans)]
            # The output has no name here: a traceback may show this frame's variables.
            found = secrets.read_report(
                self._running.output(
                    seconds=seconds, limit=secrets.LIMIT * len(scans), cancel=cancel, drained=self._audit
                ),
                {str(number): one for number, one in enumerate(scans)},
            )
        return [
            _answer(found, str(at), one, cancel)
            if given[at]
            else ScannerFailed(_SCANNER, "was not given the blobs")
            for at, one in enumerate(scans)
        ]


def _answer(found: Report | None, root: str, one: Searched, cancel: Cancel) -> Answer:
    try:
        return secrets.complete(found, root, one, cancel)
    except ScannerFailed as failed:
        return failed


@contextmanager
def _lent(one: Searched, place: Path) -> Iterator[bool]:
    """Move the blobs of a scan to `place` for as long as the block lasts; False where that cannot be."""
    try:
        (one.staging.root / _BLOBS).rename(place)
    except OSError:  # they lie on another file system
        yield False
        return
    try:
        yield True
    finally:
        with suppress(OSError):  # a scan that was cancelled meanwhile has no folder any more
            place.rename(one.staging.root / _BLOBS)


@contextmanager
def _full_pipe(path: Path) -> Iterator[int]:
    """A named pipe that holds all it can, so that whoever writes to it waits; its descriptor, to read from."""
    try:
        os.mkfifo(path, 0o600)
        # Both ends: so nobody waits to open it, and whoever reads never sees its end.
        pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ScannerFailed(_SCANNER, f"cannot be held: {error.strerror}") from error
    try:
        with suppress(BlockingIOError):
            while True:
                os.write(pipe, b"\n" * (1 << 16))
        yield pipe
    finally:
        os.close(pipe)
