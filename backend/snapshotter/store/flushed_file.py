"""A new file that is on the disk once it is written.

A large one goes there past the page cache (O_DIRECT of open(2)), where the file system knows how to and the bytes
begin at a page's start. To copy them into the cache costs as much processor time as both of their digests, and nobody
reads a segment that was just written.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_LARGE: Final = 1024 * 1024  # bytes
_BLOCK: Final = 4096  # bytes: no disk in use has larger ones


def write_flushed(path: Path, data: bytes | memoryview) -> None:
    """Make the file `path` of these bytes, and return once the disk has them. Raises OSError, and FileExistsError
    where there is such a file."""
    descriptor = os.open(path, _WRITE, 0o666)
    try:
        left = memoryview(data)
        if len(left) >= _LARGE:
            left = left[_past_the_cache(descriptor, left[: len(left) // _BLOCK * _BLOCK]) :]
        while len(left):
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _past_the_cache(descriptor: int, data: memoryview) -> int:
    """How many of these bytes were written so: none, or not all, where the file system or their place forbids it."""
    flags, written = fcntl.fcntl(descriptor, fcntl.F_GETFL), 0
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return written
