"""Snapshots with scans: their options, and what they stored, as bytes and as rows."""

from __future__ import annotations

import hmac
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from snapshotter.archive.manifest import Scan, ScanSettings
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.capture.options import CaptureOptions, ScanOptions
from snapshotter.scan import secrets
from snapshotter.scan.columns import COLUMNS
from snapshotter.scan.lines import Lines
from snapshotter.scan.resources import ScanResources
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.staging import Staged, Staging, blob_place
from snapshotter.store.objects import Store
from snapshotter.transport import FetchRequest, Sink, Transport, WantVanished
from tests.support.lab import Lab

KEY = b"a key for tests"
FAKE_SCANNERS = """
import json, os
from snapshotter.scan import runner
real, fakes = runner.program, json.loads(os.environ["FAKES"])
fake = lambda scanner: runner.Path(fakes[scanner]) if scanner in fakes else real(scanner)
runner.program = fake
"""
"""A `sitecustomize.py`: the scanners that FAKES names, as JSON, are these programs in every process that finds it."""


@cache
def rule_cache() -> Path:
    """Kingfisher's compiled rules, kept from one run of the tests to the next."""
    folder = Path.home() / ".cache" / "fruitful-snapshotter-tests" / "kingfisher"
    with tempfile.TemporaryDirectory() as work:
        secrets.warm(folder, folder=Path(work), seconds=300, cancel=Cancel())
    return folder


# What stands for the two scanners that are programs, where a test does not say; see `quickly`.
stand_ins: dict[str, Any] = {}


def scan_options(
    *,
    ref: str | None = None,
    key: bytes | None = None,
    temp: Path | None = None,
    resources: dict[str, Any] | None = None,
    **settings: Any,
) -> ScanOptions:
    """Options of a scan under small limits; `resources` are other fields of its ScanResources."""
    scan_resources = ScanResources(
        fingerprint_key=key, rules=rule_cache(), temp=temp, **stand_ins | (resources or {})
    )
    held: dict[str, Any] = {
        "max_file_bytes": 1 << 20,
        "max_total_bytes": 1 << 26,
        "max_files": 1000,
        "scanner_seconds": 120.0,
        "exclude": [],
    }
    made = ScanSettings(**held | {"fingerprint_key": scan_resources.key_name} | settings)
    return ScanOptions(made, scan_resources, ref, None)


def options(scan: ScanOptions | None = None, **changed: Any) -> CaptureOptions:
    return CaptureOptions(scan=scan or scan_options(), **changed)


def scan_of(taken: Sealed) -> Scan:
    assert taken.manifest.scan is not None, taken.manifest.gaps
    return taken.manifest.scan


def artifacts(store: Store, scan: Scan) -> dict[str, bytes]:
    """Every artifact of a scan, by name."""
    return {artifact.name: store.get(artifact.key) for artifact in scan.artifacts}


def tables(lab: Lab, taken: Sealed | Scan) -> dict[str, bytes]:
    """The five tables as they lie in the store."""
    scan = taken if isinstance(taken, Scan) else scan_of(taken)
    found = artifacts(lab.store, scan)
    return {table: found[f"scan/{table}.parquet"] for table in COLUMNS}


def rows(lab: Lab, taken: Sealed | Scan, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query over the five tables."""
    scan = taken if isinstance(taken, Scan) else scan_of(taken)
    with duckdb.connect() as connection:
        for artifact in scan.artifacts:
            if artifact.name.endswith(".parquet"):
                path = lab.file(artifact.key)
                connection.execute(f"CREATE VIEW {path.stem} AS FROM '{path}'")
        return connection.execute(sql).fetchall()


class RefusingIds:
    """A transport whose origin, once it was asked for trees alone, does not send what no ref names."""

    def __init__(self, inner: Transport) -> None:
        self.inner, self.refused = inner, 0
        self._listed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def fetch(self, request: FetchRequest, sink: Sink) -> None:
        if self._listed and request.depth is None:
            self.refused += 1
            raise WantVanished("not our ref", hint="ask for refs")
        self._listed = request.filter == "blob:none"
        self.inner.fetch(request, sink)


_LANGUAGES = {
    "py": "Python",
    "js": "JavaScript",
    "ts": "TypeScript",
    "tsx": "TypeScript",
    "go": "Go",
    "rs": "Rust",
    "java": "Java",
    "h": "C Header",
    "md": "Markdown",
    "json": "JSON",
}


def count_quickly(staging: Staging, **_: Any) -> dict[str, Lines]:
    """What scc is to a scan: facts that follow from a blob and its key, without a process."""

    def one(name: str, staged: Staged) -> Lines:
        data = staging.read(name)
        language = None if staged.binary else _LANGUAGES.get(staged.key)
        known = (staged.lines, staged.lines, 0, 0, data.count(b"if")) if language else (None,) * 5
        wide = language is not None and len(data) > 255 * max(1, staged.lines)
        return Lines(language, *known, staged.bytes, staged.binary, b"DO NOT EDIT" in data, wide)

    return {name: one(name, staged) for name, staged in staging.staged.items()}


def find_quickly(staging: Staging, *, key: bytes | None, **_: Any) -> list[SecretFinding]:
    """What kingfisher is to a scan: findings that follow from a blob and the key, without a process."""
    found = []
    for blob in staging.blobs:
        data = (staging.root / blob_place(blob)).read_bytes()
        for line, text in enumerate(data.splitlines(), 1):
            if text.startswith(b"value = "):
                mark = hmac.digest(key or blob.encode(), text, "sha256").hex()
                found.append(SecretFinding(blob, "a rule", line, "high", mark))
    return sorted(found)


def quickly(patch: pytest.MonkeyPatch) -> None:
    """Let scans do without the two programs, whose start costs more than all else of a small tree."""
    patch.setitem(stand_ins, "count_lines", count_quickly)
    patch.setitem(stand_ins, "find_secrets", find_quickly)
