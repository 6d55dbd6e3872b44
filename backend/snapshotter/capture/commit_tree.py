"""The tree of one commit and its blobs, asked of the origin without a clone.

Two ways. A scan without a predecessor fetches the commit at depth 1: one pack of all trees and blobs. A later
one fetches the trees alone, and then by id only those blobs that nobody has read before; where a server
refuses either, the first way serves. Nothing of it is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Set
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import TooLarge, Unusable
from snapshotter.capture.fetched_pack import FetchedPack
from snapshotter.git.commit import committed_at
from snapshotter.git.pack import Pack, PackObject
from snapshotter.git.refs import OID_LENGTHS
from snapshotter.scan.listing import Listing, tree_of, walk
from snapshotter.transport import FetchRequest, FilterRefused, Transport, WantVanished

_INFLATED: Final = 4  # times the limit of all blobs: what a pack may hold before nothing of it is scanned
_HINT: Final = "raise the scan's limits, or leave it out with --no-scan"


@dataclass(frozen=True)
class TreeLimits:
    """What is read of one commit, in bytes but for `paths`.

    No blob over `file` is kept whole, no more than `total` of blobs is read, and `paths` bounds the listing. All
    trees are held at once, up to `trees` together (some 3 million paths) and `tree` each. A pack over `memory`
    goes to a file without a name.
    """

    file: int
    total: int
    paths: int
    trees: int = 128 * 1024 * 1024
    tree: int = 64 * 1024 * 1024
    memory: int = 16 * 1024 * 1024


class Blobs:
    """One commit of an origin, read object by object; a context manager that lets go of what it fetched.

    `temp` is where a large pack goes, by default the system's temporary folder. Errors are the transport's, and
    Unusable for packs and trees that do not read. Once it is listed, `committed_at` is when the commit was made, UTC;
    None where it does not tell.
    """

    def __init__(
        self,
        transport: Transport,
        commit: str,
        limits: TreeLimits,
        *,
        temp: Path | None = None,
        cancel: Cancel,
    ) -> None:
        self._transport, self._commit, self._limits = transport, commit, limits
        self._fmt = OID_LENGTHS[len(commit)]
        self._temp, self._cancel = temp, cancel
        self._whole: FetchedPack | None = None
        self.committed_at: datetime | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def listing(self, *, with_blobs: bool) -> Listing:
        """The commit's paths. `with_blobs` fetches the blobs in the same request, for a scan that needs most."""
        if not with_blobs:
            try:
                return self._walk(
                    self._fetch(FetchRequest([self._commit], thin=False, filter="blob:none", depth=1))
                )
            except FilterRefused:
                pass
        return self._walk(self._everything())

    def read(self, wanted: Set[str]) -> Iterator[PackObject]:
        """The blobs of these ids, in any order; one that the origin does not send is left out.

        They are asked for by id, unless they came with the listing already or the origin refuses.
        """
        if wanted:
            fetched = self._whole or self._asked_for(wanted) or self._everything()
            for item in self._objects(fetched, self._limits.file):
                self._cancel.check()
                if item.type == "blob" and item.oid in wanted:
                    yield item

    def _asked_for(self, wanted: Set[str]) -> FetchedPack | None:
        """These blobs and no others. Returns None if the origin refuses objects that no ref names, or if they are
        too large together: what is asked for by id is sent whatever a filter says."""
        try:
            return self._fetch(FetchRequest(sorted(wanted), thin=False))
        except (WantVanished, TooLarge):
            return None

    def _walk(self, fetched: FetchedPack) -> Listing:
        """Servers send a pack's trees before its blobs, so reading usually ends at the first blob."""
        trees: dict[str, bytes] = {}
        root, size, missing = "", 0, "the commit"
        for item in self._objects(fetched, max(self._limits.file, self._limits.tree), pass_blobs=True):
            if item.type in ("commit", "tree") and not item.whole:
                raise _over_limit(f"a {item.type} of it exceeds the limit")
            if item.oid == self._commit and item.type == "commit":
                root, self.committed_at = tree_of(item.data), committed_at(item.data)
            elif item.type == "tree":
                trees[item.oid] = item.data
                size += len(item.data)
                if size > self._limits.trees:
                    raise _over_limit("its trees exceed the limit")
            elif item.type == "blob" and root and missing != "":
                try:
                    return walk(trees, self._commit, root, limit=self._limits.paths)
                except KeyError:
                    missing = ""  # in an order of its own: read to the end
        try:
            return walk(trees, self._commit, root, limit=self._limits.paths)
        except KeyError as error:
            raise _incomplete(f"the origin did not send {error.args[0] or missing}") from None

    def _objects(
        self, fetched: FetchedPack, max_object: int, *, pass_blobs: bool = False
    ) -> Iterator[PackObject]:
        # Objects are held one at a time, so this bounds time: more than is scanned may be read, to tell it apart.
        total = _INFLATED * self._limits.total + self._limits.trees
        return Pack(
            fetched.read,
            fetched.size,
            fetched.check.objects,
            self._fmt,
            max_bytes=total,
            max_object=max_object,
        ).objects(pass_blobs=pass_blobs)

    def _everything(self) -> FetchedPack:
        """The commit at depth 1, with its blobs up to the limit where the origin can leave out larger ones."""
        if self._whole is None:
            limit = f"blob:limit={self._limits.file + 1}"  # git leaves out blobs of that size and more
            try:
                self._whole = self._fetch(FetchRequest([self._commit], thin=False, filter=limit, depth=1))
            except FilterRefused:
                self._whole = self._fetch(FetchRequest([self._commit], thin=False, depth=1))
        return self._whole

    def _fetch(self, request: FetchRequest) -> FetchedPack:
        file = self._open.enter_context(
            tempfile.SpooledTemporaryFile(self._limits.memory, dir=str(self._temp) if self._temp else None)  # noqa: SIM115 - the stack closes it
        )
        limit = self._limits.total + self._limits.trees
        fetched = FetchedPack(file, self._fmt, limit, _over_limit("it is larger than the limit"))
        self._transport.fetch(request, fetched.take)
        fetched.finish()
        return fetched


def _incomplete(what: str) -> Unusable:
    return Unusable(f"the commit to scan cannot be read: {what}", code="bad-pack", hint=_HINT)


def _over_limit(what: str) -> TooLarge:
    return TooLarge(f"the commit to scan cannot be read: {what}", code="pack-too-large", hint=_HINT)
