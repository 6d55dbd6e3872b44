"""The gate of a service: it rings for a leaked secret once, not each day for the same finding."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.later_scans import scan_of
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import Manifest, Scan
from snapshotter.archive.sealed import Sealed
from snapshotter.base.errors import SnapshotterError
from snapshotter.scan.gate import secret_gate
from snapshotter.scan.staging import private_folder

_TABLE = "scan/secrets.parquet"


def gate_of_new_secrets(catalog: Catalog, sealed: Sealed, *, temp: Path | None) -> SnapshotterError | None:
    """What `secret_gate` says of a snapshot's scan, for the findings that the parent's scan does not have.

    A scan that an earlier run made has rung then. Where the parent's findings cannot be read, all count as new.
    """
    manifest = sealed.manifest
    scan = manifest.scan
    if scan is None or not scan.tables.get("secrets"):
        return secret_gate(scan)
    if scan.run_id != manifest.run_id:
        return secret_gate(_with_findings(scan, 0))
    known = _known(catalog, manifest, temp)
    new = _fingerprints(catalog, scan, temp) - known if known else None
    return secret_gate(scan if new is None else _with_findings(scan, len(new)))


def _with_findings(scan: Scan, count: int) -> Scan:
    return replace(scan, tables={**scan.tables, "secrets": count})


def _known(catalog: Catalog, manifest: Manifest, temp: Path | None) -> frozenset[str]:
    """The fingerprints in the parent's scan; empty where they cannot be read."""
    if manifest.parent is None:
        return frozenset()
    key = RunKey(manifest.repo, RunId(manifest.parent.run_id))
    try:
        before = scan_of(catalog, catalog.manifest(key).manifest)
        return _fingerprints(catalog, before, temp) if before else frozenset()
    except SnapshotterError:
        return frozenset()


def _fingerprints(catalog: Catalog, scan: Scan, temp: Path | None) -> frozenset[str]:
    import duckdb  # heavy, and rarely needed

    artifact = scan.artifact(_TABLE)
    if artifact is None or not scan.tables.get("secrets"):
        return frozenset()
    with private_folder(temp) as folder:
        path = folder / "secrets.parquet"
        path.write_bytes(catalog.artifact(artifact))
        with duckdb.connect() as connection:
            query = "SELECT DISTINCT fingerprint FROM read_parquet(?)"
            rows = connection.execute(query, [str(path)]).fetchall()
    return frozenset(str(fingerprint) for (fingerprint,) in rows)
