"""What the branches hold: commits, and when they were made.

It is read from the pack as it passes, and what that does not tell is asked of the origin, without its history.

Git names nothing but commits as a bundle's prerequisites, and writes nothing but commits to branches; servers of other
makes let a branch hold any object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from datetime import datetime
from itertools import takewhile
from typing import Final, NamedTuple

from snapshotter.archive.manifest import LIST_CAP
from snapshotter.base.errors import Interrupted, SnapshotterError, TooLarge, Unusable
from snapshotter.capture.pack_front import MAX_INFLATED, NO_FRONT, PackFront
from snapshotter.git.commit import committed_at
from snapshotter.git.pack import PackObject, leading_objects, read_pack
from snapshotter.git.ref_names import HEADS
from snapshotter.git.refs import RefsLedger
from snapshotter.transport import FetchRequest, Transport

MAX_PACK: Final = 32 * 1024 * 1024  # bytes of one answer


class Tips(NamedTuple):
    """When commits were made, by their ids; and the ids of what branches hold that are no commits."""

    committed_at: Mapping[str, datetime] = {}
    others: frozenset[str] = frozenset()


def learn(transport: Transport, ledger: RefsLedger, known: Set[str], front: PackFront = NO_FRONT) -> Tips:
    """What the branches hold, less the commits that are `known`: read in the `front` of a pack, where git puts the
    commits, and asked of the origin in one request where those do not hold all.

    At most LIST_CAP are known in all, HEAD's first. Where the origin refuses, what is left stays unknown.
    """
    # What has a peeled id is a tag, whatever its ref is called: nothing is needed to tell.
    peeled = frozenset(ref.oid for ref in ledger if ref.name.startswith(HEADS) and ref.peeled)
    head = ledger.oids.get(ledger.head_target or b"")
    room = max(0, LIST_CAP - len(known))
    unknown = sorted(ledger.branch_tips - known - peeled, key=lambda oid: (oid != head, oid))[:room]
    found = _Found(set(unknown))
    found.take(at_the_front(front, ledger.object_format))
    left = [oid for oid in unknown if oid in found.wanted]
    pack = commits_only(transport, left, depth=1) if left else None
    if pack is not None:
        with suppress(Unusable):
            found.take(read_pack(pack, ledger.object_format, max_bytes=8 * MAX_PACK))  # inflated: a bomb ends
    return Tips(found.dates, peeled | found.others)


class _Found:
    """What was found of the `wanted`, which become fewer."""

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self.dates: dict[str, datetime] = {}
        self.others: set[str] = set()

    def take(self, objects: Iterator[PackObject]) -> None:
        """Look through objects until no more is wanted. Raises Unusable where they do."""
        while self.wanted and (item := next(objects, None)) is not None:
            if item.oid not in self.wanted:
                continue
            self.wanted.remove(item.oid)
            if item.type != "commit":
                self.others.add(item.oid)
            elif (when := committed_at(item.data)) is not None:
                self.dates[item.oid] = when


def at_the_front(front: PackFront, fmt: str) -> Iterator[PackObject]:
    """The commits and tags that a pack begins with."""
    objects = leading_objects(front.data, fmt, max_bytes=MAX_INFLATED)
    return takewhile(lambda item: item.type in ("commit", "tag"), objects)


def commits_only(
    transport: Transport, wants: Sequence[str], haves: Iterable[str] = (), depth: int | None = None
) -> bytearray | None:
    """The pack of what `wants` reach and `haves` do not, without trees and blobs that are not wanted themselves.

    Returns None if the origin refuses filters, lacks an object or has more than MAX_PACK bytes to send: whatever
    depends on the answer stays unknown, and the snapshot stands. Raises Interrupted.
    """
    pack = bytearray()

    def sink(data: memoryview) -> None:
        pack.extend(data)
        if len(pack) > MAX_PACK:
            raise TooLarge("more commits than are judged", code="pack-too-large")

    try:
        transport.fetch(FetchRequest(wants, list(haves), thin=False, filter="tree:0", depth=depth), sink)
    except Interrupted:
        raise
    except SnapshotterError:
        return None
    return pack
