"""The record of a scan that was made later, for a snapshot taken without one.

It lies in a run of its own, written last, beside the scan's artifacts. That run has no manifest, so it is no
snapshot: what it refers to stays the newest one if it was.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import SCHEMA_VERSION, Parent, Scan, canonical
from snapshotter.base.errors import Damaged


class ScanRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One later scan: `of` names the snapshot and the digest of its manifest. Times are UTC."""

    schema_version: int
    tool_version: str
    run_id: str
    repo: str
    of: Parent
    started_at: datetime
    finished_at: datetime
    scan: Scan
    self_sha256: str = ""


def seal(record: ScanRecord) -> bytes:
    """The record's stored form: canonical JSON, with the digest of itself less that field."""
    blank = msgspec.structs.replace(record, self_sha256="")
    return canonical(msgspec.structs.replace(blank, self_sha256=hashlib.sha256(canonical(blank)).hexdigest()))


def open_record(data: bytes, where: RunKey) -> ScanRecord:
    """Read the stored record of the run `where`. Raises Damaged (code `scan-record`) for what is none."""
    try:
        record = msgspec.json.decode(data, type=ScanRecord)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(where, f"it does not read as one ({error})") from None
    if record.schema_version != SCHEMA_VERSION:
        raise _bad(where, f"it has schema version {record.schema_version}")
    if seal(record) != data:
        raise _bad(where, "its bytes are not what they were when it was written (self_sha256)")
    if (record.repo, record.run_id) != (where.repo, str(where.run_id)):
        raise _bad(where, "it is the record of another run")
    return record


def _bad(where: RunKey, what: str) -> Damaged:
    return Damaged(
        f"the scan record of {where.folder} cannot be used: {what}",
        code="scan-record",
        hint="make the scan again with `snapshotter scan`",
    )
