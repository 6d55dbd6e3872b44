"""What a fleet's run would take: every repository of an inventory, and why it is in or out.

A source that does not answer costs no other: what it lists is then not known, which is told, and never that there is
nothing.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from msgspec import structs

from snapshotter.base.errors import AccessDenied, PartialFailure, SnapshotterError, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural, printable
from snapshotter.base.unexpected import as_error
from snapshotter.capture.wiki import origin_of_wiki
from snapshotter.fleet.entries import Entries, Entry
from snapshotter.fleet.inventory import FolderTable, Inventory, SourceTable
from snapshotter.fleet.roster import Change, Known, Roster, changes
from snapshotter.fleet.sources.listed import Listed, RepoSource
from snapshotter.git.origin_parsing import parse

NAMED = "named in the inventory"

_NO_ORIGIN: Final = "no origin: "
_MOST_LOOKED_UP: Final = 500  # repositories whose new place is asked for; each is a request


@dataclass(frozen=True, slots=True)
class Omitted:
    """A repository that a source lists and that would not be taken, and `why`."""

    source: str
    path: str
    id: str
    why: str


@dataclass(frozen=True)
class SourceState:
    """How many repositories a source lists, and how many of them are in; or the error in place of a list."""

    title: str
    listed: int = 0
    taken: int = 0
    error: SnapshotterError | None = None


@dataclass(frozen=True)
class FleetPlan:
    """The plan. `changes` are those since an earlier one, if there was one to compare with."""

    name: str
    entries: Sequence[Entry]
    left_out: Sequence[Omitted]
    sources: Sequence[SourceState]
    changes: Sequence[Change] = ()

    @property
    def ending(self) -> SnapshotterError | None:
        """The error to end with; None if every source answered. If none did and no repository is named, it is the
        first one's own kind."""
        failed = [state for state in self.sources if state.error is not None]
        if not failed:
            return None
        details = tuple(f"{state.title}: {state.error.message}" for state in failed[:10] if state.error)
        kind: type[SnapshotterError] = PartialFailure
        if len(failed) == len(self.sources) and not self.entries:
            denied = all(isinstance(state.error, AccessDenied) for state in failed)
            kind = AccessDenied if denied else Unavailable
        hint = failed[0].error.hint if failed[0].error else ""
        return kind(
            f"{len(failed)} of {plural(len(self.sources), 'source')} gave no list",
            code="sources",
            hint=hint,
            details=details,
        )


@dataclass
class _Choice:
    """What is in and out so far; `seen` has the entries' indexes by their canonical origins."""

    entries: Entries = field(default_factory=Entries)
    seen: dict[str, int] = field(default_factory=dict)
    left_out: list[Omitted] = field(default_factory=list)

    def add(self, entry: Entry) -> int:
        """Take an entry, unless it is in already, and its wiki, if its options ask for that. Returns how many of the
        two were taken, or are in with another's labels."""
        taken = int(self._add(entry))
        return taken + self._add_wiki(entry) if entry.options.wiki else taken

    def _add(self, entry: Entry) -> bool:
        name = entry.origin.canonical
        at = self.seen.get(name)
        if at is None:
            self.seen[name] = self.entries.add(entry)
            return True
        before = self.entries[at]
        if not before.source:  # the inventory's own word on it stands, and the source tells its id
            known = (entry.source, entry.path, entry.id)
            why = f"{before.why}, and {entry.why}"
            wiki = before.options.wiki or entry.options.wiki
            options = structs.replace(before.options, wiki=wiki)
            told = Entry(before.origin, why, *known, before.labels, options, before.optional, entry.bytes)
            self.entries.put(at, told)
            return True
        self.left_out.append(Omitted(entry.source, entry.path, entry.id, f"in already: {before.why}"))
        return False

    def _add_wiki(self, entry: Entry) -> bool:
        """Take the wiki as a repository of its own, with all its refs: neither the origin's patterns are for it, nor
        those of the settings, which would stand in for none."""
        options = structs.replace(entry.options, refs=["*"], exclude_refs=[], ref=None, wiki=False)
        origin, why = origin_of_wiki(entry.origin), f"the wiki of {entry.path or entry.origin.url}"
        path = f"{entry.path}.wiki" if entry.source else origin.url
        wiki = Entry(origin, why, entry.source, path, "", entry.labels, options, optional=True)
        at = self.seen.get(origin.canonical)
        is_told = at is not None and bool(self.entries[at].source or not wiki.source)
        return not is_told and self._add(wiki)


