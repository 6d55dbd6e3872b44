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

    def add(
        self,
        repo: str,
        when: datetime,
        tables: Mapping[str, Sequence[Mapping[str, Any]] | tuple[bytes, int]] | None = None,
        *,
        ledger: RefsLedger = LEDGER,
        scan_of: Sealed | None = None,
        put: bool = True,
        **changes: Any,
    ) -> Sealed:
        """Add one snapshot. A table is its rows, or Parquet with the number of its rows.

        With `scan_of`, its scan is that snapshot's, by reference. `put=False` leaves out the manifest.
        """
        key = RunKey(repo, RunId.new(when))
        scan = scan_of.manifest.scan if scan_of else self._scan(key, tables) if tables is not None else None
        refs = self._put(key, "refs.txt", ledger.encoded, "text/plain")
        own = scan.artifacts if scan and scan_of is None else []
        run = str(key.run_id)
        facts: dict[str, Any] = {
            "schema_version": 1,
            "tool_version": "0.1.0",
            "run_id": run,
            "repo": repo,
            "origin": "https://" + repo.replace("__", "/"),
            "started_at": when,
            "finished_at": when,
            "kind": "base",
            "reason": "the first snapshot",
            "parent": None,
            "head": ledger.head_text,
            "object_format": "sha1",
            "refs": RefsRecord(count=len(ledger), sha256=refs.sha256, artifact=refs.key),
            "history": None,
            "chain": [run],
            "chain_bytes": ChainBytes(base=0, increments=0),
            "scan": scan,
            "ref_changes": None,
            "gaps": [],
            "artifacts": [refs, *own],
            "limits": Limits(segment_bytes=1, uploads_in_flight=1, max_refs=1, idle_seconds=1.0),
            "filters": Filters(refs=[], exclude_refs=[]),
            "labels": {},
            "timings": {},
        }
        sealed = seal(Manifest(**(facts | changes)))
        if put:
            self.store.put_new(key.key("manifest.json"), sealed.data)
        return sealed

    def _scan(
        self, key: RunKey, tables: Mapping[str, Sequence[Mapping[str, Any]] | tuple[bytes, int]]
    ) -> Scan:
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
