"""The origin's pack, straight into segments of a bundle: what to ask for, and the way into the store."""

from __future__ import annotations

from collections.abc import Iterator, Set
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from msgspec import Struct

from snapshotter.archive import layout
from snapshotter.archive.manifest import Artifact, History
from snapshotter.archive.segments import SegmentWriter
from snapshotter.archive.transfer import RunFolder
from snapshotter.base.errors import Unavailable
from snapshotter.base.observer import Observer
from snapshotter.base.side_by_side import awaited
from snapshotter.capture.options import CaptureOptions
from snapshotter.capture.pack_front import FRONT_BYTES, AwaitedFront, PackFront
from snapshotter.git import pack_frame
from snapshotter.git.bundle import header, prerequisites
from snapshotter.git.refs import RefsLedger
from snapshotter.transport import FetchRequest, Transport, WantVanished

_TOLD_AT_ONCE: Final = 128 * 1024  # bytes: to tell of each packet may cost more than to take it


class BundleRequest(Struct, frozen=True):
    """A bundle to be made: the refs that it lists, the commits that it requires, and what the origin is asked for.

    `expected` is about how many bytes will come, for progress; None where nothing is known.
    """

    refs: RefsLedger
    required: frozenset[str]
    fetch: FetchRequest
    expected: int | None = None


class StoredBundle(Struct, frozen=True):
    """A bundle in the store: its record, its segments in order, and the refs that it lists."""

    history: History
    segments: list[Artifact]
    refs: Artifact


def base(refs: RefsLedger, expected: int | None = None) -> BundleRequest:
    """Everything that `refs` reach."""
    return BundleRequest(refs, frozenset(), FetchRequest(sorted(refs.tips), thin=False), expected)


def increment(refs: RefsLedger, before: RefsLedger, commits: Set[str]) -> BundleRequest:
    """What `refs` reach and the parent's refs, `before`, do not.

    It requires those of the parent's branch tips that are known to be `commits`. The haves are all of these tips and
    the old value of every ref that changed, and nothing more: naming all tips of a large repository made its server
    several times slower.
    """
    required = prerequisites(before, commits)
    # A detached HEAD's commit is fetched again: where no ref names it, a restore by hand may lack it.
    known = {ref.oid for ref in before}
    haves = before.branch_tips | {ref.oid for ref in before if refs.oids.get(ref.name) != ref.oid}
    return BundleRequest(refs, required, FetchRequest(sorted(refs.tips - known), sorted(haves)))


class ArrivedBundle(Protocol):
    """A bundle that has come, and is on its way into the store."""

    def finish(self) -> StoredBundle:
        """Wait until all is stored. Raises Unusable if the pack is not whole."""
        ...


@contextmanager
def streamed(
    request: BundleRequest,
    transport: Transport,
    folder: RunFolder,
    options: CaptureOptions,
    observer: Observer,
    front: AwaitedFront,
) -> Iterator[ArrivedBundle]:
    """Fetch the pack and store it as a bundle, segment by segment, while it arrives; the refs ledger beside it.

    Its `front` is set as soon as it is there, and cancelled where none comes. Once all of the pack has arrived, the
    block is entered: the transport is free again while the last segments are on their way.

    Nothing is stored before the pack's first bytes: until then WantVanished is raised as it is, and the caller may
    try again. Later it is Unavailable. Raises whatever else the transport and the store raise.
    """
    bundle = _ArrivingBundle(request, folder, options, observer, front)
    try:
        observer.stage("streaming the pack into the store", request.expected)
        if request.fetch.wants:
            transport.fetch(request.fetch, bundle.take)
        else:  # refs changed and objects did not: a server refuses a fetch of nothing, and a bundle needs its pack
            bundle.take(memoryview(pack_frame.empty_pack(request.refs.object_format)))
        bundle.arrived()
        yield bundle
    except BaseException as error:
        if bundle.abort() and isinstance(error, WantVanished):
            # Part of it is stored, and nothing is overwritten: another try needs another run id.
            raise Unavailable(error.message, code=error.code, hint="run again") from error
        raise


@dataclass
class _ArrivingBundle:
    """A bundle on its way into the store. Its first bytes open the writer: a refused fetch stores nothing."""

    request: BundleRequest
    folder: RunFolder
    options: CaptureOptions
    observer: Observer
    front: AwaitedFront
    writer: SegmentWriter | None = None
    refs: Future[Artifact] | None = None
    _kept: bytearray = field(default_factory=bytearray)
    _untold: int = 0

    def take(self, data: memoryview) -> None:
        """The next bytes of the pack."""
        if len(self._kept) < FRONT_BYTES:
            self._keep(data)
        self._opened().write(data)
        self._untold += len(data)
        if self._untold >= _TOLD_AT_ONCE:
            self._tell()

    def arrived(self) -> None:
        """Say that there is no more of the pack."""
        self._tell()
        self._opened().end()
        if not self.front.done():
            self.front.set_result(PackFront(bytes(self._kept), whole=True, request=self.request.fetch))

    def finish(self) -> StoredBundle:
        """See ArrivedBundle."""
        writer, required = self._opened(), self.request.required
        written = writer.finish()
        assert self.refs is not None  # noqa: S101 - the writer was opened with it
        history = History(
            prerequisites=sorted(required),
            segments=[segment.name for segment in written.artifacts],
            bundle_sha256=written.artifacts[0].sha256 if len(written.artifacts) == 1 else None,
            pack_checksum=written.pack_checksum,
            objects=written.objects,
            bytes=written.bytes,
        )
        return StoredBundle(history, written.artifacts, awaited(self.refs, self.folder.cancel))

    def abort(self) -> bool:
        """Stop, and tell whether anything may be stored."""
        self.front.cancel()
        if self.writer is not None:
            self.writer.abort()
        return self.writer is not None

    def _tell(self) -> None:
        """Tell the observer of the bytes that it has not heard of."""
        untold, self._untold = self._untold, 0
        self.observer.advance(untold)

    def _keep(self, data: memoryview) -> None:
        """Keep the bytes as part of the front, which is complete once more has come than fits in."""
        self._kept += data[: FRONT_BYTES - len(self._kept)]
        if len(self._kept) == FRONT_BYTES:
            self.front.set_result(PackFront(bytes(self._kept), request=self.request.fetch))

    def _opened(self) -> SegmentWriter:
        if self.writer is None:
            fmt, size = self.request.refs.object_format, self.options.segment_bytes
            in_flight = self.options.in_flight
            self.writer = SegmentWriter(self.folder, fmt=fmt, segment_bytes=size, in_flight=in_flight)
            self.refs = self.writer.put_beside(layout.REFS, self.request.refs.encoded, "text/plain")
            self.writer.begin(header(self.request.refs, self.request.required))
        return self.writer
