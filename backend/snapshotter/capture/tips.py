"""What the branches hold, asked of the origin without their history: commits, and when they were made.

Git names nothing but commits as a bundle's prerequisites, and writes nothing but commits to branches; servers of other
makes let a branch hold any object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Final, NamedTuple

from snapshotter.archive.manifest import LIST_CAP
from snapshotter.base.errors import Interrupted, SnapshotterError, TooLarge, Unusable
from snapshotter.git.commit import committed_at
from snapshotter.git.pack import read_pack
from snapshotter.git.ref_names import HEADS
from snapshotter.git.refs import RefsLedger
from snapshotter.transport import FetchRequest, Transport

MAX_PACK: Final = 32 * 1024 * 1024  # bytes of one answer


class Tips(NamedTuple):
    """When commits were made, by their ids; and the ids of what branches hold that are no commits."""

    committed_at: Mapping[str, datetime] = {}
    others: frozenset[str] = frozenset()


def ask(transport: Transport, ledger: RefsLedger, known: Set[str]) -> Tips:
    """Asks what the branches hold, less the commits that are `known`: one request, or none if all are known.

    At most LIST_CAP are known in all, HEAD's first. Where the origin refuses, they stay unknown.
    """
    # What has a peeled id is a tag, whatever its ref is called: no request is needed to tell.
    peeled = frozenset(ref.oid for ref in ledger if ref.name.startswith(HEADS) and ref.peeled)
    head = ledger.oids.get(ledger.head_target or b"")
    room = max(0, LIST_CAP - len(known))
    unknown = sorted(ledger.branch_tips - known - peeled, key=lambda oid: (oid != head, oid))[:room]
    pack = commits_only(transport, unknown, depth=1) if unknown else None
    if pack is None:
        return Tips(others=peeled)
    wanted, dates, others = set(unknown), dict[str, datetime](), set(peeled)
    try:
        for item in read_pack(
            pack, ledger.object_format, max_bytes=8 * MAX_PACK
        ):  # inflated, which bounds a bomb
            if item.oid in wanted and item.type != "commit":
                others.add(item.oid)
            elif item.oid in wanted and (when := committed_at(item.data)) is not None:
                dates[item.oid] = when
    except Unusable:
        return Tips(others=peeled)
    return Tips(dates, frozenset(others))


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
