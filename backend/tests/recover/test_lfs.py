"""LFS objects on their way back: in place for git-lfs, proven by a verification, and what damage does to both."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec import structs

from lfshost import LfsHost
from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.base.errors import AccessDenied
from snapshotter.capture.options import CaptureOptions, LfsOptions
from snapshotter.recover.lfs_evidence import LfsEvidence
from snapshotter.recover.restore import restore
from snapshotter.recover.verify import VerifyOptions, verify
from snapshotter.scan import lfs_table
from snapshotter.scan.lfs_rows import LfsRow
from tests.support.faults import RecordingStore
from tests.support.fixtures import lab
from tests.support.git import ENV, Origin
from tests.support.lab import Lab
from tests.support.lfs import add, lfs_of, pointer_to, table
from tests.support.recipe import README, by_recipe

__all__ = ["lab"]

WITH = CaptureOptions(lfs=LfsOptions(), segment_bytes=64 * 1024)
SMALL, LARGE = b"small", b"large" * 50_000
QUICK, FULL = VerifyOptions(quick=True), VerifyOptions()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LfsHost]:
    with LfsHost(tmp_path / "srv") as host:
        yield host


@pytest.fixture
def taken(lab: Lab, host: LfsHost) -> Sealed:
    """A base with a small object, an increment with a large one, and one that is missing."""
    origin = Origin(host.root / "x.git")
    add(host, origin, SMALL)
    lab.take(host.url("x.git"), WITH)
    add(host, origin, LARGE)
    origin.commit(files={"missing.bin": pointer_to(b"missing")})
    return lab.take(host.url("x.git"), WITH)


def placed(git_dir: Path) -> dict[str, bytes]:
    folder = git_dir / "lfs" / "objects"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected(*contents: bytes) -> dict[str, bytes]:
    ids = {hashlib.sha256(data).hexdigest(): data for data in contents}
    return {f"{oid[:2]}/{oid[2:4]}/{oid}": data for oid, data in ids.items()}


def test_a_restore_puts_objects_where_git_lfs_looks(lab: Lab, taken: Sealed, tmp_path: Path) -> None:
    restored = lab.restore(taken, tmp_path / "r.git")
    assert placed(tmp_path / "r.git") == expected(SMALL, LARGE)
    size = len(SMALL) + len(LARGE)
    assert restored.lfs._asdict() == {"objects": 3, "placed": 2, "bytes": size, "damaged": 0}
    lab.restore(taken, tmp_path / "tree", mode="worktree")
    assert placed(tmp_path / "tree" / ".git") == expected(SMALL, LARGE)


def test_the_recipe_needs_none_of_our_code(lab: Lab, taken: Sealed, tmp_path: Path) -> None:
    repo, large = taken.manifest.repo, hashlib.sha256(LARGE).hexdigest()
    lab.store.put_new(layout.lfs_key(repo, large, "0badbad0", 0), b"a bad attempt")
    made = by_recipe(lab, taken, tmp_path / "recipe")
    (made / "lfs").mkdir()
    shutil.copytree(lab.root / layout.LFS / repo, made / "lfs" / "objects")
    script = README.read_text("utf-8").split("<!-- command: restore-lfs -->\n```sh\n")[1].split("\n```")[0]
    subprocess.run(["sh", "-c", script], cwd=made.parent, env=ENV, check=True)
    assert placed(made) == expected(SMALL, LARGE)


def keys(lab: Lab, taken: Sealed, data: bytes) -> list[str]:
    return table(lab, taken)[hashlib.sha256(data).hexdigest()].keys


def spoil(lab: Lab, key: str, how: str) -> None:
    path = lab.file(key)
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[:-1])
    else:
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def test_what_is_in_order_is_proven(lab: Lab, taken: Sealed) -> None:
    for options in (QUICK, FULL):
        assert all(verdict.ok for verdict in lab.verify(taken, options))


@pytest.mark.parametrize("data", [SMALL, LARGE])
@pytest.mark.parametrize("how", ["missing", "cut", "flipped"])
def test_damage_is_found_and_named_and_costs_the_restore_one_object(
    lab: Lab, taken: Sealed, tmp_path: Path, data: bytes, how: str
) -> None:
    key = keys(lab, taken, data)[-1]
    spoil(lab, key, how)
    silent = VerifyOptions(quick=True, receipts=False), VerifyOptions(receipts=False)
    quick, full = (lab.verify(taken, options) for options in silent)
    assert quick[-1].ok == (how == "flipped") and not full[-1].ok
    assert full[-1].problems[0].where.startswith(layout.lfs_key(taken.manifest.repo, hashed(data)))
    assert full[0].ok == (data == LARGE)  # the base does not need what came later
    restored = lab.restore(taken, tmp_path / "r.git")
    assert (restored.lfs.placed, restored.lfs.damaged) == (1, 1)
    assert placed(tmp_path / "r.git") == expected(SMALL if data == LARGE else LARGE)


def hashed(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_the_next_snapshot_mends_what_a_verification_found(
    lab: Lab, taken: Sealed, host: LfsHost, data: bytes
) -> None:
    spoil(lab, keys(lab, taken, data)[0], "flipped")
    assert not lab.verify(taken)[-1].ok
    healed = lab.take(host.url("x.git"), WITH)
    assert healed.manifest.kind == "base"
    assert lab.verify(healed, VerifyOptions(receipts=False))[-1].ok
    assert b"".join(lab.store.get(key) for key in keys(lab, healed, data)) == data


def test_a_table_that_is_damaged_or_gone_is_a_problem_and_the_history_is_restored(
    lab: Lab, taken: Sealed, tmp_path: Path
) -> None:
    artifact = lfs_of(taken).table
    assert artifact
    spoil(lab, artifact.key, "flipped")
    assert [not verdict.ok for verdict in lab.verify(taken, FULL)] == [False, True]
    restored = lab.restore(taken, tmp_path / "r.git")
    assert (restored.lfs.placed, restored.lfs.damaged) == (0, 2) and restored.refs == 1


def test_each_object_is_read_once_for_all_snapshots(lab: Lab, taken: Sealed, host: LfsHost) -> None:
    for _ in range(3):
        lab.take(host.url("x.git"), WITH)
    store = RecordingStore(lab.store)
    catalog = Catalog(store)
    repo = taken.manifest.repo
    assert all(each.ok for each in verify(catalog, repo, catalog.snapshots(repo), FULL))
    read = [key for method, key in store.calls if method == "stream" and key.startswith(f"{layout.LFS}/")]
    assert sorted(read) == sorted(set(read)) == sorted([*keys(lab, taken, SMALL), *keys(lab, taken, LARGE)])
    assert sum(method == "list" and key.startswith(layout.LFS) for method, key in store.calls) == 1


class Meeting:
    """Lets two threads list LFS objects at once if they can: each waits a while for another to come."""

    def __init__(self, lab: Lab) -> None:
        self._barrier = threading.Barrier(2)
        self.store = RecordingStore(lab.store, self._meet)

    def _meet(self, method: str, key: str) -> None:
        if method == "list" and key.startswith(layout.LFS):
            with suppress(threading.BrokenBarrierError):
                self._barrier.wait(0.5)

    @property
    def listings(self) -> int:
        """How often LFS objects were listed."""
        return sum(method == "list" and key.startswith(layout.LFS) for method, key in self.store.calls)


def test_threads_that_ask_at_once_share_one_listing(lab: Lab, taken: Sealed, tmp_path: Path) -> None:
    verifying, restoring = Meeting(lab), Meeting(lab)
    verify(Catalog(verifying.store), taken.manifest.repo, [lab.catalog.folder(taken.manifest.key)], QUICK)
    catalog = Catalog(restoring.store)
    restore(catalog, catalog.folder(taken.manifest.key), tmp_path / "r.git", mode="bare")
    assert (verifying.listings, restoring.listings) == (1, 1)


def test_a_listing_that_failed_is_not_made_again(lab: Lab, taken: Sealed) -> None:
    store = RecordingStore(lab.store, refuse)
    evidence = LfsEvidence(Catalog(store), taken.manifest.repo, lab.observer)
    for row in table(lab, taken).values():
        with pytest.raises(AccessDenied):
            evidence.listed_wrong(row._replace(keys=[layout.lfs_key(taken.manifest.repo, row.oid)]))
    assert store.calls == [("list", f"{layout.LFS}/{taken.manifest.repo}")]


def refuse(method: str, key: str) -> None:
    raise AccessDenied(f"{method} refused: {key}", code="store-denied", hint="it was told to")


def forge(lab: Lab, taken: Sealed, rows: list[LfsRow]) -> None:
    """Give a snapshot another table of LFS objects, and a manifest that says the same."""
    data, before, manifest = lfs_table.write(rows), lfs_of(taken), taken.manifest
    assert before.table
    digest = hashlib.sha256(data).hexdigest()
    artifact = structs.replace(before.table, bytes=len(data), sha256=digest)
    weight = sum(row.bytes for row in rows)
    record = structs.replace(before, objects=len(rows), held=len(rows), held_bytes=weight, table=artifact)
    others = [each for each in manifest.artifacts if each.key != artifact.key]
    forged = seal(structs.replace(manifest, lfs=record, artifacts=[*others, artifact]))
    lab.file(artifact.key).write_bytes(data)
    lab.file(manifest.key.key(layout.MANIFEST)).write_bytes(forged.data)


@pytest.mark.parametrize("how", ["twice", "path"])
def test_a_forged_table_is_a_problem_and_the_history_is_restored(
    lab: Lab, taken: Sealed, tmp_path: Path, how: str
) -> None:
    row = table(lab, taken)[hashed(SMALL)]
    key = layout.lfs_key(taken.manifest.repo, "abcd/x")
    lab.store.put_new(key, SMALL)
    forge(lab, taken, [row, row] if how == "twice" else [row._replace(oid="abcd/x", keys=[key])])
    assert not lab.verify(taken, VerifyOptions(quick=True, receipts=False))[-1].ok
    restored = lab.restore(taken, tmp_path / "r.git")
    assert (restored.refs, restored.lfs.placed) == (1, 0) and restored.lfs.damaged > 0
    assert placed(tmp_path / "r.git") == {}
