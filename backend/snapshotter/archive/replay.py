"""Rebuild history from a chain: index every bundle in order into one repository.

The one piece that restore, verify and later scans share. Each segment is checked against its manifest before
git sees it, each header against the ledger it should list, and git hashes every object.
"""

from __future__ import annotations

from collections.abc import Iterator

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import MANIFEST
from snapshotter.archive.manifest import History, Manifest
from snapshotter.archive.segments import SegmentReader, damaged
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Damaged
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural
from snapshotter.git.bundle import BundleHeader, parse_header
from snapshotter.git.pack_frame import PackCheck
from snapshotter.git.refs import RefsLedger
from snapshotter.git.repository import Repository
from snapshotter.store.objects import Store


def replay_chain(
    catalog: Catalog, manifest: Manifest, repository: Repository, *, observer: Observer, cancel: Cancel
) -> int:
    """Add all that a snapshot's chain holds to the new `repository`, but no refs; returns the bundles' bytes.

    Raises what `replay` and the catalog raise.
    """
    links = [sealed.manifest for sealed in catalog.manifests(manifest.chain_keys)]
    total = sum(link.history.bytes for link in links if link.history)
    observer.stage(f"replaying {plural(len(links), 'bundle')}", total)
    for link in links:
        replay(catalog.store, link, catalog.ledger(link), repository, observer=observer, cancel=cancel)
    return total


def replay(
    store: Store,
    link: Manifest,
    ledger: RefsLedger,
    repository: Repository,
    *,
    observer: Observer,
    cancel: Cancel,
) -> None:
    """Add one link of a chain to `repository`; those before it must be in already.

    Raises Unusable: Damaged if the link has no history, or its bundle is not what the manifest and ledger say,
    GitFailed if git refuses its pack.
    """
    if link.history is None:
        raise damaged(link.key.key(MANIFEST), "it is in a chain but has no history")
    reader = SegmentReader(store, link, cancel=cancel)
    pack = _Pack(_watched(reader, observer), link, link.history, ledger)
    if link.history.objects:
        repository.index_pack(pack)
    else:
        for _ in pack:
            pass
    pack.finish()


class _Pack:
    """The pack inside a bundle, its header taken off and checked on the way."""

    def __init__(
        self, chunks: Iterator[memoryview], link: Manifest, history: History, ledger: RefsLedger
    ) -> None:
        self._chunks, self._link, self._history, self._ledger = chunks, link, history, ledger
        self._check = PackCheck(link.object_format)
        self._done = False

    def __iter__(self) -> Iterator[memoryview]:
        held = b""
        header: BundleHeader | None = None
        for chunk in self._chunks:
            if header is None:
                held += bytes(chunk)
                header = parse_header(held)
                if header is None:
                    continue
                self._compare(header)
                chunk = memoryview(held)[header.length :]
                held = b""
            self._check.update(chunk)
            yield chunk
        if header is None:
            raise self._damaged("the bundle has no header")
        self._done = True

    def finish(self) -> None:
        """Compare what streamed by with the record. Raises Damaged where they differ."""
        if not self._done:
            raise self._damaged("git stopped reading before the pack's end")
        checksum = self._check.finish()
        if checksum != self._history.pack_checksum or self._check.objects != self._history.objects:
            raise self._damaged("the pack is not the one that the manifest records")

    def _compare(self, header: BundleHeader) -> None:
        same = (
            header.matches(self._ledger)
            and header.object_format == self._link.object_format
            and header.prerequisites == frozenset(self._history.prerequisites)
        )
        if not same:
            raise self._damaged("the bundle's header does not list the snapshot's refs")

    def _damaged(self, what: str) -> Damaged:
        return damaged(self._link.key.key(self._history.segments[0]), what)


def _watched(reader: SegmentReader, observer: Observer) -> Iterator[memoryview]:
    for chunk in reader:
        yield chunk
        observer.advance(len(chunk))
