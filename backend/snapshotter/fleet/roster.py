"""Which repository had which name: what renames, transfers and deletions since an earlier run are told by.

A forge's id outlasts renames, so names are compared by it. What is remembered is read from an earlier plan's document;
a run's stored result will hold the same fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from snapshotter.base.errors import UsageError
from snapshotter.fleet.sources.listed import Listed

Kind = Literal["new", "renamed", "transferred", "replaced", "gone", "dropped"]
"""`replaced`: the name is another repository's now. `dropped`: the inventory no longer has the source."""


class Known(msgspec.Struct, frozen=True):
    """A repository as an earlier run knew it: its source's title, and there its id ("" where there is none) and path.

    `optional` is as in a plan's entry: a wiki, which comes and goes with its repository.
    """

    source: str
    path: str
    id: str = ""
    optional: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same repository under another name: the forge, and there its id; else its path."""
        return _key(self.source, self.id, self.path)


class Roster(msgspec.Struct, frozen=True):
    """All that an earlier run knew, what it left out as well."""

    repos: list[Known] = []
    left_out: list[Known] = []

    @property
    def known(self) -> dict[tuple[str, str], Known]:
        """Each that came from a source, by its key."""
        return {each.key: each for each in (*self.left_out, *self.repos) if each.source and not each.optional}


@dataclass(frozen=True)
class Change:
    """What became of a repository since the roster. `path` is what it was called, `now` what it is called, if it is."""

    kind: Kind
    source: str
    path: str
    now: str | None = None


_ROSTERS: Final = msgspec.json.Decoder(Roster)


def read(document: bytes) -> Roster:
    """The roster in the document of an earlier plan. Raises UsageError if it is none."""
    try:
        return _ROSTERS.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UsageError(
            "what is compared with is no plan's document",
            code="roster",
            hint="give a file that `snapshotter fleet plan --json` wrote",
        ) from None


Now = Mapping[str, Iterable[Listed]]
"""What each source that answered lists, by its title."""


def changes(
    before: Roster, now: Now, asked: Iterable[str], elsewhere: Mapping[tuple[str, str], Listed]
) -> Iterator[Change]:
    """What became of the repositories of a roster, and which are new.

    `asked` are the titles of all of the inventory's sources: of those that gave no answer, nothing is told. `elsewhere`
    has, by title and id, where repositories are that a source lists no more.
    """
    asked = {*asked}
    listed = {_key(title, each.id, each.path): (title, each) for title, rows in now.items() for each in rows}
    owner_of = {(title.partition("/")[0], each.path.lower()): each.id for title, each in listed.values()}
    known = before.known
    for key, was in known.items():
        if key in listed:
            yield from _moved(was, listed[key][1].path)
        elif was.source not in asked:
            yield Change("dropped", was.source, was.path)
        elif was.source in now:
            found = elsewhere.get((was.source, was.id))
            yield from [Change("gone", was.source, was.path)] if found is None else _moved(was, found.path)
        successor = owner_of.get((was.source.partition("/")[0], was.path.lower()))
        if successor is not None and successor != was.id:
            yield Change("replaced", was.source, was.path, was.path)
    for key, (title, each) in listed.items():
        if key not in known:
            yield Change("new", title, each.path, each.path)


def _moved(was: Known, path: str) -> Iterator[Change]:
    if path.lower() == was.path.lower():
        return
    same = path.lower().rpartition("/")[0] == was.path.lower().rpartition("/")[0]
    yield Change("renamed" if same else "transferred", was.source, was.path, path)


def _key(source: str, id: str, path: str) -> tuple[str, str]:  # noqa: A002 - the forges' own word
    return (source.partition("/")[0], f"#{id}") if id else (source, path)
