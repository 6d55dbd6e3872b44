"""Processes of Python that load no module of the working directory: it may be a stranger's checkout, with modules that
are called like Python's own.

What is started with ``-c``, as multiprocessing does, looks there first. It can be given no option, but a variable.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_VARIABLE: Final = "PYTHONSAFEPATH"
_OURS: Final = "snapshotter"  # any text sets it; by this one it is known to be ours


@contextmanager
def safe_path() -> Iterator[None]:
    """Whatever Python is started in the block does not look there."""
    if os.environ.get(_VARIABLE):
        yield
        return
    os.environ[_VARIABLE] = _OURS
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)


def leave_others_alone() -> None:
    """In a process that was started so: a user's own programs, as one that prints a token, are started as ever."""
    if os.environ.get(_VARIABLE) == _OURS:
        del os.environ[_VARIABLE]
