"""Which LFS objects a history names: its pointers, asked of the origin apart from all that is no small blob.

A server that filters sends nothing else: some kilobytes where a history has gigabytes. Where one does not, the trees of
the tips are read, and history before them is not searched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, SnapshotterError, TooLarge, Unusable
from snapshotter.capture.fetched_pack import FetchedPack
from snapshotter.capture.pack_front import MAX_INFLATED, PackFront
from snapshotter.git.lfs_pointer import LONGEST, lfs_pointer, may_be_part
from snapshotter.git.pack import OutsideDelta, Pack, thin_objects
from snapshotter.git.refs import ObjectFormat
from snapshotter.transport import FetchRequest, FilterRefused, Transport, WantVanished
from snapshotter.transport.lfs.source import LfsPointer

MAX_PACK: Final = 1024 * 1024 * 1024  # bytes of one answer
_INFLATED: Final = 4  # times that: a bound of what it may hold
_IN_MEMORY: Final = 8 * 1024 * 1024  # bytes: a larger answer goes to a file
# Blobs alone; hosts that refuse this one often take the second, with which come commits and trees.
FILTERS: Final = (f"combine:object:type=blob+blob:limit={LONGEST}", f"blob:limit={LONGEST}")

Searched = Literal["all", "tips"]


@dataclass(frozen=True)
class PointerSearch:
    """Where pointers are looked for: in what `wants` reach and `haves` do not; with `tips`, only in their trees."""

    wants: Sequence[str]
    haves: Sequence[str]
    fmt: ObjectFormat
    tips: bool = False


@dataclass(frozen=True)
class FoundPointers:
    """Pointers by the ids of their blobs, and how far history was searched for them; `is_whole` if nothing was left
    out as known."""

    by_blob: Mapping[str, LfsPointer] = field(default_factory=dict)
    searched: Searched = "all"
    is_whole: bool = True


def told_pointers(front: PackFront, search: PointerSearch) -> FoundPointers | None:
    """The pointers that a search would find, if the pack of the history is that of the search and so small that all of
    it is at hand. None if it does not tell: an object that it holds as a delta against an old one may be a pointer."""
    asked = front.request
    if not front.whole or asked is None or search.tips:
        return None
    if (sorted(search.wants), sorted(search.haves)) != (sorted(asked.wants), sorted(asked.haves)):
        return None
    found: dict[str, LfsPointer] = {}
    try:
        for item in thin_objects(front.data, search.fmt, max_bytes=MAX_INFLATED):
            if isinstance(item, OutsideDelta):
                if item.size < LONGEST and may_be_part(item.inserts):
                    return None
            elif item.type == "blob" and (named := lfs_pointer(item.data)):
                found[item.oid] = LfsPointer(*named)
    except Unusable:  # whether the pack is sound is for whoever stores it
        return None
    return FoundPointers(found, "all", not search.haves)


def find_pointers(
    transport: Transport, search: PointerSearch, cancel: Cancel, temp: Path | None = None
) -> FoundPointers:
    """The pointers that a search finds, by a fork of `transport`; a large answer goes to a nameless file in `temp`.

    Raises what the transport raises, Unusable for a pack that does not read, TooLarge for one over MAX_PACK.
    """
    searched: Searched = "tips" if search.tips else "all"
    if not search.wants:
        return FoundPointers({}, searched, not search.haves)
    with closing(transport.fork()) as fork:
        refusals: list[SnapshotterError] = []
        for spec in FILTERS:
            try:
                found = _fetched(fork, search, spec, cancel, temp)
                return FoundPointers(found, searched, not search.haves)
            except (Interrupted, WantVanished, TooLarge):
                raise
            except (
                SnapshotterError
            ) as error:  # an old server ends without a word at a filter that it does not know
                cancel.check()
                refusals.append(error)
        if not isinstance(refusals[-1], FilterRefused):
            raise refusals[-1]
        return FoundPointers(_fetched(fork, search, None, cancel, temp), "tips", not search.haves)


def _fetched(
    transport: Transport, search: PointerSearch, spec: str | None, cancel: Cancel, temp: Path | None
) -> dict[str, LfsPointer]:
    depth = 1 if search.tips or spec is None else None
    request = FetchRequest(search.wants, search.haves, thin=False, filter=spec, depth=depth)
    with spooled(search.fmt, MAX_PACK, temp) as fetched:
        transport.fetch(request, fetched.take)
        fetched.finish()
        found: dict[str, LfsPointer] = {}
        pack = Pack(
            fetched.read,
            fetched.size,
            fetched.check.objects,
            search.fmt,
            max_bytes=_INFLATED * MAX_PACK,
            max_object=LONGEST,
        )
        for item in pack.objects():
            cancel.check()
            if item.type == "blob" and item.whole and (named := lfs_pointer(item.data)):
                found[item.oid] = LfsPointer(*named)
        return found


@contextmanager
def spooled(fmt: ObjectFormat, limit: int, temp: Path | None) -> Iterator[FetchedPack]:
    """A pack of at most `limit` bytes to be fetched and read, gone with the block."""
    folder = str(temp) if temp else None
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=folder) as file:
        yield FetchedPack(file, fmt, limit, _too_large(limit))


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the origin sends more than {limit >> 20} MiB to be searched for LFS pointers",
        code="pack-too-large",
        hint="leave LFS out with --no-lfs, or take the tips' objects alone with --lfs tips",
    )
