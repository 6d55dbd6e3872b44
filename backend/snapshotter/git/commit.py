"""What a commit object says. Source: `git cat-file -p` shows one as it is stored."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_COMMITTER: Final = re.compile(rb"^committer [^\n]* (\d{1,12}) [+-]\d{1,9}$", re.M)
_LAST: Final = 253_402_300_800  # seconds: the end of the year 9999


def committed_at(commit: bytes) -> datetime | None:
    """When a commit was made by its own word, UTC, to the second; None for one that gives no such time."""
    committer = _COMMITTER.search(_head(commit))
    seconds = int(committer[1]) if committer else _LAST
    return datetime.fromtimestamp(seconds, UTC) if seconds < _LAST else None


def parents(commit: bytes) -> list[str]:
    """The ids of a commit's parents, in its order."""
    lines = _head(commit).split(b"\n")
    return [line[7:].decode("ascii", "replace") for line in lines if line.startswith(b"parent ")]


def _head(commit: bytes) -> bytes:
    """The lines before the message, which may hold any text."""
    return commit.partition(b"\n\n")[0]
