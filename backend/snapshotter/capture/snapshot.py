"""Take one snapshot: find its parent, stream the pack into the store, scan, and commit by writing the manifest.

Nothing is cloned, nothing is kept, and the history is never written to disk. The manifest is the commit point.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import Artifact, Manifest, RefsRecord
from snapshotter.archive.sealed import Sealed, check_continues, open_sealed, seal
from snapshotter.archive.segments import check_size
from snapshotter.archive.transfer import JSON, RunFolder
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.kept_threads import beside
from snapshotter.base.observer import Observer
from snapshotter.base.room import Stay
from snapshotter.capture import changes, manifest_making, scan_choice
from snapshotter.capture.attempts import LfsAttempt, ScanAttempt
from snapshotter.capture.chain import Decision, decide
from snapshotter.capture.clock import Clock
from snapshotter.capture.comparing import Compared, compared_beside
from snapshotter.capture.manifest_making import Capture
from snapshotter.capture.options import CaptureOptions
from snapshotter.capture.pack_front import NO_FRONT, AwaitedFront
from snapshotter.capture.parent import ParentSearch, ParentSnapshot, find, with_ledger
from snapshotter.capture.refused_objects import RefusedObjects
from snapshotter.capture.scan_choice import ScanTarget
from snapshotter.capture.stream import StoredBundle, base, increment, streamed
from snapshotter.git.origin import Origin
from snapshotter.git.ref_names import named
from snapshotter.git.refs import RefListing, RefsLedger
from snapshotter.git.selection import Selection, select
from snapshotter.git.unlisted import Unlisted, unlisted
from snapshotter.store.objects import Store
from snapshotter.transport import Transport, WantVanished

if TYPE_CHECKING:
    from snapshotter.transport.lfs.source import LfsSource


class _Run(Struct, frozen=True):
    """What one run works with, from its first request to its manifest. Nothing in it changes."""

    origin: Origin
    transport: Transport
    store: Store
    options: CaptureOptions
    observer: Observer
    cancel: Cancel
    lfs: LfsSource | None = None


class TakenSnapshot(NamedTuple):
    """The snapshot that has the origin as it is now, whether this run wrote it, and the snapshot before, as it was
    found: they may be one, where `options.stands` says so. Without a `parent` it is the first, or was found again."""

    sealed: Sealed
    wrote: bool
    parent: ParentSnapshot | None


def take(
    origin: Origin,
    transport: Transport,
    store: Store,
    options: CaptureOptions,
    *,
    lfs: LfsSource | None = None,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    now: datetime | None = None,
) -> Sealed:
    """Take one snapshot of `origin` through `transport` into `store` and return its manifest; or the newest snapshot's,
    if the origin is as that has it and `options.stands` says that it is to stand.

    LFS objects come from `lfs`, if the options ask for them. Raises UsageError for options that cannot be, and what the
    transport and the store raise; then there is no manifest, and so no snapshot.
    """
    run = _Run(origin, transport, store, options, observer or Observer(), cancel or Cancel(), lfs)
    return _take(run, Clock.start(now), None).sealed


def take_after(
    known: Sealed | None,
    origin: Origin,
    transport: Transport,
    store: Store,
    options: CaptureOptions,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
    now: datetime | None = None,
    lfs: LfsSource | None = None,
) -> TakenSnapshot:
    """As `take`, and tell more of it. `known` is the snapshot that was the newest some time ago: while it still is, the
    search for the parent costs one listing."""
    run = _Run(origin, transport, store, options, observer or Observer(), cancel or Cancel(), lfs)
    return _take(run, Clock.start(now), known)


def _take(run: _Run, clock: Clock, known: Sealed | None) -> TakenSnapshot:
    check_size(run.options.segment_bytes)
    listed, search = _look(run, RunKey(run.origin.repo, RunId.new(clock.started)), known)
    clock = clock.lap("refs")
    refusals = RefusedObjects()
    while True:
        try:
            return _snapshot(run, _selected(run, listed, refusals.lacking), search, clock)
        except WantVanished as error:
            if not refusals.may_list_again():
                raise
            run.observer.warn("the origin refused what it had listed; listing again")
            run.cancel.sleep(0.2 * refusals.listings)  # a push is under way; it is over in a moment
            listed = run.transport.ls_refs()
            if refusals.listed_again(error, listed) and error.oid:
                run.observer.warn(_lacks(error.oid, listed))


def _look(run: _Run, key: RunKey, known: Sealed | None) -> tuple[RefListing, ParentSearch]:
    """The origin's refs and the parent. The store and the origin are asked at the same time: each is a wait."""
    run.observer.stage("looking for the newest snapshot and listing the origin's refs")

    with beside(lambda: find(Catalog(run.store), run.origin, key, run.observer, known)) as searching:
        listed = run.transport.ls_refs()
        return listed, searching.result()


