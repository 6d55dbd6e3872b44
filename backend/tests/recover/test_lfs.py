"""LFS objects on their way back: in place for git-lfs, proven by a verification, and what damage does to both."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec import structs

from lfshost import LfsHost
from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.recover.verify import VerifyOptions, verify
from snapshotter.scan import lfs_table
from snapshotter.scan.lfs_rows import LfsRow
from tests.support.faults import RecordingStore
from tests.support.fixtures import lab
from tests.support.git import ENV
from tests.support.lab import Lab
from tests.support.lfs import lfs_of, table
from tests.support.recipe import README, by_recipe
from tests.support.stored_lfs import LARGE, SMALL, WITH, expected, hashed, host, keys, placed, spoil, taken

__all__ = ["host", "lab", "taken"]

QUICK, FULL = VerifyOptions(quick=True), VerifyOptions()


def test_a_restore_puts_objects_where_git_lfs_looks(lab: Lab, taken: Sealed, tmp_path: Path) -> None:
    restored = lab.restore(taken, tmp_path / "r.git")
    assert placed(tmp_path / "r.git") == expected(SMALL, LARGE)
    size = len(SMALL) + len(LARGE)
    assert restored.lfs.counts == {"objects": 3, "placed": 2, "bytes": size, "damaged": 0, "unread": 0}
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
