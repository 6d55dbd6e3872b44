"""`snapshotter scan`: a scan for a snapshot that has none, in a run of its own that is no snapshot."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from githost import Fault, GitHost
from snapshotter.archive import later_scans
from snapshotter.archive.layout import SCAN
from snapshotter.archive.sealed import Sealed
from snapshotter.archive.snapshot_list import newest_of_each
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.capture.later_scan import SnapshotScan, scan_snapshot
from snapshotter.capture.options import CaptureOptions
from snapshotter.recover.verify import VerifyOptions, verify
from snapshotter.scan.runner import ScannerFailed
from snapshotter.scan.staging import private_folder
from snapshotter.transport import WireLimits
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from tests.support import fixtures
from tests.support.cli import cli
from tests.support.git import Origin
from tests.support.lab import Lab
from tests.support.scans import KEY, options, rows, rule_cache, scan_of, scan_options, tables

NO_SCAN = CaptureOptions()
lab, origin, host = fixtures.quick_lab, fixtures.origin_of_sources, fixtures.host


def scanned(lab: Lab, name: str | Sealed, **changed: Any) -> SnapshotScan:
    if isinstance(name, Sealed):
        name = f"{name.manifest.repo}@{name.manifest.run_id}"
    connect = Connector(GitCredentials({}), WireLimits())
    return scan_snapshot(
        lab.catalog, lab.catalog.resolve(name), scan_options(**changed), connect, observer=lab.observer
    )


def test_the_newest_gets_the_scan_that_it_would_have_had(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    taken = lab.take(origin, NO_SCAN)
    done = scanned(lab, taken.manifest.repo)
    assert done.is_new
    assert done.snapshot == taken.manifest
    anew = Lab(tmp_path / "anew")
    assert tables(lab, done.scan) == tables(anew, anew.take(origin, options()))
    assert lab.observer.warnings == []


def test_a_second_one_is_not_made(lab: Lab, origin: Origin) -> None:
    taken = lab.take(origin, NO_SCAN)
    first, runs = scanned(lab, taken), len(lab.runs(taken))
    second = scanned(lab, taken)
    assert (second.is_new, second.scan) == (False, first.scan)
    assert len(lab.runs(taken)) == runs


def test_a_snapshot_that_has_one_gets_no_other(lab: Lab, origin: Origin) -> None:
    taken = lab.take(origin, options())
    done = scanned(lab, taken, key=KEY)
    assert (done.is_new, done.scan) == (False, scan_of(taken))


def test_an_older_snapshot_is_scanned_as_it_was(lab: Lab, origin: Origin) -> None:
    first = lab.take(origin, NO_SCAN)
    origin.commit(files={"later.py": b"x = 1\n"})
    second = lab.take(origin, NO_SCAN)
    done = scanned(lab, first)
    assert rows(lab, done.scan, "SELECT path FROM files ORDER BY 1") == [
        (name,) for name in sorted(fixtures.SOURCES)
    ]
    assert later_scans.scan_of(lab.catalog, first.manifest) == done.scan
    assert later_scans.scan_of(lab.catalog, second.manifest) is None


def test_another_ref_may_be_named(lab: Lab, origin: Origin) -> None:
    origin.commit("refs/heads/side", {"side.py": b"x = 1\n"})
    taken = lab.take(origin, NO_SCAN)
    with pytest.raises(UsageError, match="no such ref to scan"):
        scanned(lab, taken, ref="nope")
    done = scanned(lab, taken, ref="side")
    assert (done.scan.ref, rows(lab, done.scan, "SELECT path FROM files")) == (
        "refs/heads/side",
        [("side.py",)],
    )


def test_a_snapshot_without_a_default_branch_asks_for_a_ref(lab: Lab, tmp_path: Path) -> None:
    taken = lab.take(Origin(tmp_path / "empty.git"), NO_SCAN)
    with pytest.raises(UsageError, match="no default branch"):
        scanned(lab, taken)


def gone(host: GitHost, origin: Origin, how: str) -> None:
    if how == "removed":
        shutil.rmtree(origin.path)
    elif how == "closed":
        host.close()
    elif how == "rewritten":
        origin.ref("refs/heads/main", None)
        origin.commit("refs/heads/main", {"other": b"other"}, parents=[])
        origin.git("reflog", "expire", "--expire=now", "--all")
        origin.git("gc", "-q", "--prune=now")
    else:
        host.fault = lambda _: Fault(status=int(how))


@pytest.mark.parametrize("how", ["removed", "closed", "rewritten", "401", "403", "404", "500"])
def test_where_the_origin_no_longer_has_it_the_snapshot_itself_is_read(
    lab: Lab, origin: Origin, host: GitHost, how: str, tmp_path: Path
) -> None:
    url = host.url("x.git")
    lab.take(url, NO_SCAN)
    origin.commit(files={"later.py": b"x = 1\n"})
    taken = lab.take(url, NO_SCAN)  # an increment: the whole chain is replayed
    anew = Lab(tmp_path / "anew")
    expected = tables(anew, anew.take(origin, options()))
    gone(host, origin, how)
    temp = tmp_path / "temp"
    temp.mkdir()
    done = scanned(lab, taken, temp=temp)
    assert tables(lab, done.scan) == expected
    assert any("the snapshot itself is" in warning for warning in lab.observer.warnings)
    assert list(temp.iterdir()) == []


def test_the_replay_outlives_scans_beside_it_in_the_same_folder(
    lab: Lab, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room on tmpfs every scan works in one folder, and removes there what the killed ones left."""
    taken = lab.take(origin, NO_SCAN)
    shutil.rmtree(origin.path)

    def another_scan(*_: object) -> None:
        with private_folder(tmp_path):
            pass

    monkeypatch.setattr(lab.observer, "stage", another_scan)
    no_tmpfs = {"tmpfs": tmp_path / "none"}
    assert scanned(lab, taken, temp=tmp_path, resources=no_tmpfs).scan.tables["files"] == len(
        fixtures.SOURCES
    )


