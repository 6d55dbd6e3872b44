"""The summary of a fleet's run: what of it finds the results, for every reader; and its form in the store.

A summary carries the digest of itself, and those of the parts that its results are in. That finds a flipped bit and no
forger: every role may write to the store.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from snapshotter.archive import fleet_runs
from snapshotter.archive.canonical import canonical
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.base.errors import Damaged, NewerSchema
from snapshotter.store.objects import Store

SCHEMA_VERSION: Final = 1
MAX_SUMMARY: Final = (
    64 * 1024 * 1024
)  # bytes: room for half a million repositories that an inventory leaves out
DIGEST: Final = "self_sha256"
_MAX_PARTS: Final = 100_000


class PartRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An object with rows of the results: its name in the run's folder, its size in bytes, its digest, its rows."""

    name: str
    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: str
    rows: Annotated[int, msgspec.Meta(ge=0)]


class SummaryHead(msgspec.Struct, frozen=True, kw_only=True):
    """What finds the results of a run: whose they are, and where."""

    schema_version: int
    run_id: str
    inventory: str
    started_at: datetime
    parts: Annotated[list[PartRecord], msgspec.Meta(max_length=_MAX_PARTS)]


_HEADS: Final = msgspec.json.Decoder(SummaryHead)  # made by one thread, as a manifest's is


def sealed(document: Any) -> bytes:
    """A summary's stored form: canonical JSON with the digest of itself."""
    plain: dict[str, Any] = msgspec.to_builtins(document)
    plain.pop(DIGEST, None)
    return canonical({**plain, DIGEST: hashlib.sha256(canonical(plain)).hexdigest()})


def read(store: Store, key: RunKey) -> tuple[SummaryHead, bytes]:
    """The head of a fleet run's summary, which a listing showed, and the whole of it.

    Raises Damaged if it is not what was written or of another run, NewerSchema for a schema that this release does not
    know, and as the store does.
    """
    name = key.key(fleet_runs.SUMMARY)
    data = store.get(name, limit=MAX_SUMMARY)
    try:
        plain = json.loads(data)
        digest = plain.pop(DIGEST)
        head = _HEADS.decode(data)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise _damaged(name, f"it does not read as a summary ({type(error).__name__})") from None
    if head.schema_version != SCHEMA_VERSION:
        raise NewerSchema(
            f"{name}: its schema version is {head.schema_version}, and this program knows {SCHEMA_VERSION}",
            code="fleet-results",
            hint="use the release of snapshotter that wrote it, or a newer one",
        )
    if hashlib.sha256(canonical(plain)).hexdigest() != digest:
        raise _damaged(name, f"its bytes are not what they were when it was written ({DIGEST})")
    if RunId.parse(head.run_id) != key.run_id or not all(
        fleet_runs.is_part(part.name) for part in head.parts
    ):
        raise _damaged(name, "it is the record of another run")
    return head, data


def _damaged(name: str, why: str) -> Damaged:
    return Damaged(
        f"{name}: {why}",
        code="fleet-results",
        key=name,
        hint="the next run of the fleet writes a whole result",
    )
