"""The views that are made of manifests and refs ledgers, filled only when the SQL names them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from snapshotter.archive.manifest import Gap, RefChanges, RefsRecord
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Unusable
from snapshotter.base.text import decode_name, raw_if_changed
from snapshotter.git.refs import RefsLedger, parse_ledger
from snapshotter.query.engine import Engine
from snapshotter.query.left_out import LeftOut
from snapshotter.query.snapshot_choice import Snapshot
from snapshotter.query.sources import Sources
from snapshotter.query.views import VIEWS, ViewColumn
from snapshotter.store.backend import READS_AT_ONCE

Row = Mapping[str, Any]
_BATCH: Final = 20_000  # rows handed to the engine at once
_REFS: Final = 200_000  # refs of the ledgers in memory at once, unless one alone has more


class ArchiveViews:
    """Fills tables of an engine with what manifests and ledgers say about the snapshots of a query."""

    def __init__(self, engine: Engine, sources: Sources) -> None:
        self._engine, self._sources = engine, sources
        self.left_out: list[LeftOut] = []

    def make(self, view: str, snapshots: Sequence[Snapshot]) -> None:
        """Make the table `snapshots`, `refs` or `ref_changes`."""
        rows: dict[str, Callable[[Sequence[Snapshot]], Iterable[Row]]] = {
            "snapshots": lambda chosen: map(_snapshot, chosen),
            "refs": self._refs,
            "ref_changes": lambda chosen: (row for each in chosen for row in _changes(each)),
        }
        create(self._engine, view, VIEWS[view])
        insert(self._engine, view, VIEWS[view], rows[view](snapshots), self._sources.cancel)

    def _refs(self, snapshots: Sequence[Snapshot]) -> Iterator[Row]:
        """Most snapshots are unchanged, and name the ledger of an earlier one."""
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            for batch in _batches(snapshots):
                distinct = {snapshot.manifest.refs: snapshot for snapshot in batch}
                ledgers = dict(zip(distinct, pool.map(self._ledger, distinct.values()), strict=True))
                for snapshot in batch:
                    ledger = ledgers[snapshot.manifest.refs]
                    if isinstance(ledger, LeftOut):
                        self.left_out.append(replace(ledger, key=snapshot.run.key))
                    else:
                        dates = _dates(snapshot)
                        for row in _ledger_rows(snapshot, ledger):
                            yield {**row, "committed_at": dates.get(row.get("peeled") or row["oid"])}

    def _ledger(self, snapshot: Snapshot) -> RefsLedger | LeftOut:
        """A snapshot's ledger, which is kept by its digest, or why it cannot be read."""
        self._sources.cancel.check()
        digest = snapshot.manifest.refs.sha256
        try:
            if data := self._sources.cache.read(digest):
                return parse_ledger(data)
            ledger = self._sources.catalog.ledger(snapshot.manifest)
        except (Unusable, AccessDenied) as error:
            return LeftOut(snapshot.run.key, "refs", error.message)
        self._sources.cache.keep(digest, ledger.encoded)
        return ledger


def _batches(snapshots: Iterable[Snapshot]) -> Iterator[list[Snapshot]]:
    """Snapshots whose ledgers may be in memory at once."""
    batch: list[Snapshot] = []
    held: set[RefsRecord] = set()
    room = _REFS
    for snapshot in snapshots:
        refs = snapshot.manifest.refs
        if refs not in held and batch and refs.count > room:
            yield batch
            batch, held, room = [], set(), _REFS
        if refs not in held:
            held.add(refs)
            room -= refs.count
        batch.append(snapshot)
    if batch:
        yield batch


def create(engine: Engine, table: str, columns: Iterable[ViewColumn]) -> None:
    """Make an empty table."""
    described = ", ".join(f'"{column.name}" {column.type}' for column in columns)
    engine.execute(f"CREATE TABLE {table} ({described})")


