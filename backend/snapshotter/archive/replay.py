"""Rebuild history from a chain: index every bundle in order into one repository.

The one piece that restore, verify and later scans share. Each segment is checked against its manifest before
git sees it, each header against the ledger it should list, and git hashes every object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import MANIFEST
from snapshotter.archive.manifest import History, Manifest
from snapshotter.archive.sealed import check_continues
from snapshotter.archive.segments import SegmentReader
from snapshotter.archive.transfer import damaged
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Damaged, Unusable
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural
from snapshotter.git.bundle import BundleHeader, parse_header
from snapshotter.git.errors import GitFailed
from snapshotter.git.pack_frame import PackCheck
from snapshotter.git.refs import RefsLedger
from snapshotter.git.repository import Repository
from snapshotter.store.objects import Store


class SentDamaged(Unusable):
    """git refuses a pack, or finds it not whole, whose every stored byte is what the origin sent."""

    default_code = "sent-damaged"


class Link(NamedTuple):
    """One run of a chain: its manifest, and the refs that its bundle must list."""

    manifest: Manifest
    ledger: RefsLedger


def replay_chain(
    catalog: Catalog, manifest: Manifest, repository: Repository, *, observer: Observer, cancel: Cancel
) -> int:
    """Add the whole chain of a snapshot to the new `repository`, but no refs; returns the bundles' bytes.

    Raises Damaged for a chain of two object formats, and what `replay_links` and the catalog raise.
    """
    chain = [sealed.manifest for sealed in catalog.manifests(manifest.chain_keys)]
    # Before anything is downloaded: a chain that cannot be one costs a look at its manifests.
    for before, link in pairwise(chain):
        check_continues(link, before)
    total = sum(link.history.bytes for link in chain if link.history)
    observer.stage(f"replaying {plural(len(chain), 'bundle')}", total)
    links = (Link(link, catalog.ledger(link)) for link in chain)
    for _ in replay_links(catalog.store, links, repository, observer=observer, cancel=cancel):
        pass
    return total


def replay_links(
    store: Store, links: Iterable[Link], repository: Repository, *, observer: Observer, cancel: Cancel
) -> Iterator[Link]:
    """Add the links of one chain to `repository`, base first. Each is yielded once it is in.

    Raises Unusable: Damaged if a link has no history or its bundle is not what manifest and ledger say,
    SentDamaged if it is and yet git refuses its pack. Raises Unavailable and AccessDenied if the store is in trouble.
    """
    for link in links:
        history = link.manifest.history
        if history is None:
            raise damaged(link.manifest.key.key(MANIFEST), "it is in a chain but has no history")
        chunks = _observed(SegmentReader(store, link.manifest, cancel=cancel), observer)
        pack = _BundledPack(chunks, link, history)
        if history.objects:
            try:
                repository.index_pack(pack)
            except GitFailed as error:
                pack.read_on()  # whose fault it is: ours if the stored bytes differ from the record, else the origin's
                raise sent_damaged(link.manifest.key.folder, error.message) from error
        else:  # git refuses a pack of none, but its bytes are checked all the same
            for _ in pack:
                pass
        pack.finish()
        yield link


def sent_damaged(place: str, what: str) -> SentDamaged:
    """The error for what git has against the pack of the run at `place`, or against what it makes whole."""
    return SentDamaged(
        f"{place}: {what}; the stored bytes are those that the origin sent",
        key=place,
        hint="the origin is damaged, or was: run `git fsck` there and mend it, then take a new snapshot; restore "
        "an older one meanwhile",
    )


class _BundledPack:
    """The pack inside a bundle: its header is taken off and checked on the way."""

    def __init__(self, chunks: Iterator[memoryview], link: Link, history: History) -> None:
        self._chunks, self._link, self._history = chunks, link, history
        self._check = PackCheck(link.manifest.object_format)
        self._done = False

    def __iter__(self) -> Iterator[memoryview]:
        start = b""
        header: BundleHeader | None = None
        for chunk in self._chunks:
            if header is None:
                start += bytes(chunk)
                header = parse_header(start)
                if header is None:
                    continue
                self._compare(header)
                chunk = memoryview(start)[header.length :]
                start = b""
            self._check.update(chunk)
            yield chunk
        if header is None:
            raise self._damaged("the bundle has no header")
        self._done = True

    def read_on(self) -> None:
        """Read what git did not, and compare it all with the record. Raises as `finish` does."""
        for chunk in self._chunks:
            self._check.update(chunk)
        self._done = True
        self.finish()

    def finish(self) -> None:
        """Compare what streamed by with the record. Raises Damaged where they differ."""
        if not self._done:
            raise self._damaged("git stopped reading before the pack's end")
        checksum = self._check.finish()
        if checksum != self._history.pack_checksum or self._check.objects != self._history.objects:
            raise self._damaged("the pack is not the one that the manifest records")

    def _compare(self, header: BundleHeader) -> None:
        same = (
            header.matches(self._link.ledger)
            and header.object_format == self._link.manifest.object_format
            and header.prerequisites == frozenset(self._history.prerequisites)
        )
        if not same:
            raise self._damaged("the bundle's header does not list the snapshot's refs")

    def _damaged(self, what: str) -> Damaged:
        return damaged(self._link.manifest.key.key(self._history.segments[0]), what)


def _observed(reader: SegmentReader, observer: Observer) -> Iterator[memoryview]:
    for chunk in reader:
        yield chunk
        observer.advance(len(chunk))
