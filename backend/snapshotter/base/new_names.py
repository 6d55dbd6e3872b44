"""A finished file gets its name, if nothing has that name: what can be seen under it is whole.

A hard link does that on most file systems. FAT, exFAT and some network shares have none; there a rename
that refuses to replace does it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})
_NO_SUCH_RENAME: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})
_AT_FDCWD: Final = -100
_NOREPLACE: Final = 1  # RENAME_NOREPLACE of renameat2(2)


class NeitherLinkNorRename(OSError):
    """The file system can give a file its name only by replacing whatever has that name."""


def take_name(unnamed: Path, name: Path) -> None:
    """Give the finished file `unnamed` the name `name` in the same file system. Where its old name stays, the
    caller removes it.

    Raises FileExistsError if something has the name already, NeitherLinkNorRename where that cannot be told and
    done in one step, and OSError for other trouble.
    """
    try:
        os.link(unnamed, name, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _rename(unnamed, name)


def _rename(unnamed: Path, name: Path) -> None:
    """renameat2(2) with RENAME_NOREPLACE, which Python has no name for."""
    import ctypes  # hardly any file system needs it: start-up

    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "renameat2", None)
    failed = call is None or call(_AT_FDCWD, os.fsencode(unnamed), _AT_FDCWD, os.fsencode(name), _NOREPLACE)
    if not failed:
        return
    code = errno.ENOSYS if call is None else ctypes.get_errno()
    if code in _NO_SUCH_RENAME:
        raise NeitherLinkNorRename(code, "neither hard links nor a rename that replaces nothing", str(name))
    raise OSError(code, os.strerror(code), str(name))
