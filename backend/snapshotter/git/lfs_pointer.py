"""LFS pointers: the small blobs that stand for large files. Source: git-lfs's specification (docs/spec.md)."""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 1024  # bytes that a pointer stays below, as git-lfs has it
# Before it had its name, git-lfs wrote others.
_VERSIONS: Final = (
    rb"https://git-lfs\.github\.com/spec/v1|https://hawser\.github\.com/spec/v1|http://git-media\.io/v/2"
)
# What git-lfs reads, and not only what it writes: editors and line-end settings have been at some pointers.
_END: Final = rb"\r?\n(?:\r?\n)*+"
_EXTENSIONS: Final = rb"(?:ext-\d-\w[\w-]*+ \w++:\w++\r?\n(?:\r?\n)*+)*+"
_POINTER: Final = re.compile(
    rb"\s*+%(ext)bversion (?:%(versions)b)%(end)b%(ext)boid sha256:([0-9a-f]{64})%(end)b%(ext)bsize \+?(\d{1,19})\s*"
    % {b"ext": _EXTENSIONS, b"versions": _VERSIONS, b"end": _END}
)
_NO_PART: Final = re.compile(rb"[^\w./:+\s-]")
_LARGEST: Final = 2**63 - 1


def may_be_part(data: bytes) -> bool:
    """Whether these bytes, in one piece or several, may all stand in a pointer."""
    return not _NO_PART.search(data)


def lfs_pointer(data: bytes) -> tuple[str, int] | None:
    """The SHA-256 and the size in bytes that an LFS pointer names.

    Returns None if `data` is none that git-lfs reads, and for one of nothing: it makes an empty file of that, and asks
    for no object.
    """
    if len(data) >= LONGEST or b"sha256:" not in data:  # first of all what most blobs lack
        return None
    pointer = _POINTER.fullmatch(data)
    return (pointer[1].decode(), size) if pointer and 0 < (size := int(pointer[2])) <= _LARGEST else None
