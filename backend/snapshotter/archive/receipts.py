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
from snapshotter.base.errors import Damaged
from snapshotter.store.objects import Store

_OK, _FAILED = "0", "f"  # the first of a name's eight hex digits; the rest are random


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
    return f"{RECEIPTS}{when.astimezone(UTC):%Y%m%dT%H%M%SZ}-{verdict}{secrets.token_hex(4)[1:]}.json"


def is_name(name: str) -> bool:
    """Whether an object of a run's folder is a receipt."""
    return name.startswith(RECEIPTS) and name.endswith(".json")


def says_ok(name: str) -> bool:
    """What a receipt's name says. One that says nothing counts as failed: the worst that follows is a base."""
    return name.rpartition("-")[2].startswith(_OK)


def read(store: Store, key: RunKey, name: str) -> Receipt:
    """The receipt `name` of the run `key`.

    Raises Damaged (code `receipt-unreadable`) if it does not read as one, or says another thing than its name.
    """
    try:
        receipt = _RECEIPTS.decode(store.get(key.key(name), limit=MAX_MANIFEST))
    except msgspec.MsgspecError as error:
        raise _unreadable(key.key(name), f"does not read as one ({error})") from None
    if receipt.ok is not says_ok(name):
        raise _unreadable(key.key(name), "does not say what its name says")
    return receipt


def write(store: Store, receipt: Receipt, earlier: Sequence[str] = ()) -> str:
    """Store a receipt beside its run, under a name after the `earlier` ones there (oldest first); its key."""
    name = new_name(_after(earlier, receipt.verified_at), ok=receipt.ok)
    return RunFolder(store, receipt.run, "receipt").put(name, canonical(receipt), JSON).key


def _after(earlier: Sequence[str], now: datetime) -> datetime:
    """`now`, or the second after the newest receipt's, if a clock was ahead: the newest verification counts."""
    newest = earlier[-1].removeprefix(RECEIPTS).removesuffix(".json") if earlier else ""
    last = RunId.parse(newest)  # it has the same form
    if last is None or last.started_at <= now:
        return now
    return last.started_at + timedelta(seconds=1) if last.started_at.year < MAXYEAR else last.started_at


def _unreadable(key: str, what: str) -> Damaged:
    return Damaged(
        f"the receipt {key} {what}",
        code="receipt-unreadable",
        hint="it was altered; run `snapshotter verify`, which writes a new one",
    )
