"""Stores whose snapshots have scans, made by code: real manifests, real Parquet, no origin."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import (
    Artifact,
    ChainBytes,
    Filters,
    Limits,
    Manifest,
    RefsRecord,
    Scan,
    ScanSettings,
)
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.git.refs import Ref, RefsLedger
from snapshotter.scan.columns import COLUMNS
from snapshotter.store.objects import Store

PARQUET = "application/vnd.apache.parquet"
LEDGER = RefsLedger.build([Ref(b"refs/heads/main", "a" * 40)], b"refs/heads/main")

Tables = Mapping[str, Sequence[Mapping[str, Any]] | tuple[bytes, int]]
"""The tables of a scan by their names: rows, or Parquet with the number of its rows."""


class ScanStore:
    """Adds snapshots to a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._connection = duckdb.connect()

    def parquet(self, select: str) -> bytes:
        """The rows of a SELECT as Parquet."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.parquet"
            self._connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
            return path.read_bytes()

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
        """Rows, which may lack columns, as the scan's table `name`."""
        shape = json.dumps([COLUMNS[name]])
        source = json.dumps(list(rows)).replace("'", "''")
        return self.parquet(f"SELECT unnest(from_json('{source}'::JSON, '{shape}'), max_depth := 2)")

    def add(self, repo: str, when: datetime, tables: Tables | None = None, **options: Any) -> Sealed:
        """Add one snapshot. A table is its rows, or Parquet with the number of its rows; see `prepare`."""
        sealed = self.prepare(repo, when, tables, **options)
        self.store.put_new(sealed.manifest.key.key("manifest.json"), sealed.data)
        return sealed

    def prepare(
        self,
        repo: str,
        when: datetime,
        tables: Tables | None = None,
        *,
        ledger: RefsLedger = LEDGER,
        scan_of: Sealed | None = None,
        **changes: Any,
    ) -> Sealed:
        """All of a snapshot but its manifest, which is returned.

        With `scan_of`, its scan is that snapshot's, by reference. `changes` are fields of the manifest.
        """
        key = RunKey(repo, RunId.new(when))
        refs = self._put(key, "refs.txt", ledger.encoded, "text/plain")
        record = RefsRecord(count=len(ledger), sha256=refs.sha256, artifact=refs.key)
        own = self._scan(key, tables) if tables is not None and scan_of is None else None
        facts: dict[str, Any] = {
            **_plain(key, when),
            "head": ledger.head_text,
            "refs": record,
            "scan": scan_of.manifest.scan if scan_of else own,
            "artifacts": [refs, *(own.artifacts if own else [])],
        }
        return seal(Manifest(**(facts | changes)))

    def _scan(self, key: RunKey, tables: Tables) -> Scan:
        counts: dict[str, int] = {}
        artifacts: list[Artifact] = []
        for name in COLUMNS:
            table = tables.get(name, ())
            if isinstance(table, tuple) and table:
                data, counts[name] = table[0], int(table[1])
            else:
                data, counts[name] = self.table(name, table) if table else b"", len(table)
            if counts[name]:
                artifacts.append(self._put(key, f"scan/{name}.parquet", data, PARQUET))
        settings = ScanSettings(
            max_file_bytes=1, max_total_bytes=1, max_files=1, scanner_seconds=1.0, exclude=[]
        )
        return Scan(
            run_id=str(key.run_id),
            ref="refs/heads/main",
            commit="a" * 40,
            tree="b" * 40,
            tables=counts,
            artifacts=artifacts,
            scanners={},
            settings=settings,
            licences=[],
            gaps=[],
        )

    def _put(self, key: RunKey, name: str, data: bytes, content_type: str) -> Artifact:
        self.store.put_new(key.key(name), data)
        digest = hashlib.sha256(data).hexdigest()
        return Artifact(
            name=name, key=key.key(name), bytes=len(data), sha256=digest, content_type=content_type
        )


def _plain(key: RunKey, when: datetime) -> dict[str, Any]:
    """The fields of a base without history, which say nothing of refs and scan."""
    run = str(key.run_id)
    return {
        "schema_version": 1,
        "tool_version": "0.1.0",
        "run_id": run,
        "repo": key.repo,
        "origin": "https://" + key.repo.replace("__", "/"),
        "started_at": when,
        "finished_at": when,
        "kind": "base",
        "reason": "the first snapshot",
        "parent": None,
        "object_format": "sha1",
        "history": None,
        "chain": [run],
        "chain_bytes": ChainBytes(base=0, increments=0),
        "ref_changes": None,
        "gaps": [],
        "limits": Limits(segment_bytes=1, uploads_in_flight=1, max_refs=1, idle_seconds=1.0),
        "filters": Filters(refs=[], exclude_refs=[]),
        "labels": {},
        "timings": {},
    }
