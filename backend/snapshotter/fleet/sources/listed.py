"""A repository as a source lists it, and what every source can be asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Listed:
    """A repository as its source has it now.

    `path` is how the source names it, with its owner; `name`, what patterns are about, is the path below what was asked
    for. `id` is the source's own and outlasts renames; "" where there is none. `bytes` is what the source says that it
    weighs, if it does. `origin` is the text of its origin, and `wiki` that of its wiki, if it has one.
    """

    id: str
    path: str
    name: str
    origin: str
    archived: bool = False
    fork: bool = False
    wiki: str | None = None
    bytes: int | None = None


class RepoSource(Protocol):
    """One source. Whatever is asked raises Unavailable or AccessDenied if it is not answered."""

    def listed(self) -> Iterator[Listed]:
        """Every repository, as the source lists them."""
        ...

    def found(self, id: str) -> Listed | None:  # noqa: A002 - the forges' own word
        """The repository of an id, wherever it is now. Returns None if nobody can tell."""
        ...
