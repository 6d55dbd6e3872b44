"""Unforeseen exceptions, as errors that a user can act on."""

from __future__ import annotations

from typing import Final

from snapshotter.base.errors import Defect, SnapshotterError
from snapshotter.base.text import printable
from snapshotter.base.urls import redact

NO_THREAD: Final = "no-thread"
"""The code of the error for a thread that the system refused."""


def as_error(error: BaseException) -> SnapshotterError:
    """The error to show for any exception: itself if it is ours, else what the machine lacked, else a defect.

    The original is kept as the cause, so that whoever wants its traceback has it.
    """
    if isinstance(error, SnapshotterError):
        return error
    translated = _translated(error)
    translated.__cause__ = error
    return translated


def _translated(error: BaseException) -> SnapshotterError:
    if isinstance(error, OSError):
        return SnapshotterError(
            f"{error.strerror or error}: {error.filename or ''}".rstrip(": "),
            code="os",
            hint="check the path",
        )
    if isinstance(error, MemoryError):
        return SnapshotterError(
            "out of memory", code="memory", hint="lower --segment-size or SNAPSHOTTER_UPLOADS"
        )
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return SnapshotterError(
            "the system lets no further thread be",
            code=NO_THREAD,
            hint="do less at once, or allow more processes (ulimit -u, or a container's limit of pids)",
        )
    return Defect(
        f"a defect in snapshotter: {type(error).__name__}: {printable(redact(str(error)))[:300]}",
        hint="run again with --verbose and report the traceback",
    )
