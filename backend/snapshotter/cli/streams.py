"""The standard streams, made so that talk never fails the work: stderr takes what it can, stdout says if it cannot.

Every start loads this, `--version` too: so it imports nothing that the interpreter has not loaded by itself.
"""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False  # typing's own takes longer to load than all the rest
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_PATIENCE = 10.0  # seconds that a reader of talk may take nothing
_LOOK = 100  # milliseconds between two looks at it: a signal may have ended our patience
_AT_ONCE = 4096  # bytes that a pipe takes whole where it takes any (pipe(7), PIPE_BUF)


class _Mouth(io.FileIO):
    """Where talk goes. A reader who takes nothing for some seconds is not waited for, until he reads again: what is
    said meanwhile is lost. A pipe that nobody reads would hold the work, and a signal's end, for ever.
    """

    def __init__(self, descriptor: int, patience: float) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._patience = patience  # seconds

    def write(self, data: memoryview) -> int:  # type: ignore[override] # a buffer of its caller, BufferedWriter
        """As FileIO's, but what nobody takes counts as written."""
        if not self._heard():
            return len(data)
        return super().write(memoryview(data)[:_AT_ONCE])

    def hurry(self) -> None:
        """See Talk."""
        self._patience = 0.0

    def _heard(self) -> bool:
        import select  # which the version is told without
        import time

        poll, began = select.poll(), time.monotonic()
        poll.register(self.fileno(), select.POLLOUT)
        while not poll.poll(_LOOK if self._patience else 0):
            if time.monotonic() - began >= self._patience:
                self.hurry()
                return False
        return True


class Talk(io.TextIOWrapper):
    """A stderr that never fails: what a full disk, a closed pipe, a reader who sleeps or a terminal that is gone
    cannot take is lost."""

    def hurry(self) -> None:
        """Wait for no reader from now on."""
        if isinstance(mouth := getattr(self.buffer, "raw", None), _Mouth):
            mouth.hurry()

    def write(self, text: str) -> int:
        """See TextIOWrapper."""
        try:  # noqa: SIM105 - contextlib would be loaded for this alone
            super().write(text)
        except OSError:
            pass
        return len(text)

    def flush(self) -> None:
        """See TextIOWrapper."""
        try:  # noqa: SIM105 - contextlib would be loaded for this alone
            super().flush()
        except OSError:
            pass


def open_standard_streams(patience: float = _PATIENCE) -> None:
    """Give every closed standard stream /dev/null: else the next file or socket would get its number, and what is
    printed, or a child's input, would be that. stderr becomes a Talk that waits `patience` seconds for a reader, and no
    character is too much for stdout."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: PTH123, SIM115 - open for as long as the process lives
            if stream.fileno() != number:
                os.dup2(stream.fileno(), number)
            setattr(sys, name, stream)
    # A file of its own: the stream before may close its own.
    mouth = io.BufferedWriter(_Mouth(sys.stderr.fileno(), patience))  # type: ignore[type-var] # for its write
    sys.stderr = Talk(mouth, sys.stderr.encoding, "backslashreplace", line_buffering=True)
    if isinstance(sys.stdout, io.TextIOWrapper):  # another's stream, as in a test, is left as it is
        sys.stdout.reconfigure(errors="backslashreplace")


def ending(work: Callable[[], None]) -> NoReturn:
    """Do work that prints to stdout, and exit. The code is the work's own, or 4 if stdout did not take it all and the
    work had nothing worse; a reader that has seen enough is no failure."""
    code, lost = 0, None
    try:
        work()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except OSError as error:
        lost = error
    try:
        sys.stdout.flush()
    except OSError as error:
        lost = error
    if lost is None:
        sys.exit(code)
    if not code and not isinstance(lost, BrokenPipeError):
        sys.stderr.write(unwritten(lost))
        code = 4
    os._exit(code)  # what is buffered would fail again


def unwritten(error: OSError) -> str:
    """The sentence for a stdout that took no result."""
    return f"error: the result could not be written: {error.strerror}\n\nhint: check where stdout leads\n"
