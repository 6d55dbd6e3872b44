"""The port to an origin's LFS objects, whatever gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from snapshotter.base.errors import Unavailable
from snapshotter.transport import Sink

Reason = Literal[
    "no-server",
    "not-found",
    "forbidden",
    "over-quota",
    "busy",
    "unreachable",
    "unsafe",
    "unreadable",
    "wrong-size",
    "wrong-digest",
    "too-large",
]

# In words for people, after "is missing: ".
REASONS: Final[dict[Reason, str]] = {
    "no-server": "the origin has no LFS server",
    "not-found": "the LFS server does not have it",
    "forbidden": "the LFS server refuses it",
    "over-quota": "the origin's quota of LFS is spent",
    "busy": "the LFS server limits requests",
    "unreachable": "the LFS server could not be reached, or broke off",
    "unsafe": "the LFS server names a place that is not followed",
    "unreadable": "the LFS server's answer cannot be read",
    "wrong-size": "what came is not of the size that its pointer says",
    "wrong-digest": "what came is another object",
    "too-large": "it is over the limit of one object",
}


class LfsPointer(NamedTuple):
    """What a pointer names: an object's SHA-256 in hexadecimal, which is its id in LFS, and its size in bytes."""

    oid: str
    bytes: int


class LfsUnavailable(Unavailable):
    """An LFS object cannot be had, or none of them: `of_all` tells which. `transient`: another try may help."""

    default_code = "lfs"

    def __init__(
        self, message: str, reason: Reason, *, hint: str = "", of_all: bool = False, transient: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason, self.of_all, self.transient = reason, of_all, transient


class Download(Protocol):
    """The way to one object, as the source has told it."""

    def __call__(self, sink: Sink) -> None:
        """Stream the object's bytes, no more than its pointer says, in one try.

        Raises LfsUnavailable, what `sink` raises, and the caller's Interrupted. The bytes are not compared with the
        object's id: that is the caller's part.
        """
        ...


class LfsSource(Protocol):
    """Where an origin's LFS objects are had. Safe to share between threads."""

    def locate(self, pointers: Sequence[LfsPointer]) -> dict[LfsPointer, Download | LfsUnavailable]:
        """The way to each of at most BATCH objects, or why there is none.

        Raises LfsUnavailable with `of_all` if none can be had now, and the caller's Interrupted.
        """
        ...

    def configured(self, url: str) -> LfsUnavailable | None:
        """Take note of the LFS server that a repository's own configuration names.

        Its author wrote it, so one on another host than the origin's is used only if the user has named that host;
        if it is not used, the error says why.
        """
        ...


class LfsTarget(Protocol):
    """A repository at a host that takes LFS objects."""

    def upload(self, files: Mapping[LfsPointer, Path]) -> dict[LfsPointer, LfsUnavailable]:
        """Upload at most BATCH objects, those that it has not. Returns the ones that it did not take, and why.

        Raises LfsUnavailable with `of_all` if it takes none, and the caller's Interrupted.
        """
        ...


BATCH: Final = 100  # objects of one question, as git-lfs asks
