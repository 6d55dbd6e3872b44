"""A store that gives no answer any more: it keeps neither a cancellation nor the first failure from ending the work."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.recover.lfs_evidence import LfsEvidence
from snapshotter.recover.restore import restore
from snapshotter.recover.verify import VerifyOptions, verify
from snapshotter.store.objects import Store
from tests.support.batches import until
from tests.support.faults import HeldStore
from tests.support.fixtures import lab
from tests.support.lab import Lab
from tests.support.lfs import lfs_of
from tests.support.stored_lfs import LARGE, SMALL, host, keys, placed, taken

__all__ = ["host", "lab", "taken"]

Job = Callable[[Catalog, Cancel], object]


class Refusing(HeldStore):
    """Holds the answer for one key, and once that is asked for, fails at another."""

    def __init__(self, inner: Store, held: str, refused: str) -> None:
        super().__init__(inner, lambda method, key: method == "stream" and key == held)
        self.refused = refused

    def stream(self, key: str, **options: Any) -> Iterator[memoryview]:
        if key == self.refused:
            assert self.asked.wait(60)
            raise Unavailable("no answer", code="store", hint="look at the network")
        return super().stream(key, **options)


def ended(job: Job, held: HeldStore, cancel: Cancel | None = None) -> Any:
    """What a job returns or raises while the store holds an answer back; with `cancel` it is cancelled meanwhile.

    Afterwards the answer comes, and whatever waited for it has ended, too.
    """
    catalog, switch = Catalog(held), cancel or Cancel()
    used = weakref.ref(catalog)
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(job, catalog, switch)
        del catalog
        try:
            assert held.asked.wait(60)
            if cancel:
                cancel.cancel()
            error = working.exception(60)
            assert held.answered == 0
        finally:
            held.go_on.set()
    result = working.result() if error is None else None
    del working

    def let_go() -> bool:
        for each in (error, switch.error):
            if each is not None:
                each.__traceback__ = None  # whose frames use it
        gc.collect()
        return used() is None

    until(let_go)
    if error is not None:
        raise error
    return result


def verifying(taken: Sealed, *, quick: bool) -> Job:
    """The verification of a snapshot."""

    def job(catalog: Catalog, cancel: Cancel) -> object:
        run = catalog.folder(taken.manifest.key)
        options = VerifyOptions(quick=quick, receipts=False)
        return verify(catalog, taken.manifest.repo, [run], options, cancel=cancel)

    return job


def restoring(taken: Sealed, destination: Path) -> Job:
    """The restore of a snapshot: the counts of its LFS objects."""

    def job(catalog: Catalog, cancel: Cancel) -> object:
        run = catalog.folder(taken.manifest.key)
        return restore(catalog, run, destination, mode="bare", cancel=cancel).lfs.counts

    return job


def lfs_folder(taken: Sealed) -> str:
    return f"{layout.LFS}/{taken.manifest.repo}"


@pytest.mark.parametrize("what", ["an artifact", "an LFS object", "the list of LFS objects"])
def test_a_cancelled_verification_waits_for_no_answer(lab: Lab, taken: Sealed, what: str) -> None:
    method = "list" if what == "the list of LFS objects" else "stream"
    where = taken.manifest.key.key(layout.HISTORY) if what == "an artifact" else lfs_folder(taken)
    held = HeldStore(lab.store, lambda call, key: call == method and key.startswith(where))
    with pytest.raises(Interrupted):
        ended(verifying(taken, quick=what != "an LFS object"), held, Cancel())


def test_an_artifact_that_cannot_be_read_ends_the_check_of_a_run_without_the_others(
    lab: Lab, taken: Sealed
) -> None:
    first, other = taken.manifest.artifacts[:2]
    with pytest.raises(Unavailable, match="no answer"):
        ended(verifying(taken, quick=True), Refusing(lab.store, first.key, other.key))


@pytest.mark.parametrize(("held", "refused"), [(SMALL, LARGE), (LARGE, SMALL)])
def test_an_lfs_object_that_cannot_be_read_ends_their_check_without_the_others(
    lab: Lab, taken: Sealed, held: bytes, refused: bytes
) -> None:
    def job(catalog: Catalog, cancel: Cancel) -> object:
        evidence = LfsEvidence(catalog, taken.manifest.repo, Observer())
        return evidence.check(lfs_of(taken), quick=False, cancel=cancel)

    store = Refusing(lab.store, keys(lab, taken, held)[0], keys(lab, taken, refused)[0])
    with pytest.raises(Unavailable, match="no answer"):
        ended(job, store)


@pytest.mark.parametrize("method", ["stream", "list"])
def test_a_cancelled_restore_waits_for_no_lfs_object_and_writes_none_afterwards(
    lab: Lab, taken: Sealed, tmp_path: Path, method: str
) -> None:
    where, out = lfs_folder(taken), tmp_path / "out"
    held = HeldStore(lab.store, lambda call, key: call == method and key.startswith(where))
    with pytest.raises(Interrupted):
        ended(restoring(taken, out / "r.git"), held, Cancel())
    assert not out.exists()


@pytest.mark.parametrize(("held", "refused"), [(SMALL, LARGE), (LARGE, SMALL)])
def test_a_restore_goes_on_without_the_lfs_objects_of_a_store_that_hangs_and_none_comes_afterwards(
    lab: Lab, taken: Sealed, tmp_path: Path, held: bytes, refused: bytes
) -> None:
    store = Refusing(lab.store, keys(lab, taken, held)[0], keys(lab, taken, refused)[0])
    counts = ended(restoring(taken, tmp_path / "r.git"), store)
    assert counts == {"objects": 3, "placed": 0, "bytes": 0, "damaged": 0, "unread": 2}
    assert placed(tmp_path / "r.git") == {}
