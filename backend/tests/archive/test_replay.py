"""A chain becomes a repository again, link by link, or the link that is not what it should be is refused."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from snapshotter.archive import layout
from snapshotter.archive.manifest import History, Manifest
from snapshotter.archive.replay import Link, replay_chain, replay_links
from snapshotter.archive.sealed import Sealed, seal
from snapshotter.archive.segments import SegmentReader
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Damaged, Interrupted, Unusable
from snapshotter.base.observer import Observer
from snapshotter.git.repository import Repository
from snapshotter.store.objects import Store
from tests.support.faults import FaultyStore, RecordingStore
from tests.support.git import Origin, git
from tests.support.lab import Lab


class Sums(Observer):
    """An observer that adds up what is done of the stage at hand."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0

    def stage(self, what: str, total: int | None = None) -> None:
        self.total, self.done = total, 0

    def advance(self, count: int) -> None:
        self.done += count


@dataclass
class Chain:
    """A base, an increment, and an increment in which only refs changed; and where to replay them."""

    lab: Lab
    origin: Origin
    taken: list[Sealed]
    repository: Repository

    def links(self) -> list[Link]:
        return [Link(sealed.manifest, self.lab.catalog.ledger(sealed.manifest)) for sealed in self.taken]

    def replay(self, links: list[Link], cancel: Cancel | None = None) -> list[str]:
        """The run ids of the links that were replayed."""
        replayed = replay_links(
            self.lab.store, links, self.repository, observer=Observer(), cancel=cancel or Cancel()
        )
        return [link.manifest.run_id for link in replayed]

    def has(self, oid: str) -> bool:
        return git(self.repository.path, "cat-file", "-t", oid, check=False) == b"commit\n"


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    origin, lab = Origin(tmp_path / "origin.git"), Lab(tmp_path / "store")
    origin.commit(files={"big": random.Random(1).randbytes(20_000)})  # so that increments do not outweigh it
    taken = [lab.take(origin)]
    origin.commit()
    taken.append(lab.take(origin))
    origin.ref("refs/heads/other", origin.oid("main"))
    taken.append(lab.take(origin))
    assert [sealed.manifest.history and sealed.manifest.history.objects for sealed in taken] == [3, 3, 0]
    return Chain(lab, origin, taken, Repository.create(tmp_path / "x.git", "sha1", Cancel()))


def test_a_whole_chain_brings_every_object_and_no_refs(chain: Chain) -> None:
    sums, newest = Sums(), chain.taken[-1].manifest
    count = replay_chain(chain.lab.catalog, newest, chain.repository, observer=sums, cancel=Cancel())
    assert newest.chain_bytes is not None
    assert count == newest.chain_bytes.base + newest.chain_bytes.increments == sums.total == sums.done
    assert Origin.at(chain.repository.path).refs() == {}
    chain.repository.write_refs(chain.lab.catalog.ledger(newest))
    chain.repository.check_held(chain.lab.catalog.ledger(newest))
    assert Origin.at(chain.repository.path).refs() == chain.origin.refs()


def test_a_link_is_yielded_once_it_is_in_and_before_the_next_is(chain: Chain) -> None:
    first, second = chain.origin.oid("main~1"), chain.origin.oid("main")
    replayed = replay_links(
        chain.lab.store, chain.links(), chain.repository, observer=Observer(), cancel=Cancel()
    )
    held = [(chain.has(first), chain.has(second)) for _ in replayed]
    assert held == [(True, False), (True, True), (True, True)]


def test_a_link_without_a_history_is_refused_with_what_was_before_it_replayed(chain: Chain) -> None:
    base, increment, _ = chain.links()
    bare = Link(structs.replace(increment.manifest, history=None), increment.ledger)
    with pytest.raises(Damaged, match="in a chain but has no history") as raised:
        chain.replay([base, bare])
    assert raised.value.key == increment.manifest.key.key(layout.MANIFEST)
    assert chain.has(chain.origin.oid("main~1"))


@pytest.mark.parametrize("segments", [["history.bundle"] * 2, [f"history.bundle.{n}" for n in range(10_001)]])
def test_a_history_of_more_segments_than_can_be_is_refused_and_none_is_read(
    chain: Chain, segments: list[str]
) -> None:
    base = chain.taken[0].manifest
    assert base.history is not None
    manifest = structs.replace(base, history=structs.replace(base.history, segments=segments))
    store = RecordingStore(chain.lab.store)
    with pytest.raises(Damaged, match="names a segment twice, or over 10,000"):
        SegmentReader(store, manifest)
    assert store.calls == []