def _lacks(oid: str, listed: RefListing) -> str:
    names = named(sorted(name for name, held in listed.oids.items() if held == oid))
    return (
        f"left out: {names}: the origin lists {oid} there and does not have it. Run `git fsck` at the origin, and "
        "mend or delete what holds it"
    )


def _selected(run: _Run, listed: RefListing, lacking: Set[str]) -> Selection:
    """The refs to take. Raises UsageError if the patterns leave none, Unavailable if the origin has none of them."""
    selection = select(listed, run.options.refs, run.options.exclude_refs, lacking)
    if not listed.tips or selection.ledger.tips:
        return selection
    if selection.lacking or selection.impossible:
        names = named(sorted({*selection.lacking, *selection.impossible}))
        raise Unavailable(
            f"the origin lists no ref whose object it has: {names}",
            code="no-sound-ref",
            hint="run `git fsck` at the origin",
        )
    raise UsageError("the ref patterns leave no ref", hint="check --refs and --exclude-refs")


def _snapshot(run: _Run, selection: Selection, search: ParentSearch, clock: Clock) -> TakenSnapshot:
    """One attempt with one listing. Another is safe after WantVanished: nothing is stored before a pack comes."""
    options, ledger = run.options, selection.ledger
    # First of all: a mistyped ref is told before it has cost anything.
    target = scan_choice.target(ledger, options.scan.ref) if options.scan else None
    parent = search.parent and with_ledger(Catalog(run.store), search.parent, ledger, run.observer)
    foundation, policy = parent.foundation if parent else None, options.base_policy
    decision = decide(ledger, foundation, policy, clock.started, why_no_parent=search.why_none)
    step = _Step(search.key, decision, ledger, parent, target)
    as_before = _is_as_before(run, step, clock.started)
    if as_before and parent is not None and options.stands(parent.sealed.manifest):
        return TakenSnapshot(parent.sealed, False, parent)
    with Stay(None if as_before else options.room) as stay:
        return TakenSnapshot(_captured(run, selection, step, clock, stay), True, parent)


class _Step(NamedTuple):
    """What is to be done in a run: the kind of snapshot that is due, of which refs, after which, with which scan."""

    key: RunKey
    decision: Decision
    ledger: RefsLedger
    parent: ParentSnapshot | None
    target: ScanTarget | None


def _is_as_before(run: _Run, step: _Step, now: datetime) -> bool:
    """Whether the newest snapshot, with its scan and LFS objects, is what a new one would be."""
    if step.parent is None or step.decision.kind not in ("unchanged", "empty"):
        return False
    manifest = step.parent.sealed.manifest
    if step.decision.kind == "empty":
        return manifest.refs.sha256 == step.ledger.sha256
    if run.options.lfs is not None:
        from snapshotter.capture.lfs_step import is_settled  # which runs without LFS do not load

        if not is_settled(manifest.lfs or None, run.options.lfs.asked):
            return False
    return scan_choice.holds(manifest.scan, step.target, run.options.scan, now)


def _captured(run: _Run, selection: Selection, step: _Step, clock: Clock, stay: Stay) -> Sealed:
    """Stream what is due, scan, and write the manifest."""
    options, (key, decision, ledger, parent, target) = run.options, step
    folder = RunFolder(run.store, key, decision.kind, run.cancel, stay)
    front = AwaitedFront()
    with _lfs_objects(run, folder, step, front) as objects:
        stored, compared = _stream(run, folder, step, front)
        clock = clock.lap("history") if stored else clock
        lfs = objects()
    clock = clock.lap("lfs") if lfs.artifacts else clock
    refs, refs_artifacts = _refs(folder, decision, ledger, parent, stored)
    capture = Capture(
        key=key,
        decision=decision,
        parent=parent,
        ledger=ledger,
        refs=refs,
        history=stored.history if stored else None,
        ref_changes=compared.changes,
        tip_dates=compared.tips.committed_at,
        gaps=[
            *manifest_making.ref_gaps(selection, _beside(run, ledger)),
            *manifest_making.hand_gap(ledger, compared.tips.others, parent),
            *lfs.gaps,
        ],
        artifacts=[*(stored.segments if stored else []), *refs_artifacts, *lfs.artifacts],
        lfs=lfs.record,
    )
    manifest = manifest_making.without_scan(capture, run.origin, options, clock)
    scan, gaps = _scan(run, folder, manifest, parent, target)
    clock = clock.lap("scan") if scan else clock
    return _commit(run, folder, manifest_making.finished(manifest, scan, gaps, clock), parent)