def test_a_snapshot_stays_what_and_where_it_was(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    taken = lab.take(origin, NO_SCAN)
    before = {path: path.read_bytes() for path in lab.root.rglob("*") if path.is_file()}
    done = scanned(lab, taken)
    assert {path: path.read_bytes() for path in before} == before
    runs = lab.runs(taken)
    assert [run.is_snapshot for run in runs] == [True, False]
    assert SCAN in runs[1].files
    assert str(runs[1].key.run_id) == done.scan.run_id
    newest = lab.catalog.latest(taken.manifest.repo)
    assert newest is not None
    assert newest.key == taken.manifest.key
    assert [each.run.key for each in newest_of_each(lab.catalog).snapshots] == [taken.manifest.key]
    assert lab.restored(newest.key, tmp_path / "back") == origin.state
    lab.assert_whole(taken)
    with pytest.raises(Unavailable, match="no snapshot"):
        lab.catalog.resolve(f"{taken.manifest.repo}@{done.scan.run_id}")


def test_a_later_snapshot_builds_on_it(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    first = lab.take(origin, NO_SCAN)
    done = scanned(lab, first)
    second = lab.take(origin, options())
    assert second.manifest.kind == "unchanged"
    assert second.manifest.scan == done.scan
    origin.commit(files={"later.py": b"import util\n"})
    third = lab.take(origin, options())
    anew = Lab(tmp_path / "anew")
    assert tables(lab, third) == tables(anew, anew.take(origin, options()))
    lab.assert_whole(first)


def test_an_increment_builds_on_it_too(lab: Lab, origin: Origin, tmp_path: Path) -> None:
    done = scanned(lab, lab.take(origin, NO_SCAN))
    made = origin.commit(files={})
    scan = scan_of(lab.take(origin, options()))
    assert scan == structs.replace(done.scan, commit=made, committed_at=scan.committed_at)


def test_a_record_that_was_tampered_with_is_not_built_on(lab: Lab, origin: Origin) -> None:
    first = lab.take(origin, NO_SCAN)
    scanned(lab, first)
    record = next(lab.root.rglob(SCAN))
    document = json.loads(record.read_bytes())
    document["scan"]["commit"] = "0" * 40
    record.chmod(0o600)
    record.write_bytes(json.dumps(document).encode())
    second = lab.take(origin, options())
    assert scan_of(second).run_id == second.manifest.run_id
    assert any("this one is full" in warning for warning in lab.observer.warnings)


@pytest.mark.parametrize("damage", ["record", "pipe", "table", "no table"])
def test_a_later_scan_that_was_damaged_is_made_again(lab: Lab, origin: Origin, damage: str) -> None:
    """Nobody may delete the damaged one."""
    taken = lab.take(origin, NO_SCAN)
    first = scanned(lab, taken)
    path = next(lab.root.rglob("files.parquet" if "table" in damage else SCAN))
    path.chmod(0o600)
    whole = path.read_bytes()
    path.unlink()
    if damage == "pipe":
        os.mkfifo(path)
    elif damage != "no table":
        path.write_bytes(whole[:-9] + b"123456789")
    shown = cli("show", taken.manifest.repo, "--store", lab.root)
    assert (shown.code, "refs/heads/main" in shown.out) == (0, True)
    assert ("snapshotter scan" in shown.err or "put the object back" in shown.err) == ("table" not in damage)
    assert cli("get", taken.manifest.repo, "digest.md", "--store", lab.root).code == (
        0 if "table" in damage else 4
    )
    second = scanned(lab, taken)
    assert (second.is_new, second.scan.run_id == first.scan.run_id) == (True, False)
    assert any("another is made" in warning for warning in lab.observer.warnings)
    assert tables(lab, second.scan)
    assert not scanned(lab, taken).is_new
    lab.assert_whole(taken)


def test_a_record_that_cannot_be_read_says_nothing_against_snapshots(lab: Lab, origin: Origin) -> None:
    """Anybody who may write to the store can put one there, and nobody can take it away."""
    origin.commit(files={"heavy": random.Random(1).randbytes(20_000)})  # so that no increment outweighs it
    first = lab.take(origin, NO_SCAN)
    origin.commit()
    lab.take(origin, NO_SCAN)
    stray = lab.root / first.manifest.repo / "2024/03/02/20240302T000000Z-0123abcd" / SCAN
    stray.parent.mkdir(parents=True)
    stray.write_text("hello")
    repo = first.manifest.repo
    chosen = lab.catalog.snapshots(repo)
    verdicts = verify(lab.catalog, repo, chosen, VerifyOptions(), observer=lab.observer)
    assert [verdict.problems for verdict in verdicts] == [(), ()]
    warned = [warning for warning in lab.observer.warnings if "scan record" in warning]
    assert len(warned) == 1, "of one record, once"
    origin.commit()
    assert lab.take(origin, NO_SCAN).manifest.kind == "increment"


def test_a_later_scan_without_its_secrets_is_not_built_on(lab: Lab, origin: Origin) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ScannerFailed("kingfisher", "ran for over 1 s")

    first = lab.take(origin, NO_SCAN)
    scanned(lab, first, resources={"find_secrets": fail})
    second = lab.take(origin, options())
    assert scan_of(second).run_id == second.manifest.run_id


def test_by_the_command_line_twice_and_over_a_folder_store(origin: Origin, tmp_path: Path) -> None:
    store, rules = tmp_path / "store", str(rule_cache())
    env = {"SNAPSHOTTER_RULE_CACHE": rules, "SNAPSHOTTER_TEMP": str(tmp_path)}
    taken = cli("snapshot", origin.path, "--store", store, "--json", "--no-scan").json
    first = cli("scan", origin.path, "--store", store, "--json", **env)
    assert (first.code, first.json["made"], first.json["snapshot"]) == (0, True, taken["folder"]), first.err
    second = cli("scan", f"{taken['repo']}@{taken['run_id']}", "--store", store, **env)
    assert second.code == 0
    assert f"has a scan already, by run {first.json['run_id']}" in second.out
    assert cli("scan", origin.path, "--ref", "main", "--store", store, **env).code == 0
    other = cli("scan", origin.path, "--ref", "v1", "--secret-gate", "--store", store, **env)
    assert (other.code, other.out) == (2, "")
    assert "has a scan already, and it is of refs/heads/main" in other.err
    listed = cli("list", taken["repo"], "--store", store, "--json")
    assert first.json["run_id"] not in listed.out
    assert cli("verify", taken["repo"], "--store", store).code == 0
    assert cli("restore", origin.path, tmp_path / "back.git", "--bare", "--store", store).code == 0
    third = cli("snapshot", origin.path, "--store", store, "--json", "--scan", **env).json
    assert third["scan"]["run_id"] == first.json["run_id"]


def test_a_name_that_is_no_snapshot_is_told(origin: Origin, tmp_path: Path) -> None:
    store = tmp_path / "store"
    taken = cli("snapshot", origin.path, "--store", store, "--json", "--no-scan").json
    done = cli("scan", f"{taken['repo']}@20200101T000000Z-00000000", "--store", store)
    assert (done.code, "no snapshot" in done.err) == (4, True)
