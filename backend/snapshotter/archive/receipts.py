"""Receipts: the record of each verification, stored beside the snapshot that was verified.

A receipt's name tells its verdict, so that a listing is enough to know whether a chain may be built on:
reading the receipts of a chain would cost an unchanged run a request for each.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import Final

import msgspec

from snapshotter.archive.canonical import canonical
from snapshotter.archive.layout import RECEIPTS, RunId, RunKey
from snapshotter.archive.manifest import MAX_MANIFEST
from snapshotter.archive.transfer import JSON, RunFolder
from snapshotter.base.errors import Damaged, Unusable
from snapshotter.store.objects import Store

SCHEMA_VERSION: Final = 1
_OK, _FAILED = "0", "f"  # the first of a name's eight hex digits; the rest are random
_JSON: Final = ".json"


class NoReceipt(Unusable):
    """An object under a receipt's name is no receipt of its run: somebody else's, or damaged beyond recognition.

    It says nothing about the snapshot, and may lie there for ever: nobody can delete. So readers pass over it.
    """

    default_code = "receipt-unreadable"


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record of one verification of one run, stored beside it. Times are UTC, durations seconds."""

    schema_version: int
    tool_version: str
    run_id: str
    repo: str
    manifest_sha256: str
    verified_at: datetime
    mode: str
    ok: bool
    problems: list[str]
    chain: list[str]
    refs: int
    fsck: list[str] | None
    git_version: str | None
    seconds: float

    @property
    def run(self) -> RunKey:
        """The run that was verified."""
        return RunKey(self.repo, RunId(self.run_id))


_RECEIPTS: Final = msgspec.json.Decoder(Receipt)  # made by one thread, as a manifest's is


def new_name(when: datetime, *, ok: bool) -> str:
    """``receipts/<time>-<8 hex>.json``: names sort by time, and say whether the verification succeeded."""
    verdict = _OK if ok else _FAILED
    return f"{RECEIPTS}{when.astimezone(UTC):%Y%m%dT%H%M%SZ}-{verdict}{secrets.token_hex(4)[1:]}{_JSON}"


def is_name(name: str) -> bool:
    """Whether an object of a run's folder has a receipt's name. What is named otherwise is not ours."""
    return name.startswith(RECEIPTS) and name.endswith(_JSON) and _stamp(name) is not None


def says_ok(name: str) -> bool:
    """What a receipt's name says. One that says nothing counts as failed: the worst that follows is a base."""
    return name.rpartition("-")[2].startswith(_OK)


def said_at(name: str) -> datetime | None:
    """When a receipt was written, UTC, by its name. Returns None for a name that is no receipt's."""
    stamp = _stamp(name)
    return stamp.started_at if stamp else None


def read(store: Store, key: RunKey, name: str) -> Receipt:
    """The receipt `name` of the run `key`.

    Raises NoReceipt if the object does not read as a receipt of this run, and Damaged (code `receipt-altered`) if
    it is one and says another thing than its name.
    """
    try:
        receipt = _RECEIPTS.decode(store.get(key.key(name), limit=MAX_MANIFEST))
    except Unusable as error:  # a pipe or a folder in its place, for one
        raise _none(key.key(name), error.message) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _none(key.key(name), str(error)) from None
    if receipt.schema_version != SCHEMA_VERSION:
        raise _none(key.key(name), f"schema version {receipt.schema_version} is not known")
    if (receipt.repo, receipt.run_id) != (key.repo, str(key.run_id)):
        raise _none(key.key(name), "it is of another run")
    if receipt.ok is not says_ok(name):
        raise Damaged(
            f"{key.key(name)}: the receipt does not say what its name says",
            code="receipt-altered",
            key=key.key(name),
            hint="somebody altered or renamed it; run `snapshotter verify`, which writes a new one",
        )
    return receipt


def write(store: Store, receipt: Receipt, earlier: Sequence[str] = ()) -> str:
    """Store a receipt beside its run, under a name after the `earlier` ones there (oldest first); its key."""
    name = new_name(_after(earlier, receipt.verified_at), ok=receipt.ok)
    return RunFolder(store, receipt.run, "receipt").put(name, canonical(receipt), JSON).key


def _after(earlier: Sequence[str], now: datetime) -> datetime:
    """`now`, or the second after the newest receipt's, if a clock was ahead: the newest verification counts."""
    last = _stamp(earlier[-1]) if earlier else None
    if last is None or last.started_at <= now:
        return now
    return last.started_at + timedelta(seconds=1) if last.started_at.year < MAXYEAR else last.started_at


def _stamp(name: str) -> RunId | None:
    """The time and the digits in a receipt's name, which have the form of a run id; None in another name."""
    return RunId.parse(name.removeprefix(RECEIPTS).removesuffix(_JSON))


def _none(key: str, why: str) -> NoReceipt:
    return NoReceipt(
        f"{key}: no receipt of its run ({why.removeprefix(f'{key}: ')})",
        key=key,
        hint="it is passed over: it is not snapshotter's, or was damaged",
    )