def _lfs_objects(
    run: _Run, folder: RunFolder, step: _Step, front: AwaitedFront
) -> AbstractContextManager[Callable[[], LfsAttempt]]:
    """Beside the block, LFS pointers are searched for, if they are asked for; what it is given takes their objects."""
    options, parent = run.options, step.parent
    asked = options.lfs is not None and run.lfs is not None
    if step.decision.kind == "empty" or not (asked or (parent and parent.sealed.manifest.lfs)):
        return nullcontext(LfsAttempt)
    from snapshotter.capture.lfs_beside import objects_beside  # which runs without LFS do not load
    from snapshotter.capture.lfs_step import LfsStep, SnapshotRefs

    taking = None
    if options.lfs is not None and run.lfs is not None:
        taking = LfsStep(run.transport, run.lfs, folder, options.lfs, options.segment_bytes, run.observer)
    return objects_beside(taking, folder, step.decision, SnapshotRefs(step.ledger, parent), front)


def _beside(run: _Run, ledger: RefsLedger) -> Unlisted:
    """What a local origin holds beside its refs; of any other only its refs can be known."""
    if not run.origin.is_local:
        return Unlisted()
    try:
        return unlisted(run.origin.path, ledger, run.cancel)
    except Unavailable as error:
        run.observer.warn(
            f"whether the origin has other worktrees or older stashes cannot be told: {error.message}"
        )
        return Unlisted()


def _stream(
    run: _Run, folder: RunFolder, step: _Step, front: AwaitedFront
) -> tuple[StoredBundle | None, Compared]:
    """The bundle that is due, stored, or None where none is; and what changed in the refs since the parent."""
    _, decision, ledger, parent, _ = step
    before = parent.ledger if parent else None
    if decision.kind in ("empty", "unchanged"):
        front.set_result(NO_FRONT)
        changed = changes.compare(before, ledger, lambda _: {}) if before is not None else None
        return None, Compared(changed)
    commits = parent.commits if parent else frozenset()
    if decision.kind == "increment" and before is not None:
        request = increment(ledger, before, commits)
    else:
        request = base(ledger, (parent and parent.chain.weight.base) or None)
    sessions = run.origin.scheme not in ("http", "https")
    with (
        compared_beside(run.transport, ledger, parent, front, sessions=sessions) as compared,
        streamed(request, run.transport, folder, run.options, run.observer, front) as arrived,
    ):
        told = compared()
        return arrived.finish(), told


def _refs(
    folder: RunFolder,
    decision: Decision,
    ledger: RefsLedger,
    parent: ParentSnapshot | None,
    stored: StoredBundle | None,
) -> tuple[RefsRecord, list[Artifact]]:
    """The record of the refs, and their artifact, if they had to be stored: unchanged ones are the parent's."""
    if decision.kind == "unchanged" and parent is not None:
        return parent.sealed.manifest.refs, []
    artifact = stored.refs if stored else folder.put(layout.REFS, ledger.encoded, "text/plain")
    return RefsRecord(count=len(ledger), sha256=ledger.sha256, artifact=artifact.key), [artifact]


def _scan(
    run: _Run, folder: RunFolder, manifest: Manifest, parent: ParentSnapshot | None, target: ScanTarget | None
) -> ScanAttempt:
    if run.options.scan is None or manifest.kind == "empty":
        return ScanAttempt()
    from snapshotter.capture.scan_step import ScanStep  # which runs without a scan do not load

    step = ScanStep(run.transport, folder, run.options.scan, run.observer)
    return step.attempt(manifest, parent.sealed.manifest if parent else None, target)


def _commit(run: _Run, folder: RunFolder, manifest: Manifest, parent: ParentSnapshot | None) -> Sealed:
    """Write the manifest, which makes it a snapshot. Raises Damaged for one that could not be restored."""
    sealed = seal(manifest)
    # Both checks are a reader's. Writing what they refuse would make a snapshot that nobody can restore or delete.
    if parent is not None:
        check_continues(manifest, parent.sealed.manifest)
    open_sealed(sealed.data, folder.key)
    run.observer.stage("writing the manifest")
    run.cancel.check()
    folder.put(layout.MANIFEST, sealed.data, JSON)
    return sealed
