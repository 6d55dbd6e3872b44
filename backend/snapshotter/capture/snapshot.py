"""Take one snapshot: list the origin's refs, stream the pack it sends into the store, write the manifest.

Nothing is cloned, nothing is kept, nothing is written to disk. The manifest is the commit point.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from snapshotter import __version__
from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import (
    SCHEMA_VERSION,
    Artifact,
    ChainBytes,
    Filters,
    Gap,
    History,
    Kind,
    Limits,
    Manifest,
    Parent,
    RefChanges,
    RefsRecord,
    Scan,
    Sealed,
    open_sealed,
    seal,
)
from snapshotter.archive.segments import SegmentWriter, Written, check_size
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.text import decode_name, raw_if_changed
from snapshotter.capture import changes, scan_step
from snapshotter.capture.parent import ParentSnapshot, with_ledger
from snapshotter.capture.parent import find as find_parent
from snapshotter.git import bundle, pack_frame
from snapshotter.git.origin import Origin
from snapshotter.git.refs import SYNTHETIC_MERGES, ObjectFormat, RefsLedger, clashing, select
from snapshotter.scan.facts import Facts
from snapshotter.scan.scanners import scanner_versions
from snapshotter.store.objects import Store
from snapshotter.transport import FetchRequest, Transport, WantVanished

MAX_INCREMENTS = 24
_LISTINGS = 4  # a want may vanish between listing and fetching: list again, a few times
_SAMPLE = 5


@dataclass(frozen=True)
class Options:
    """How a snapshot is taken. Sizes are bytes. Without `scan` there is none."""

    full: bool = False
    refs: Sequence[str] = ()
    exclude_refs: Sequence[str] = SYNTHETIC_MERGES
    labels: Mapping[str, str] = field(default_factory=dict)
    segment_bytes: int = 16 * 1024 * 1024
    in_flight: int = 2
    max_chain_age: timedelta | None = None
    max_refs: int = 2_000_000
    idle_seconds: float = 90.0
    scan: scan_step.ScanOptions | None = None


def take(
    origin: Origin,
    transport: Transport,
    store: Store,
    options: Options,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    now: datetime | None = None,
) -> Sealed:
    """Take one snapshot of `origin` through `transport` into `store` and return its manifest.

    Raises UsageError for options that cannot be, and what the transport and the store raise; then there is
    no manifest, and so no snapshot.
    """
    check_size(options.segment_bytes)
    started = now or datetime.now(UTC)
    run = _Run(origin, transport, store, options, observer or Observer(), cancel or Cancel(), started)
    return run.take()


class _Run:
    def __init__(
        self,
        origin: Origin,
        transport: Transport,
        store: Store,
        options: Options,
        observer: Observer,
        cancel: Cancel,
        started: datetime,
    ) -> None:
        self._origin, self._transport, self._store, self._options = origin, transport, store, options
        self._observer, self._cancel, self._started = observer, cancel, started
        self._key = RunKey(origin.repo, RunId.new(started))
        self._catalog = Catalog(store)
        self._timings: dict[str, float] = {}
        self._target: scan_step.Target | None = None
        self._why_none = ""  # there is no parent
        self._clock = time.monotonic()

    def take(self) -> Sealed:
        """Find the parent, list the refs, capture; list again a few times if a want vanishes meanwhile."""
        self._observer.stage("looking for the newest snapshot and listing the origin's refs")
        with ThreadPoolExecutor(1) as pool:  # the store and the origin are asked at the same time
            finding = pool.submit(find_parent, self._catalog, self._origin, self._key, self._observer)
            listed = self._transport.ls_refs()
            found = finding.result()
        self._key, self._why_none = found.key, found.why_none
        self._lap("refs")
        for attempt in range(1, _LISTINGS + 1):
            try:
                return self._capture(listed, found.parent)
            except WantVanished:
                if attempt == _LISTINGS:
                    raise
                self._observer.warn("the origin changed between listing and fetching; listing again")
                self._cancel.sleep(0.2 * attempt)
                listed = self._transport.ls_refs()
        raise AssertionError  # the last attempt returns or raises

    def _capture(self, listed: RefsLedger, found: ParentSnapshot | None) -> Sealed:
        """One attempt with one listing. A retry is safe: segments are written only once a pack comes."""
        ledger, left_out = select(listed, self._options.refs, self._options.exclude_refs)
        gaps = _gaps(left_out, ledger)
        parent = found and with_ledger(self._catalog, found, ledger, self._observer)
        if listed.tips and not ledger.tips:
            raise UsageError("the ref patterns leave no ref", hint="check --refs and --exclude-refs")
        if self._options.scan is not None:
            self._target = scan_step.target(ledger, self._options.scan.ref)
        if not ledger.tips:
            return self._write("empty", "the origin has no refs", ledger, parent, None, None, gaps)
        reason = self._base_due(parent)
        if parent is None or parent.ledger is None or reason:
            return self._base(ledger, parent, reason, gaps)
        if ledger.sha256 == parent.ledger.sha256:
            return self._write("unchanged", "the refs are the same", ledger, parent, None, RefChanges(), gaps)
        return self._increment(ledger, parent, parent.ledger, gaps)

    def _base(
        self, ledger: RefsLedger, parent: ParentSnapshot | None, reason: str, gaps: list[Gap]
    ) -> Sealed:
        request = FetchRequest(sorted(ledger.tips), thin=False)
        before = parent.sealed.manifest.chain_bytes.base if parent else 0
        written = self._stream("base", ledger, frozenset(), request, expected=before or None)
        judged = self._changes(parent, ledger)
        return self._write("base", reason, ledger, parent, (written, frozenset()), judged, gaps)

    def _increment(
        self, ledger: RefsLedger, parent: ParentSnapshot, before: RefsLedger, gaps: list[Gap]
    ) -> Sealed:
        required = bundle.prerequisites(before)
        # A detached HEAD's commit does not count as held: who restores by fetching refs/* has it not.
        held = {ref.oid for ref in before}
        haves = required | {ref.oid for ref in before if ledger.oids.get(ref.name) != ref.oid}
        request = FetchRequest(sorted(ledger.tips - held), sorted(haves))
        with ThreadPoolExecutor(1) as pool:  # whether branches were rewritten is asked beside the fetch
            judging = pool.submit(self._changes, parent, ledger)
            written = self._stream("increment", ledger, required, request)
            judged = judging.result()
        return self._write("increment", "the refs changed", ledger, parent, (written, required), judged, gaps)

    def _stream(
        self,
        kind: Kind,
        ledger: RefsLedger,
        required: frozenset[str],
        request: FetchRequest,
        *,
        expected: int | None = None,
    ) -> Written:
        """The origin's pack, straight into segments of a bundle; `expected` bytes of it, as the last base had."""
        fmt = bundle.object_format(ledger)
        self._observer.stage("streaming the pack into the store", expected)
        writer: SegmentWriter | None = None

        def open_writer() -> SegmentWriter:
            return SegmentWriter(
                self._store,
                self._key,
                fmt=fmt,
                header=bundle.header(ledger, required, fmt),
                segment_bytes=self._options.segment_bytes,
                in_flight=self._options.in_flight,
                tags=self._tags(kind),
                cancel=self._cancel,
            )

        def sink(data: memoryview) -> None:
            nonlocal writer
            writer = writer or open_writer()
            writer.write(data)
            self._observer.advance(len(data))

        try:
            if request.wants:
                self._transport.fetch(request, sink)
            else:
                sink(memoryview(pack_frame.empty_pack(fmt)))
            written = (writer or open_writer()).finish()
        except WantVanished as error:
            if writer is None:
                raise
            writer.abort()  # part of it is stored already: another try needs another run id
            raise Unavailable(error.message, code=error.code, hint="run again") from error
        except BaseException:
            if writer is not None:
                writer.abort()
            raise
        self._lap("history")
        return written

    def _write(
        self,
        kind: Kind,
        reason: str,
        ledger: RefsLedger,
        parent: ParentSnapshot | None,
        bundled: tuple[Written, frozenset[str]] | None,
        judged: RefChanges | None,
        gaps: list[Gap],
    ) -> Sealed:
        """The refs ledger, then the manifest, which makes it a snapshot."""
        artifacts = list(bundled[0].artifacts) if bundled else []
        if kind == "unchanged" and parent is not None:
            refs = parent.sealed.manifest.refs
        else:
            artifacts.append(self._put(layout.REFS, ledger.encoded, "text/plain", kind))
            refs = RefsRecord(count=len(ledger), sha256=ledger.sha256, artifact=self._key.key(layout.REFS))
        if judged is None and parent is not None:
            judged = self._changes(parent, ledger)
        history = _history(bundled)
        chain, weight = _chain(kind, self._key.run_id, history, parent)
        scan, missed = self._scan(kind, reason, parent, refs, history, chain, judged, gaps)
        if scan is not None and scan.run_id == str(self._key.run_id):
            artifacts += scan.artifacts
        gaps = gaps + missed
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            tool_version=__version__,
            run_id=str(self._key.run_id),
            repo=self._key.repo,
            origin=self._origin.url,
            started_at=self._started,
            finished_at=self._finished(),
            kind=kind,
            reason=reason,
            parent=_parent_record(parent),
            head=ledger.head_text,
            object_format=self._format(ledger, parent),
            refs=refs,
            history=history,
            chain=chain,
            chain_bytes=weight,
            scan=scan,
            ref_changes=judged,
            gaps=gaps,
            artifacts=artifacts,
            limits=self._limits(),
            filters=Filters(refs=list(self._options.refs), exclude_refs=list(self._options.exclude_refs)),
            labels=dict(self._options.labels),
            timings=self._timings,
            head_bytes=raw_if_changed(ledger.head_target) if ledger.head_target is not None else None,
        )
        sealed = seal(manifest)
        open_sealed(sealed.data, self._key)  # what could not be read again is not written
        self._observer.stage("writing the manifest")
        self._cancel.check()
        key = self._key.key(layout.MANIFEST)
        self._store.put_new(
            key, sealed.data, content_type="application/json", tags=self._tags(kind), cancel=self._cancel
        )
        return sealed

    def _scan(
        self,
        kind: Kind,
        reason: str,
        parent: ParentSnapshot | None,
        refs: RefsRecord,
        history: History | None,
        chain: list[str],
        judged: RefChanges | None,
        gaps: list[Gap],
    ) -> tuple[Scan | None, list[Gap]]:
        """The scan, or the gap that says why there is none: a scan that fails never costs the snapshot."""
        options = self._options.scan
        if options is None or kind == "empty":
            return None, []
        if self._target is None:
            return None, [Gap(kind="scan", count=1, sample=["HEAD names no branch that was taken"])]
        before = parent.sealed.manifest if parent else None
        earlier = scan_step.earlier(self._catalog, before, self._observer) if before else None
        previous = scan_step.usable(earlier, self._target.ref, options, self._started)
        about = Facts(
            repo=self._key.repo,
            origin=self._origin.url,
            run_id=str(self._key.run_id),
            taken_at=self._started,
            ref=self._target.ref,
            commit=self._target.commit,
            kind=kind,
            reason=reason,
            refs=refs.count,
            chain=len(chain),
            history=history,
            parent=before.run_id if before else None,
            compared=previous.run_id if previous else None,
            keyed=bool(options.settings.fingerprint_key),
            ref_changes=judged,
            gaps=gaps,
            scanners=scanner_versions(),
            limits=scan_step.limits(options.settings),
        )
        work = scan_step.Scanning(self._transport, self._store, options, self._observer, self._cancel)
        try:
            scan = work.take(
                self._target, about, previous, lambda name, data, what: self._put(name, data, what, kind)
            )
        except Exception as error:  # noqa: BLE001 - whatever a hostile tree does to a scanner, the history stands
            gap = scan_step.failed(error)
            self._observer.warn(f"no scan: {gap.sample[0]}")
            return None, [gap]
        self._lap("scan")
        return scan, []

    def _base_due(self, parent: ParentSnapshot | None) -> str:
        """Why a base is due, or ''."""
        if parent is None:
            return self._why_none
        manifest, options = parent.sealed.manifest, self._options
        if options.full:
            return "asked for (--full)"
        if parent.ledger is None:
            return "the parent's refs cannot be read"
        if not parent.ledger.branch_tips or not manifest.chain:
            return "the parent has no branches to build on"
        if parent.damage:
            return parent.damage
        if len(manifest.chain) > MAX_INCREMENTS:
            return f"the chain has {MAX_INCREMENTS} increments"
        if manifest.chain_bytes.increments > manifest.chain_bytes.base:
            return "the increments outweigh the base"
        age = self._started - manifest.chain_keys[0].run_id.started_at
        if options.max_chain_age is not None and age > options.max_chain_age:
            return f"the base is older than {options.max_chain_age}"
        return ""

    def _changes(self, parent: ParentSnapshot | None, ledger: RefsLedger) -> RefChanges | None:
        if parent is None or parent.ledger is None:
            return None
        fmt = bundle.object_format(ledger)
        return changes.compare(parent.ledger, ledger, changes.by_transport(self._transport, fmt))

    def _put(self, name: str, data: bytes, content_type: str, kind: Kind) -> Artifact:
        key = self._key.key(name)
        self._store.put_new(key, data, content_type=content_type, tags=self._tags(kind), cancel=self._cancel)
        digest = hashlib.sha256(data).hexdigest()
        return Artifact(name=name, key=key, bytes=len(data), sha256=digest, content_type=content_type)

    def _tags(self, kind: Kind) -> dict[str, str]:
        return {"kind": kind, "repo": self._key.repo}

    def _format(self, ledger: RefsLedger, parent: ParentSnapshot | None) -> ObjectFormat:
        return bundle.object_format(ledger, parent.sealed.manifest.object_format if parent else "sha1")

    def _limits(self) -> Limits:
        options = self._options
        return Limits(
            segment_bytes=options.segment_bytes,
            uploads_in_flight=options.in_flight,
            max_refs=options.max_refs,
            idle_seconds=options.idle_seconds,
        )

    def _finished(self) -> datetime:
        return self._started + timedelta(seconds=round(time.monotonic() - self._clock, 3))

    def _lap(self, name: str) -> None:
        self._timings[name] = round(time.monotonic() - self._clock, 3)


