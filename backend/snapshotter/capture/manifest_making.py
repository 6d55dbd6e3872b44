"""The making of the manifest: first without its scan, which reads it, then whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Final

import msgspec
from msgspec import UNSET, Struct

from snapshotter import __version__
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import (
    LIST_CAP,
    SCHEMA_VERSION,
    Artifact,
    Filters,
    Gap,
    History,
    Lfs,
    Limits,
    Manifest,
    Parent,
    RefChanges,
    RefsRecord,
    Scan,
)
from snapshotter.base.text import decode_name, raw_if_changed
from snapshotter.capture.chain import Chain, Decision, grown
from snapshotter.capture.clock import Clock
from snapshotter.capture.options import CaptureOptions
from snapshotter.capture.parent import ParentSnapshot
from snapshotter.git.origin import Origin
from snapshotter.git.refs import RefsLedger
from snapshotter.git.selection import Selection, clashing, not_by_hand
from snapshotter.git.unlisted import Unlisted

_SAMPLE: Final = 5  # names that a gap shows, of all that it counts
_NOT_BY_HAND: Final = "refs-not-by-hand"


class Capture(Struct, frozen=True):
    """What a run has captured of its origin, all of it stored: what its manifest is made of, but for the scan.

    `refs` is the parent's record where that still holds. `history` is None where there is nothing new to hold.
    `tip_dates` is when commits were made that this run learned of, by their ids. `lfs` is None where none is known.
    """

    key: RunKey
    decision: Decision
    parent: ParentSnapshot | None
    ledger: RefsLedger
    refs: RefsRecord
    history: History | None
    ref_changes: RefChanges | None
    tip_dates: Mapping[str, datetime]
    gaps: Sequence[Gap]
    artifacts: Sequence[Artifact]
    lfs: Lfs | None = None


def without_scan(capture: Capture, origin: Origin, options: CaptureOptions, clock: Clock) -> Manifest:
    """The manifest of a capture as far as it is known before its scan is made."""
    ledger, history, run_id = capture.ledger, capture.history, str(capture.key.run_id)
    parent = capture.parent and capture.parent.sealed
    before = capture.parent.chain if capture.parent else Chain()
    # Fields younger than schema 1 are unset where they have nothing to say: empty ones would be written out.
    chain = grown(before, capture.decision.kind, run_id, history.bytes if history else 0)
    return Manifest(
        schema_version=SCHEMA_VERSION,
        tool_version=__version__,
        run_id=run_id,
        repo=capture.key.repo,
        origin=origin.url,
        started_at=clock.started,
        finished_at=clock.started,
        kind=capture.decision.kind,
        reason=capture.decision.reason,
        parent=Parent(run_id=parent.manifest.run_id, manifest_sha256=parent.sha256) if parent else None,
        head=ledger.head_text,
        object_format=ledger.object_format,
        refs=capture.refs,
        history=history,
        chain=list(chain.runs),
        chain_bytes=chain.weight,
        scan=None,
        ref_changes=capture.ref_changes,
        gaps=list(capture.gaps),
        artifacts=list(capture.artifacts),
        limits=_limits(options),
        filters=Filters(refs=list(options.refs), exclude_refs=list(options.exclude_refs)),
        labels=dict(options.labels),
        timings={},
        head_bytes=raw_if_changed(ledger.head_target) if ledger.head_target is not None else None,
        tip_dates=_tip_dates(capture) or UNSET,
        head_guessed=ledger.head_guessed or UNSET,
        lfs=capture.lfs or UNSET,
        wiki=options.wiki() or UNSET,
        wiki_of=options.wiki_of or UNSET,
    )


def finished(manifest: Manifest, scan: Scan | None, gaps: Sequence[Gap], clock: Clock) -> Manifest:
    """The whole manifest: with its scan, or the `gaps` that stand for it, and how long each stage took."""
    own = scan.artifacts if scan is not None and scan.run_id == manifest.run_id else []
    dates = dict(manifest.tip_dates or {})
    if scan is not None and scan.committed_at:
        dates[scan.commit] = scan.committed_at
    return msgspec.structs.replace(
        manifest,
        scan=scan,
        gaps=[*manifest.gaps, *gaps],
        artifacts=[*manifest.artifacts, *own],
        timings=dict(clock.laps),
        finished_at=clock.now,
        tip_dates=dates or UNSET,
    )


def _tip_dates(capture: Capture) -> dict[str, datetime]:
    """When the commits at the refs' ends were made, as far as this run or its parent knows: the newest LIST_CAP."""
    ledger, parent = capture.ledger, capture.parent
    before = parent.sealed.manifest.tip_dates if parent else UNSET
    known = {**(before or {}), **capture.tip_dates}
    # Tips only: what a branch once held would add up from snapshot to snapshot.
    tips = {*(ref.peeled or ref.oid for ref in ledger), ledger.head_oid}
    newest = sorted(((when, commit) for commit, when in known.items() if commit in tips), reverse=True)
    return {commit: when for when, commit in newest[:LIST_CAP]}


def ref_gaps(selection: Selection, beside: Unlisted) -> list[Gap]:
    """The gaps in refs: those that were left out, those that no folder can hold together, and what a local
    origin holds `beside` its refs."""
    names_by_kind = {
        "refs-left-out": selection.by_pattern,
        "refs-impossible": selection.impossible,
        "refs-lacking": selection.lacking,
        "refs-clashing": clashing(selection.ledger),
        "worktree-heads": beside.worktree_heads,
        "older-stashes": beside.stashes,
    }
    return [_gap(kind, names) for kind, names in names_by_kind.items() if names]


def hand_gap(ledger: RefsLedger, no_commits: Set[str], parent: ParentSnapshot | None) -> list[Gap]:
    """The gap of refs that a restore by hand cannot write, if there are any: the parent's while the refs are the same.

    `no_commits` are the ids of what branches hold that are known to be none.
    """
    # Unchanged refs are asked for nothing, so `no_commits` is empty then; what the parent knew of them still holds.
    if parent is not None and parent.sealed.manifest.refs.sha256 == ledger.sha256:
        same = [gap for gap in parent.sealed.manifest.gaps if gap.kind == _NOT_BY_HAND]
        if same:
            return same
    names = not_by_hand(ledger, no_commits)
    return [_gap(_NOT_BY_HAND, names)] if names else []


def _gap(kind: str, names: Sequence[bytes]) -> Gap:
    return Gap(kind=kind, count=len(names), sample=[decode_name(name) for name in names[:_SAMPLE]])


def _limits(options: CaptureOptions) -> Limits:
    return Limits(
        segment_bytes=options.segment_bytes,
        uploads_in_flight=options.in_flight,
        max_refs=options.max_refs,
        idle_seconds=options.idle_seconds,
    )
