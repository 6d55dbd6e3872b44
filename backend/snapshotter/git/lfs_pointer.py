"""LFS pointers: the small blobs that stand for large files. Source: git-lfs's specification (docs/spec.md)."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 1024  # bytes that a pointer stays below, as git-lfs has it
# Before it had its name, git-lfs wrote another; it reads a pointer without its last line end, too.
_POINTER: Final = re.compile(
    rb"version https://(?:git-lfs|hawser)[\w./-]{1,100}\n(?:ext-[\w-]+ \w+:\w+\n)*"
    rb"oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n?"
)
_NO_PART: Final = re.compile(rb"[^\w./: \n-]|[ \n][ \n]")


def may_be_part(data: bytes) -> bool:
    """Whether a pointer may hold these bytes, in a row."""
    return not _NO_PART.search(data)


def lfs_pointer(data: bytes) -> tuple[str, int] | None:
    """The SHA-256 and the size in bytes that an LFS pointer names; None if `data` is no pointer."""
    pointer = _POINTER.fullmatch(data) if len(data) < LONGEST else None
    return (pointer[1].decode(), int(pointer[2])) if pointer else None
