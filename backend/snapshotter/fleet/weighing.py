"""What a repository weighed before: in the snapshot before, and in the last good one. The last run's row tells, and the
store."""

from __future__ import annotations

from datetime import datetime

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import Manifest
from snapshotter.archive.sealed import Sealed, open_sealed
from snapshotter.base.errors import AccessDenied, Missing, Unavailable, Unusable
from snapshotter.capture.snapshot import TakenSnapshot
from snapshotter.fleet.outcome import Task
from snapshotter.fleet.verdict import Rules
from snapshotter.store.objects import Store


def weight_before(store: Store, task: Task, taken: TakenSnapshot) -> int:
    """What the origin weighed before this run, in bytes; 0 if nobody knows, or this run wrote nothing."""
    if not taken.wrote:
        return 0
    if taken.parent:
        return taken.parent.sealed.manifest.chain_bytes.base
    # What a killed run or a lost worker had taken is found again without its parent.
    known, parent = known_snapshot(task), taken.sealed.manifest.parent
    if parent and not (known and known.manifest.run_id == parent.run_id):
        return _base_bytes(store, task.repo, RunId(parent.run_id))
    return known.manifest.chain_bytes.base if known else 0


def good_before(store: Store, task: Task, manifest: Manifest, rules: Rules) -> int:
    """What the origin weighed in its last good snapshot, if a run has taken since what is its base still, and that
    is no good one: so nobody has said that it is meant to be so. Else 0."""
    last = task.last
    if last is None or last.good_run == last.run or not _has_the_base_of(manifest, task):
        return 0
    good = RunId.parse(last.good_run)
    if good is None or (manifest.chain and good.text >= manifest.chain[0]) or rules.shrunk_by >= 1:
        return 0
    return _base_bytes(store, task.repo, good)


def known_snapshot(task: Task) -> Sealed | None:
    """The newest snapshot as the last run's row has it. Returns None if that is none that this release could write."""
    row = task.last
    run_id = RunId.parse(row.run) if row else None
    if row is None or run_id is None or not row.manifest:
        return None
    try:
        return open_sealed(row.manifest, RunKey(task.repo, run_id))
    except Unavailable:
        return None


def _base_bytes(store: Store, repo: str, run_id: RunId) -> int:
    """What the base of a snapshot's chain weighs; 0 if that can no longer be read."""
    try:
        return Catalog(store).manifest(RunKey(repo, run_id)).manifest.chain_bytes.base
    except (Missing, Unusable, AccessDenied):  # it has expired, as it may
        return 0


def base_at(manifest: Manifest) -> datetime | None:
    """When the base of a snapshot's chain was taken. Returns None without one."""
    return RunId(manifest.chain[0]).started_at if manifest.chain else None


def _has_the_base_of(manifest: Manifest, task: Task) -> bool:
    """Whether a snapshot's base is that of the newest one that the last run knew."""
    known = known_snapshot(task)
    if known is None:  # its manifest is too large for a row
        return task.last is not None and task.last.base_at == base_at(manifest)
    return known.manifest.chain[:1] == manifest.chain[:1]
