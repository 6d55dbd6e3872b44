"""A store that fails while LFS objects are listed or read: it is told from damage, and no part of one is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, SnapshotterError, Unavailable
from snapshotter.cli import describe_push
from snapshotter.git.origin_parsing import parse
from snapshotter.recover.lfs_evidence import LfsEvidence
from snapshotter.recover.lfs_restore import RestoredLfs
from snapshotter.recover.push import PushOptions, push
from snapshotter.recover.restore import restore
from snapshotter.recover.verify import VerifyOptions, verify
from snapshotter.store.objects import Store
from snapshotter.transport.connect import Connector
from snapshotter.transport.credentials import GitCredentials
from tests.support.faults import FaultyStore, RecordingStore
from tests.support.fixtures import lab
from tests.support.git import Origin, git
from tests.support.lab import Lab
from tests.support.lfs import lfs_of, table
from tests.support.stored_lfs import LARGE, SMALL, expected, hashed, host, keys, placed, spoil, taken

__all__ = ["host", "lab", "taken"]


class BreakingStore(FaultyStore):
    """Breaks, by `fail`, after the first half of an object whose key begins with `where`."""

    def __init__(self, inner: Store, where: str, fail: Callable[[], object]) -> None:
        super().__init__(inner)
        self.where, self.fail = where, fail

    def stream(self, key: str, **options: Any) -> Iterator[memoryview]:
        for piece in super().stream(key, **options):
            if key.startswith(self.where):
                yield piece[: len(piece) // 2]
                self.fail()
            yield piece


def failing(error: SnapshotterError) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


TROUBLE = [
    Unavailable("no answer", code="store", hint="look at the network"),
    AccessDenied("refused", code="store-denied", hint="look at the role"),
]


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda trouble: trouble.code)
@pytest.mark.parametrize("data", [SMALL, LARGE])
def test_trouble_of_the_store_keeps_its_code_and_leaves_no_part_of_an_object(
    lab: Lab, taken: Sealed, tmp_path: Path, data: bytes, trouble: SnapshotterError
) -> None:
    store = BreakingStore(lab.store, layout.lfs_key(taken.manifest.repo, hashed(data)), failing(trouble))
    restored = restore(Catalog(store), lab.catalog.folder(taken.manifest.key), tmp_path / "r")
    assert restored.refs == 1 and (tmp_path / "r" / "dir").is_dir()
    there = placed(tmp_path / "r" / ".git")
    assert there.items() <= expected(SMALL, LARGE).items() and there.keys().isdisjoint(expected(data))
    lfs = restored.lfs
    assert (lfs.placed, lfs.bytes) == (len(there), sum(map(len, there.values())))
    assert (lfs.unread, lfs.damaged, lfs.missing) == (2 - len(there), 0, 1)
    assert restored.ending is not None
    assert (restored.ending.exit_code, restored.ending.code) == (trouble.exit_code, trouble.code)
    assert trouble.message in restored.ending.message and trouble.hint in restored.ending.hint


def test_damage_comes_before_what_could_not_be_read() -> None:
    lfs = RestoredLfs(4, 1, 5, damaged=1, unread=1, trouble=TROUBLE[0])
    ending = lfs.ending("it is without", "run it again")
    assert ending and (ending.exit_code, ending.code) == (1, "lfs-damaged")
    assert "1 LFS object could not be read: no answer" in ending.details[0]


@pytest.mark.parametrize("where", ["the table", "the listing"])
@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda trouble: trouble.code)
def test_trouble_before_the_first_object_is_no_damage(
    lab: Lab, taken: Sealed, tmp_path: Path, where: str, trouble: SnapshotterError
) -> None:
    artifact = lfs_of(taken).table
    assert artifact
    broken = (
        ("get", artifact.key) if where == "the table" else ("list", f"{layout.LFS}/{taken.manifest.repo}")
    )

    def fail(method: str, key: str) -> None:
        if (method, key) == broken:
            raise trouble

    catalog = Catalog(RecordingStore(lab.store, fail))
    restored = restore(catalog, catalog.folder(taken.manifest.key), tmp_path / "r.git", mode="bare")
    assert (restored.lfs.placed, restored.lfs.damaged, restored.lfs.unread) == (0, 0, 2)
    assert restored.ending and restored.ending.exit_code == trouble.exit_code


def test_a_cancellation_among_objects_is_no_trouble_of_the_store(
    lab: Lab, taken: Sealed, tmp_path: Path
) -> None:
    cancel = Cancel()

    def fail() -> None:
        cancel.cancel()
        raise TROUBLE[0]

    catalog = Catalog(BreakingStore(lab.store, layout.LFS, fail))
    with pytest.raises(Interrupted):
        restore(catalog, catalog.folder(taken.manifest.key), tmp_path / "r" / "r.git", cancel=cancel)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("trouble", [*TROUBLE, None], ids=str)
def test_a_push_without_objects_that_the_store_should_hold_is_no_success(
    lab: Lab, taken: Sealed, tmp_path: Path, trouble: SnapshotterError | None, dry_run: bool
) -> None:
    target, store, code = Origin(tmp_path / "target.git"), lab.store, 1
    if trouble:
        key = layout.lfs_key(taken.manifest.repo, hashed(LARGE))
        store, code = BreakingStore(store, key, failing(trouble)), trouble.exit_code
    else:
        spoil(lab, keys(lab, taken, LARGE)[-1], "flipped")
    host = Connector(GitCredentials({}), lab.limits).pusher(parse(str(target.path)), Cancel())
    options = PushOptions(dry_run=dry_run, temp=tmp_path)
    run = lab.catalog.folder(taken.manifest.key)
    done = push(Catalog(store), run, host, options, observer=lab.observer, cancel=Cancel())
    assert done.ending and done.ending.exit_code == code
    assert "the push is without" in done.ending.message
    facts = describe_push.document(done, dry_run=dry_run)["lfs"]
    lost = "unread" if trouble else "damaged"
    assert isinstance(facts, dict) and facts[lost] == 3 - 1 - facts["objects"] >= 1 == facts["missing"]
    told = "\n".join(describe_push.planned(done) if dry_run else describe_push.pushed(done))
    assert "of 3 objects" in told and "the snapshot has not 1 of them" in told
    assert ("could not be read" if trouble else "damaged in the store") in told
    there = placed(target.path)
    assert there.items() <= expected(SMALL).items()
    assert git(target.path, "for-each-ref", "--format=%(refname)").split() == (
        [] if dry_run else [b"refs/heads/main"]
    )


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
    verify(
        Catalog(verifying.store),
        taken.manifest.repo,
        [lab.catalog.folder(taken.manifest.key)],
        VerifyOptions(quick=True),
    )
    catalog = Catalog(restoring.store)
    restore(catalog, catalog.folder(taken.manifest.key), tmp_path / "r.git", mode="bare")
    assert (verifying.listings, restoring.listings) == (1, 1)


def refuse(method: str, key: str) -> None:
    raise AccessDenied(f"{method} refused: {key}", code="store-denied", hint="it was told to")


def test_a_listing_that_failed_is_not_made_again(lab: Lab, taken: Sealed) -> None:
    store = RecordingStore(lab.store, refuse)
    evidence = LfsEvidence(Catalog(store), taken.manifest.repo, lab.observer)
    for row in table(lab, taken).values():
        with pytest.raises(AccessDenied):
            evidence.listed_wrong(row._replace(keys=[layout.lfs_key(taken.manifest.repo, row.oid)]))
    assert store.calls == [("list", f"{layout.LFS}/{taken.manifest.repo}")]
