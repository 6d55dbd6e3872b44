"""A result in a file that does not exist yet."""

from __future__ import annotations

from pathlib import Path

from snapshotter.base.errors import Unavailable, UsageError


def write_new(path: Path, data: bytes) -> None:
    """Write a file that does not exist yet. Raises UsageError if it does, Unavailable if it cannot be written."""
    try:
        file = path.open("xb")
    except FileExistsError:
        raise UsageError(f"the file exists: {path}", hint="name another file; none is overwritten") from None
    except OSError as error:
        raise _unwritten(path, error, "check the path") from error
    try:
        with file:
            file.write(data)
    except OSError as error:
        path.unlink(missing_ok=True)  # half of it would pass for the whole
        raise _unwritten(path, error, "free space and run again") from error


def _unwritten(path: Path, error: OSError, hint: str) -> Unavailable:
    return Unavailable(f"cannot write {path}: {error.strerror}", code="disk", hint=hint)