def make(
    inventory: Inventory,
    sources: Iterable[tuple[SourceTable, RepoSource]],
    observer: Observer,
    before: Roster | None = None,
) -> FleetPlan:
    """The plan of an inventory; `sources` are its own. With `before`, it tells what changed since.

    Raises what a cancellation raises. Whatever else keeps a source from answering is its state's error.
    """
    choice = _Choice()
    for repo in inventory.repos:
        choice.add(Entry(repo.origin, NAMED, "", repo.origin.url, "", repo.labels, repo.options))
    states: list[SourceState] = []
    now: dict[str, list[Listed]] = {}
    elsewhere: dict[tuple[str, str], Listed] = {}
    for table, source in sources:
        observer.stage(f"asking {printable(table.title)}")
        try:
            rows = list(source.listed())
            for was, found in _looked_up(before, table.title, rows, source):
                # One that was deleted while pages were read has moved the others up, and one of them between two pages.
                if found.path == was.path:
                    rows.append(found)
                else:
                    elsewhere[was.source, was.id] = found
        except (Unavailable, AccessDenied, OSError) as error:
            states.append(SourceState(table.title, error=as_error(error)))
            continue
        if before:  # nobody else asks for them, and they may be very many
            now[table.title] = rows
        for warning in _idle_patterns(table, rows):
            observer.warn(warning)
        out = len(choice.left_out)
        taken = sum(_choose(choice, table, listed) for listed in rows)
        for warning in _without_origin(table, choice.left_out[out:]):
            observer.warn(warning)
        states.append(SourceState(table.title, len(rows), taken))
    titles = [state.title for state in states]
    told = changes(before, now, titles, elsewhere) if before else ()
    return FleetPlan(inventory.name, choice.entries, choice.left_out, states, [*told])


def _looked_up(
    before: Roster | None, title: str, rows: Sequence[Listed], source: RepoSource
) -> Iterator[tuple[Known, Listed]]:
    """Those of a source's repositories that it had before and does not list now, with where they are; what nobody can
    tell of is left out."""
    ids = {listed.id for listed in rows}
    gone = [] if before is None else [each for each in before.known.values() if each.source == title]
    for was in [each for each in gone if each.id and each.id not in ids][:_MOST_LOOKED_UP]:
        if found := source.found(was.id):
            yield was, found


def _choose(choice: _Choice, table: SourceTable, listed: Listed) -> int:
    """Take what a source lists, or leave it out. Returns how many entries it is: with its wiki, two."""
    if why := _why_not(table, listed):
        choice.left_out.append(Omitted(table.title, listed.path, listed.id, why))
        return 0
    try:
        origin = parse(listed.origin)
    except SnapshotterError as error:
        choice.left_out.append(Omitted(table.title, listed.path, listed.id, f"{_NO_ORIGIN}{error.message}"))
        return 0
    options = table.options
    if listed.wiki and not isinstance(table, FolderTable) and table.wikis:
        options = structs.replace(options, wiki=True)
    why = f"listed by {table.title}{' (archived)' if listed.archived else ''}"
    known = (table.title, listed.path, listed.id)
    return choice.add(Entry(origin, why, *known, table.labels, options, bytes=listed.bytes))


def _why_not(table: SourceTable, listed: Listed) -> str | None:
    """Why a repository is left out. Returns None if it is in."""
    if not isinstance(table, FolderTable):
        if listed.archived and not table.archived:
            return "archived"
        if listed.fork and not table.forks:
            return "a fork"
    for pattern in table.exclude:
        if _matches(table, pattern, listed):
            return f"excluded by {pattern}"
    if table.include is not None and not any(_matches(table, each, listed) for each in table.include):
        return "matches no pattern of include"
    return None


def _idle_patterns(table: SourceTable, rows: Sequence[Listed]) -> Iterator[str]:
    """What to warn of: a list that is empty, and patterns to include that match nothing, as misspelt ones do."""
    if not rows:
        if isinstance(table, FolderTable):
            yield f"{printable(table.title)} has no bare repository, and others are not looked for: check its path"
        else:
            yield f"{printable(table.title)} lists no repository: check its name, and what the token may see"
        return
    for pattern in table.include or ():
        if not any(_matches(table, pattern, listed) for listed in rows):
            yield f"{printable(table.title)}: no repository matches {printable(pattern)}"


def _without_origin(table: SourceTable, left_out: Sequence[Omitted]) -> Iterator[str]:
    """What to warn of: repositories that nobody chose to leave out, and that cannot be taken by their names."""
    odd = [each for each in left_out if each.why.startswith(_NO_ORIGIN)]
    if odd:
        yield (
            f"{printable(table.title)}: {plural(len(odd), 'repository', 'repositories')} cannot be taken, "
            f"such as {printable(odd[0].path)}: {printable(odd[0].why.removeprefix(_NO_ORIGIN))}"
        )


def _matches(table: SourceTable, pattern: str, listed: Listed) -> bool:
    blind = not isinstance(table, FolderTable)  # the forges' names are one in any case
    return bool(_compiled(pattern.lower() if blind else pattern).match(listed.name))


@lru_cache(1000)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