def test_a_chain_whose_manifests_name_a_run_without_a_history_is_refused(chain: Chain) -> None:
    forged = seal(structs.replace(chain.taken[0].manifest, history=None))
    chain.lab.file(forged.manifest.key.key(layout.MANIFEST)).write_bytes(forged.data)
    with pytest.raises(Damaged, match="no history"):
        replay_chain(
            chain.lab.catalog,
            chain.taken[-1].manifest,
            chain.repository,
            observer=Observer(),
            cancel=Cancel(),
        )
    assert not chain.has(chain.origin.oid("main~1"))


OTHER = "0123456789" * 4


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("not the one that the manifest records", {"pack_checksum": OTHER}),
        ("not the one that the manifest records", {"objects": 2}),
        ("does not list the snapshot's refs", {"prerequisites": [OTHER]}),
    ],
)
def test_a_bundle_that_is_not_what_its_manifest_says_is_refused(
    chain: Chain, what: str, changed: dict[str, object]
) -> None:
    base = chain.links()[0]
    assert base.manifest.history is not None
    lying = structs.replace(base.manifest, history=structs.replace(base.manifest.history, **changed))
    links = replay_links(
        chain.lab.store, [Link(lying, base.ledger)], chain.repository, observer=Observer(), cancel=Cancel()
    )
    with pytest.raises(Damaged, match=what) as raised:
        next(links)  # not only once somebody asks for the link after it
    assert raised.value.key == base.manifest.key.key("history.bundle")


def test_a_bundle_that_lists_other_refs_than_the_ledger_is_refused(chain: Chain) -> None:
    base, _, newest = chain.links()
    with pytest.raises(Damaged, match="does not list the snapshot's refs"):
        chain.replay([Link(base.manifest, newest.ledger)])


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda data: data[: data.index(b"\n\n")], "has no header"),
        (lambda data: b"no bundle\n\n" + data, "does not begin as a bundle"),
        (lambda data: data[:-1], "checksum is wrong"),
        (lambda data: data + b"x", "pack"),
        (lambda data: data[:-25] + bytes([data[-25] ^ 1]) + data[-24:], "checksum is wrong"),
    ],
    ids=["header cut", "no bundle", "pack cut", "pack grown", "pack altered"],
)
def test_bytes_that_are_no_whole_bundle_are_refused_though_their_digest_is_the_recorded_one(
    chain: Chain, harm: Callable[[bytes], bytes], what: str
) -> None:
    base = chain.links()[0]
    manifest = _with_bundle(chain.lab, base.manifest, harm)
    with pytest.raises(Unusable, match=what):
        chain.replay([Link(manifest, base.ledger)])


def _with_bundle(lab: Lab, manifest: Manifest, harm: Callable[[bytes], bytes]) -> Manifest:
    """The manifest of a bundle that was harmed before it was written."""
    history: History | None = manifest.history
    assert history is not None
    artifact = manifest.artifact(history.segments[0])
    assert artifact is not None
    path = lab.file(artifact.key)
    data = harm(path.read_bytes())
    path.write_bytes(data)
    harmed = structs.replace(artifact, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    others = [other for other in manifest.artifacts if other.name != artifact.name]
    return structs.replace(manifest, artifacts=[harmed, *others])


def test_a_cancelled_replay_is_interrupted(chain: Chain) -> None:
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(Interrupted):
        chain.replay(chain.links(), cancel)


class Dead(FaultyStore):
    """A store that answers no request for a segment until it is let go on."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.cancels: list[Cancel] = []

    def get(self, key: str, **options: Any) -> bytes:
        self.cancels.append(options["cancel"])
        self.asked.set()
        assert self.go_on.wait(60)
        return super().get(key, **options)


def test_a_cancelled_reader_waits_for_no_download_of_a_dead_store(chain: Chain) -> None:
    cancel, dead = Cancel(), Dead(chain.lab.store)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(list, SegmentReader(dead, chain.taken[0].manifest, cancel=cancel))
        try:
            assert dead.asked.wait(60)
            cancel.cancel()
            with pytest.raises(Interrupted):
                reading.result(20)
        finally:
            dead.go_on.set()


def test_downloads_that_nobody_reads_are_not_tried_again(chain: Chain) -> None:
    recorded = Dead(chain.lab.store)
    recorded.go_on.set()
    reader = iter(SegmentReader(recorded, chain.taken[0].manifest))
    next(reader)
    assert not recorded.cancels[0].cancelled
    del reader
    assert recorded.cancels[0].cancelled
