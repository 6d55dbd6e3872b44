"""What an older release stored is read, restored and verified, byte for byte as it wrote it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import msgspec
import pytest

from snapshotter.archive.later_scans import ScanRecord, open_record, scan_of, seal_record
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import Parent, json_schema
from snapshotter.recover.verify import VerifyOptions
from tests.support.git import git, state_of
from tests.support.lab import Lab

REPO = "local__tmp__schema1__origin-18e61674"
FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A store of schema 1: a base, an increment with a scan, and an unchanged snapshot that refers to both."""
    shutil.copytree(FIXTURES / "schema1", tmp_path / "store")
    return Lab(tmp_path / "store")


def test_manifests_of_schema_1_are_read_and_fit_the_schema(lab: Lab) -> None:
    sealed = [lab.catalog.manifest(run.key) for run in lab.catalog.snapshots(REPO)]
    assert [one.manifest.kind for one in sealed] == ["base", "increment", "unchanged"]
    for one in sealed:
        assert one.manifest.schema_version == 1
        jsonschema.Draft202012Validator(json_schema()).validate(json.loads(one.data))
    scan = scan_of(lab.catalog, sealed[-1].manifest)
    assert scan is not None
    assert scan.run_id == sealed[1].manifest.run_id


def test_snapshots_of_schema_1_restore_and_verify(lab: Lab, tmp_path: Path) -> None:
    runs = lab.catalog.snapshots(REPO)
    verdicts = lab.verify(REPO, VerifyOptions(receipts=False))
    assert [verdict.problems for verdict in verdicts] == [(), (), ()]
    lab.restore(runs[-1].key, tmp_path / "r.git")
    refs = git(tmp_path / "r.git", "for-each-ref", "--format=%(refname) %(symref)").splitlines()
    assert refs == [
        b"refs/heads/alias refs/heads/main",
        b"refs/heads/caf\xc3\xa9 ",
        b"refs/heads/main ",
        b"refs/heads/\xff ",
        b"refs/tags/v1 ",
    ]
    assert b"refs/heads/main" in state_of(tmp_path / "r.git").head


def test_a_later_scan_of_schema_1_is_read(lab: Lab) -> None:
    taken = lab.catalog.manifest(lab.catalog.snapshots(REPO)[1].key)
    assert taken.manifest.scan is not None
    where = RunKey(REPO, RunId("20240301T160000Z-00000000"))
    record = ScanRecord(
        schema_version=1,
        tool_version="0.1.0",
        run_id=where.run_id.text,
        repo=REPO,
        of=Parent(run_id=taken.manifest.run_id, manifest_sha256=taken.sha256),
        started_at=taken.manifest.started_at,
        finished_at=taken.manifest.finished_at,
        scan=taken.manifest.scan,
    )
    read = open_record(seal_record(record), where)
    assert msgspec.structs.replace(read, self_sha256="") == record