def insert(
    engine: Engine, table: str, columns: Iterable[ViewColumn], rows: Iterable[Row], cancel: Cancel
) -> None:
    """Add rows, which may lack columns. As JSON: twenty times as fast as parameters."""
    shape = json.dumps([{column.name: column.type for column in columns}])
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH)):
        cancel.check()
        engine.execute(
            f"INSERT INTO {table} BY NAME SELECT unnest(from_json(?::JSON, '{shape}'), max_depth := 2)",
            [json.dumps(batch, default=_plain)],
        )


def keys(snapshot: Snapshot) -> dict[str, Any]:
    """The columns that every view begins with."""
    key = snapshot.run.key
    return {"repo": key.repo, "run_id": str(key.run_id), "taken_at": key.run_id.started_at}


def _snapshot(snapshot: Snapshot) -> Row:
    manifest, scan = snapshot.manifest, snapshot.scan
    history = manifest.history
    gaps = manifest.gaps + (scan.gaps if scan else [])
    return keys(snapshot) | {
        "origin": manifest.origin,
        "kind": manifest.kind,
        "reason": manifest.reason,
        "finished_at": manifest.finished_at,
        "parent_run_id": manifest.parent.run_id if manifest.parent else None,
        "head": manifest.head,
        "object_format": manifest.object_format,
        "refs": manifest.refs.count,
        "objects": history.objects if history else None,
        "history_bytes": history.bytes if history else None,
        "stored_bytes": sum(artifact.bytes for artifact in manifest.artifacts),
        "chain_length": len(manifest.chain),
        "labels": manifest.labels,
        "gaps": [_gap(gap) for gap in gaps],
        "lfs_objects": manifest.lfs.objects if manifest.lfs else None,
        "lfs_held": manifest.lfs.held if manifest.lfs else None,
        "lfs_bytes": manifest.lfs.held_bytes if manifest.lfs else None,
        "tool_version": manifest.tool_version,
        "scan_run_id": scan.run_id if scan else None,
        "scan_ref": scan.ref if scan else None,
        "scan_commit": scan.commit if scan else None,
        "committed_at": (scan.committed_at or None) if scan else None,
        "licences": sorted({spdx for each in scan.licences for spdx in each.spdx}) if scan else [],
    }


def _gap(gap: Gap) -> Row:
    return {"kind": gap.kind, "count": gap.count}


def _changes(snapshot: Snapshot) -> Iterator[Row]:
    changes = snapshot.manifest.ref_changes or RefChanges()
    for name in RefChanges.__struct_fields__:
        for change in getattr(changes, name).refs:
            facts = {"ref": change.ref, "ref_bytes": change.ref_bytes, "old": change.old, "new": change.new}
            yield keys(snapshot) | {"change": name} | facts


def _dates(snapshot: Snapshot) -> dict[str | None, datetime]:
    """When commits of a snapshot were made, by their ids, as far as its manifest or a later scan of it tells."""
    scan = snapshot.scan
    dates: dict[str | None, datetime] = {}
    dates.update(snapshot.manifest.tip_dates or {})
    if scan is not None and scan.committed_at:
        dates[scan.commit] = scan.committed_at
    return dates


def _ledger_rows(snapshot: Snapshot, ledger: RefsLedger) -> Iterator[Row]:
    at = keys(snapshot)
    if ledger.head_target is not None:
        oid = ledger.oids.get(ledger.head_target)
        yield at | {"ref": "HEAD", "oid": oid, "symref": decode_name(ledger.head_target)}
    elif ledger.head_oid:
        yield at | {"ref": "HEAD", "oid": ledger.head_oid}
    for ref in ledger:
        symref = decode_name(ref.symref) if ref.symref is not None else None
        names = {"ref": decode_name(ref.name), "ref_bytes": raw_if_changed(ref.name)}
        yield at | names | {"oid": ref.oid, "peeled": ref.peeled, "symref": symref}


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    raise TypeError(type(value).__name__)