def _history(bundled: tuple[Written, frozenset[str]] | None) -> History | None:
    if bundled is None:
        return None
    written, required = bundled
    segments = written.artifacts
    return History(
        prerequisites=sorted(required),
        segments=[segment.name for segment in segments],
        bundle_sha256=segments[0].sha256 if len(segments) == 1 else None,
        pack_checksum=written.pack_checksum,
        objects=written.objects,
        bytes=written.bytes,
    )


def _parent_record(parent: ParentSnapshot | None) -> Parent | None:
    if parent is None:
        return None
    return Parent(run_id=parent.sealed.manifest.run_id, manifest_sha256=parent.sealed.sha256)


def _chain(
    kind: Kind, run_id: RunId, history: History | None, parent: ParentSnapshot | None
) -> tuple[list[str], ChainBytes]:
    """The runs that restore this snapshot, and their weight."""
    size = history.bytes if history else 0
    if kind == "base":
        return [str(run_id)], ChainBytes(base=size, increments=0)
    if kind == "empty" or parent is None:
        return [], ChainBytes(base=0, increments=0)
    before = parent.sealed.manifest
    if kind == "unchanged":
        return before.chain, before.chain_bytes
    grown = ChainBytes(base=before.chain_bytes.base, increments=before.chain_bytes.increments + size)
    return [*before.chain, str(run_id)], grown


def _gaps(left_out: list[bytes], ledger: RefsLedger) -> list[Gap]:
    """What is known to be missing or awkward before anything is fetched."""
    found = {"refs-left-out": left_out, "refs-clashing": clashing(ledger)}
    return [
        Gap(kind=kind, count=len(names), sample=[decode_name(name) for name in names[:_SAMPLE]])
        for kind, names in found.items()
        if names
    ]
