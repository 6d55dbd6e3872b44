"""The checks of the store: one write, one list, one read."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

from snapshotter.archive import layout
from snapshotter.base import runbook
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Finding
from snapshotter.doctor.check import Check, Setup, guarded
from snapshotter.store.objects import Store


class StoreChecks:
    """The checks of one store. `store` is None until it opens."""

    def __init__(self, setup: Setup, cancel: Cancel) -> None:
        self._setup, self._cancel = setup, cancel
        self.store: Store | None = None

    def use(self, blocked: str | None = None) -> Iterator[Check]:
        """One write, a list of its folder, and the same bytes read back, as a snapshot would do them.

        `blocked` says why none of it can be done; None if it can.
        """
        key = f"{layout.DIAGNOSTICS}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.txt"
        data = f"snapshotter doctor {key}\n".encode()
        if blocked:
            yield from (Check(name, "skipped", blocked) for name in ("write", "list", "read"))
            return
        write = guarded("write", runbook.PUT_DENIED, lambda: ("ok", self._write(key, data)))
        yield write
        if self.store is None:
            yield from (Check(name, "skipped", "the store does not open") for name in ("list", "read"))
            return
        store, written = self.store, write.state == "ok"
        yield guarded("list", runbook.LIST_DENIED, lambda: ("ok", _list(store, key if written else "")))
        if written:
            yield guarded("read", runbook.MISSING_KEY, lambda: ("ok", _read(store, key, data)))
        else:
            yield Check("read", "skipped", "nothing could be written")
        if self.store and self.store.place.folder:
            (self.store.place.folder / key).unlink(missing_ok=True)  # a folder has no rule that expires it

    def _write(self, key: str, data: bytes) -> str:
        """Open the store and write one small object."""
        self.store = self._setup.open_store()
        self.store.put_new(key, data, content_type="text/plain", cancel=self._cancel)
        return f"one object of {len(data)} bytes, {key}"


def _list(store: Store, key: str) -> str:
    """List the folder that doctor writes to; a `key` that was written must be in the list."""
    entries = store.list(layout.DIAGNOSTICS)
    if key and key not in {entry.key for entry in entries}:
        raise Finding(f"the list of {layout.DIAGNOSTICS}/ lacks the object just written", hint="try again")
    return f"{len(entries):,} under {layout.DIAGNOSTICS}/"


def _read(store: Store, key: str, data: bytes) -> str:
    if store.get(key, limit=2 * len(data)) != data:
        raise Finding(
            "other bytes came back than were written", hint="look for a proxy between here and the store"
        )
    return "the same bytes came back"
