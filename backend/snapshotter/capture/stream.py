"""The origin's pack, straight into segments of a bundle: what to ask for, and the way into the store."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from snapshotter.archive.manifest import Artifact, History
from snapshotter.archive.segments import SegmentWriter, Written
from snapshotter.archive.transfer import RunFolder
from snapshotter.base.errors import Unavailable
from snapshotter.base.observer import Observer
from snapshotter.capture.options import CaptureOptions
from snapshotter.git import bundle, pack_frame
from snapshotter.git.refs import RefsLedger
from snapshotter.transport import FetchRequest, Transport, WantVanished


@dataclass(frozen=True)
class BundleRequest:
    """A bundle to be made: the refs that it lists, the commits that it requires, and what the origin is asked for.

    `expected` is about how many bytes will come, for progress; None where nothing is known.
    """

    refs: RefsLedger
    required: frozenset[str]
    fetch: FetchRequest
    expected: int | None = None


@dataclass(frozen=True)
class StoredBundle:
    """A bundle in the store: its record, and its segments in order."""

    history: History
    segments: list[Artifact]


def base(refs: RefsLedger, expected: int | None = None) -> BundleRequest:
    """Everything that `refs` reach."""
    return BundleRequest(refs, frozenset(), FetchRequest(sorted(refs.tips), thin=False), expected)


def increment(refs: RefsLedger, before: RefsLedger, commits: Set[str]) -> BundleRequest:
    """What `refs` reach and the parent's refs, `before`, do not.

    It requires those of the parent's branch tips that are known to be `commits`. The haves are all of these tips and
    the old value of every ref that changed, and nothing more: naming all tips of a large repository made its server
    several times slower.
    """
    required = bundle.prerequisites(before, commits)
    # A detached HEAD's commit is fetched again: where no ref names it, a restore by hand may lack it.
    known = {ref.oid for ref in before}
    haves = before.branch_tips | {ref.oid for ref in before if refs.oids.get(ref.name) != ref.oid}
    return BundleRequest(refs, required, FetchRequest(sorted(refs.tips - known), sorted(haves)))


def stream(
    request: BundleRequest,
    transport: Transport,
    folder: RunFolder,
    options: CaptureOptions,
    observer: Observer,
) -> StoredBundle:
    """Fetch the pack and store it as a bundle, segment by segment, while it arrives.

    Nothing is stored before the pack's first bytes: until then WantVanished is raised as it is, and the caller may
    try again. Later it is Unavailable. Raises whatever else the transport and the store raise.
    """
    fmt = request.refs.object_format
    observer.stage("streaming the pack into the store", request.expected)
    writer: SegmentWriter | None = None

    def open_writer() -> SegmentWriter:
        header = bundle.header(request.refs, request.required)
        size, in_flight = options.segment_bytes, options.in_flight
        opened = SegmentWriter(folder, fmt=fmt, segment_bytes=size, in_flight=in_flight)
        opened.begin(header)
        return opened

    def sink(data: memoryview) -> None:
        nonlocal writer
        writer = writer or open_writer()
        writer.write(data)
        observer.advance(len(data))

    try:
        if request.fetch.wants:
            transport.fetch(request.fetch, sink)
        else:  # refs changed and objects did not: a server refuses a fetch of nothing, and a bundle needs its pack
            sink(memoryview(pack_frame.empty_pack(fmt)))
        return _stored((writer or open_writer()).finish(), request.required)
    except BaseException as error:
        if writer is not None:
            writer.abort()
            if isinstance(error, WantVanished):  # part of it is stored: another try needs another run id
                raise Unavailable(error.message, code=error.code, hint="run again") from error
        raise


def _stored(written: Written, required: frozenset[str]) -> StoredBundle:
    segments = written.artifacts
    history = History(
        prerequisites=sorted(required),
        segments=[segment.name for segment in segments],
        bundle_sha256=segments[0].sha256 if len(segments) == 1 else None,
        pack_checksum=written.pack_checksum,
        objects=written.objects,
        bytes=written.bytes,
    )
    return StoredBundle(history, segments)
