"""How values read: the words of lists, snapshots and verdicts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from snapshotter.access.proof import Proof, Result, Status
from snapshotter.archive import snapshot_list
from snapshotter.archive.every_repo import Unread
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import Gap, Scan, ScanSettings
from snapshotter.base.errors import AccessDenied, NewerSchema
from snapshotter.cli import describe, describe_list, describe_proof, documents
from snapshotter.recover.many import Verification
from snapshotter.recover.verdict import Problem, Verdict
from tests.support.git import Origin
from tests.support.lab import Lab

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY = RunKey("host__x", RunId.new(NOW))


def test_a_scan_that_found_one_of_each_says_so() -> None:
    settings = ScanSettings(max_file_bytes=1, max_total_bytes=1, max_files=1, scanner_seconds=1, exclude=[])
    counts = dict.fromkeys(("files", "symbols", "imports", "dependencies", "secrets"), 1)
    scan = Scan(
        run_id="r",
        ref="main",
        commit="c",
        tree="t",
        tables=counts,
        artifacts=[],
        scanners={},
        settings=settings,
        licences=[],
        gaps=[],
    )
    assert describe.scan(scan) == ["  scan of main: 1 file, 1 symbol, 1 import, 1 dependency, 1 secret"]
    two_submodules = replace(
        scan, tables=counts | {"files": 7}, gaps=[Gap(kind="submodules", count=2, sample=["sub"])]
    )
    assert describe.scan(two_submodules)[0].startswith("  scan of main: 5 files, "), "a submodule is no file"


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (timedelta(minutes=-1), "in the future"),
        (timedelta(0), "0 min ago"),
        (timedelta(minutes=59), "59 min ago"),
        (timedelta(hours=47), "47 h ago"),
        (timedelta(hours=48), "2 d ago"),
    ],
)
def test_age(before: timedelta, said: str) -> None:
    assert describe.age(NOW - before, NOW) == said


def test_a_snapshot_whose_manifest_does_not_read_is_in_the_list_and_says_why(tmp_path: Path) -> None:
    origin, lab = Origin(tmp_path / "x.git"), Lab(tmp_path / "store")
    origin.commit()
    good, bad = lab.take(origin), lab.take(origin)
    lab.file(bad.manifest.key.key("manifest.json")).write_bytes(b"{}")
    found = snapshot_list.of_repo(lab.catalog, good.manifest.repo)
    first, second = found.snapshots
    assert (first.manifest, first.error) == (good.manifest, None)
    assert second.error is not None
    head, _, line = describe_list.listing(found, "file:/x", NOW)
    assert head.split() == ["SNAPSHOT", "TAKEN", "(UTC)", "KIND", "REFS", "STORED", "VERIFIED", "CHANGES"]
    assert "unreadable" in line
    assert line.endswith(second.error.message)
    rows = documents.listing(found, "file:/x")["snapshots"]
    assert rows[1]["error"] == second.error.message
    assert rows[0]["bytes"] == first.stored_bytes > 0
    assert found.ending is not None
    assert found.ending.exit_code == 3


def row(**changed: object) -> dict[str, object]:
    """A verdict as a document, with some of its fields."""
    fields: dict[str, object] = {"repo": KEY.repo, "run_id": str(KEY.run_id), "ok": False, "refs": 0}
    fields |= {"problems": [], "unchecked": None, "fsck": None, "receipt": "", "seconds": 0.0}
    fields |= dict.fromkeys(("lfs_objects", "lfs_held", "lfs_bytes"))
    return fields | changed


def test_each_verdict_has_its_own_word_and_its_troubles_below() -> None:
    verdicts = [
        Verdict(KEY),
        Verdict(KEY, problems=(Problem("x/history.bundle", "it is missing"),)),
        Verdict(KEY, unchecked=NewerSchema("a newer release wrote it")),
    ]
    found = Verification(verdicts, [Unread("host__y", AccessDenied("it may not be read"))])
    lines = describe.verification(found, [KEY])
    name = f"host__x@{KEY.run_id}"
    assert lines == [
        f"ok         {name}  0 refs, 0.00 s",
        f"DAMAGED    {name}  0 refs, 0.00 s",
        "    x/history.bundle: it is missing",
        f"UNCHECKED  {name}  0 refs, 0.00 s",
        "    a newer release wrote it",
        "UNCHECKED  host__y",
        "    it may not be read",
        "",
        "affected snapshots:",
        f"  {name}",
    ]
    assert documents.verification(found, [KEY], quick=True) == {
        "mode": "quick",
        "snapshots": [
            row(ok=True),
            row(problems=["x/history.bundle: it is missing"]),
            row(unchecked="a newer release wrote it"),
        ],
        "unread": [{"repo": "host__y", "error": "it may not be read"}],
        "expired": [],
        "affected": [name],
    }
    (line,) = describe.verification(Verification(verdicts[:1]), [])
    assert line == f"ok  {name}  0 refs, 0.00 s"


def test_a_missing_receipt_is_told_once() -> None:
    denied = AccessDenied("this user may not write")
    lines = describe.verification(Verification([Verdict(KEY, unrecorded=denied)] * 2), [])
    assert sum("this user may not write" in line for line in lines) == 1


def test_the_rows_of_a_proof_are_aligned_whatever_became_of_them() -> None:
    what = {
        "group": "g",
        "actor": "you",
        "operation": "PutObject",
        "key": None,
        "condition": "–",
        "expected": "denied",
    }
    told = {"got": "allowed", "rule": "r", "statement": "", "fix": "f", "note": "n"}
    ids = ["put", "an-id-of-more-than-twenty-six-letters"]
    results = tuple(Result(id=name, status=status, **what, **told) for status in Status for name in ids)
    whole = Proof("b", "p/", "f", "", "s", True, results, (), 1.0)
    rows = [line for line in describe_proof.proof(whole) if "PutObject" in line]
    assert len(rows) == len(results)
    assert len({row.index("PutObject") for row in rows}) == 1
    assert len({row.index(f" {name} ") for name in ids for row in rows if f" {name} " in row}) == 1
