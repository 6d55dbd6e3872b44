"""Values as JSON documents: for each, the fields that `--json` prints. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from snapshotter.archive.lfs_facts import lfs_facts
from snapshotter.cli import describe

if TYPE_CHECKING:
    from datetime import datetime

    import msgspec

    from snapshotter.access.proof import Proof
    from snapshotter.archive.every_repo import Unread
    from snapshotter.archive.expiry import Expiry
    from snapshotter.archive.layout import RunKey
    from snapshotter.archive.listed_run import ListedRun
    from snapshotter.archive.manifest import Manifest, RefChanges, Scan
    from snapshotter.archive.sealed import Sealed
    from snapshotter.archive.snapshot_list import ListedSnapshot, SnapshotList
    from snapshotter.archive.submodule_states import SubmoduleState
    from snapshotter.capture.later_scan import SnapshotScan
    from snapshotter.fleet.entries import Entry
    from snapshotter.fleet.outcome import FleetSummary
    from snapshotter.fleet.plan import FleetPlan
    from snapshotter.fleet.standing import Standing, Standings
    from snapshotter.fleet.status import FleetStatus, RepoStatus
    from snapshotter.recover.many import Verification
    from snapshotter.recover.verdict import Verdict


def snapshot(sealed: Sealed) -> dict[str, object]:
    """A snapshot: the manifest's own fields, its folder, and the manifest's digest."""
    fields = _fields(sealed.manifest)
    return fields | {"folder": sealed.manifest.key.folder, "manifest_sha256": sealed.sha256}


def whole_snapshot(sealed: Sealed, run: ListedRun, later: Scan | None) -> dict[str, object]:
    """A snapshot with its receipts' keys and the scan that was made for it afterwards."""
    receipts = [run.key.key(name) for name in run.receipts]
    return snapshot(sealed) | {"receipts": receipts, "later_scan": later and _fields(later)}


def submodules(states: Sequence[SubmoduleState]) -> list[dict[str, object]]:
    """The submodules of a tree, with the newest snapshot of each one's repository."""
    return [
        _fields(each.submodule) | {"snapshot": each.snapshot and each.snapshot.folder, "held": each.held}
        for each in states
    ]


def later_scan(scanned: SnapshotScan) -> dict[str, object]:
    """A later scan: its own fields, the folder of its snapshot, and whether it was made just now or was there."""
    return _fields(scanned.scan) | {"snapshot": scanned.snapshot.key.folder, "made": scanned.is_new}


def listing(snapshots: SnapshotList, store: str, expiry: Expiry | None = None) -> dict[str, object]:
    """A list of snapshots of the store named, and the repos that could not be listed."""
    return {
        "snapshots": [_listed(each) | restorable(each.manifest, expiry) for each in snapshots.snapshots],
        "unread": [unread(each) for each in snapshots.unread],
        "store": store,
    }


def restorable(manifest: Manifest | None, expiry: Expiry | None) -> dict[str, object]:
    """Until when a snapshot can be restored, and whether that is too short; nothing if nothing is said to expire."""
    if manifest is None or expiry is None:
        return {}
    until = expiry.restorable_until(manifest).isoformat()
    return {"restorable_until": until, "too_short": expiry.falls_short(manifest)}


def standings(found: Standings, store: str) -> dict[str, object]:
    """Where the origins stand in the store named, and the repos that could not be looked up."""
    return {
        "origins": [_standing(each) for each in found.origins],
        "lacking": len(found.lacking),
        "unread": [unread(each) for each in found.unread],
        "store": store,
    }


def _standing(standing: Standing) -> dict[str, object]:
    good, proven = standing.good, standing.proven_at
    return {
        "origin": standing.origin,
        "repo": standing.repo,
        "run_id": str(good.run_id) if good else None,
        "taken_at": good.run_id.started_at.isoformat() if good else None,
        "verified_at": proven.isoformat() if proven else None,
        "lacks": list(standing.lacks),
    }


def unread(unread: Unread) -> dict[str, str]:
    """A repo that could not be read, and why."""
    return {"repo": unread.repo, "error": unread.error.message}


def _listed(listed: ListedSnapshot) -> dict[str, object]:
    """One row of a list. If its manifest cannot be read, its kind is None and `error` says why."""
    key, manifest = listed.run.key, listed.manifest
    row = {"repo": key.repo, "run_id": str(key.run_id), "taken_at": key.run_id.started_at.isoformat()}
    if manifest is None:
        return row | {"kind": None, "error": listed.error.message if listed.error else ""}
    told: dict[str, object] = {
        "kind": manifest.kind,
        "refs": manifest.refs.count,
        "bytes": listed.stored_bytes,
        "origin": manifest.origin,
        "verified": listed.run.verified,
        "changes": describe.change_counts(manifest.ref_changes),
    }
    return row | told | lfs_facts(manifest.lfs)


def diff(old: Manifest, new: Manifest, changes: RefChanges) -> dict[str, object]:
    """The ref changes between two snapshots, in a manifest's own form."""
    return {"a": describe.name_of(old.key), "b": describe.name_of(new.key), **_fields(changes)}


def verification(result: Verification, affected: Sequence[RunKey], *, quick: bool) -> dict[str, object]:
    """The result of each verification, and which snapshots depend on what is damaged."""
    return {
        "mode": "quick" if quick else "full",
        "snapshots": [_verdict(verdict) for verdict in result.verdicts],
        "unread": [unread(each) for each in result.unread],
        "expired": [describe.name_of(key) for key in result.expired],
        "affected": [describe.name_of(key) for key in affected],
    }


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "repo": verdict.run.repo,
        "run_id": str(verdict.run.run_id),
        "ok": verdict.ok,
        "refs": verdict.refs,
        "problems": [str(problem) for problem in verdict.problems],
        "unchecked": verdict.unchecked.message if verdict.unchecked else None,
        "fsck": verdict.fsck,
        "receipt": verdict.receipt or "",
        "seconds": round(verdict.seconds, 3),
        **lfs_facts(verdict.outline.lfs if verdict.outline else None),
    }


def proof(proof: Proof) -> dict[str, object]:
    """A proof with all its rows, and how many rows have each status."""
    from snapshotter.access.proof import Status

    return asdict(proof) | {"counts": {status.name.lower(): proof.count(status) for status in Status}}


def fleet_plan(plan: FleetPlan) -> dict[str, object]:
    """A fleet's plan. Read again, it tells what has changed since (see `fleet/roster.py`)."""
    return {
        "inventory": plan.name,
        "repos": [_fleet_entry(entry) for entry in plan.entries],
        "left_out": [asdict(each) for each in plan.left_out],
        "sources": [
            {
                "source": state.title,
                "listed": state.listed,
                "taken": state.taken,
                "error": state.error.as_dict() if state.error else None,
            }
            for state in plan.sources
        ],
        "changes": [asdict(change) for change in plan.changes],
    }


def fleet_status(status: FleetStatus) -> dict[str, object]:
    """Where a fleet stands: an entry for each repository of its inventory, the worst first. Ages are seconds."""
    proof = status.demand.max_verify_age
    return {
        "inventory": status.name,
        "as_of": status.now.isoformat(),
        "max_age": status.demand.max_age.total_seconds(),
        "max_verify_age": proof.total_seconds() if proof else None,
        "last_run": status.summary.run_id if status.summary else None,
        "unended_run": status.unended,
        "unlisted": list(status.unlisted),
        "lacking": len(status.lacking),
        "repos": [_fleet_repo(each, status.now) for each in status.repos],
    }


def _fleet_repo(status: RepoStatus, now: datetime) -> dict[str, object]:
    wanted, place, row = status.wanted, status.place, status.row
    good = place.good.run_id if place and place.good else None
    age, proven = status.age(now), place.proven_at if place else None
    ended_badly = row is not None and not row.ok
    return {
        "origin": wanted.origin,
        "repo": wanted.repo,
        "source": wanted.source,
        "path": wanted.path,
        "state": status.state,
        "lacks": list(status.lacks),
        "run_id": str(good) if good else None,
        "taken_at": good.started_at.isoformat() if good else None,
        "confirmed_at": place.as_of.isoformat() if place and place.as_of else None,
        "age": age.total_seconds() if age is not None else None,
        "verified_at": proven.isoformat() if proven else None,
        "verified_age": max((now - proven).total_seconds(), 0.0) if proven else None,
        "verdict": row.verdict if row else None,
        "verdict_at": row.finished_at.isoformat() if row else None,
        "error": status.error.message if status.error else row.error if row and ended_badly else None,
        "trend": status.trend,
        "recent": row.recent if row else "",
        "failures": row.failures if row else 0,
        **lfs_facts(status.lfs),
    }


def fleet_run(summary: FleetSummary) -> dict[str, object]:
    """A fleet's run: what its summary in the store says; of what is left out, how many there are."""
    return {
        "inventory": summary.inventory,
        "run_id": summary.run_id,
        "started_at": summary.started_at,
        "finished_at": summary.finished_at,
        "seconds": summary.seconds,
        "origins": summary.origins,
        "verdicts": dict(summary.verdicts),
        "resumed": summary.resumed,
        "tripped": summary.tripped,
        "stored": summary.stored,
        "requests": summary.requests,
        "sources": [
            {
                "source": source.title,
                "listed": source.listed,
                "taken": source.taken,
                "error": {
                    name: getattr(source.trouble, name) for name in ("code", "message", "hint", "exit_code")
                }
                if source.trouble
                else None,
            }
            for source in summary.sources
        ],
        "left_out": len(summary.left_out),
        "changes": [
            {name: getattr(change, name) for name in ("kind", "source", "path", "now")}
            for change in summary.changes
        ],
    }


def _fleet_entry(entry: Entry) -> dict[str, object]:
    from msgspec import to_builtins

    return {
        "origin": entry.origin.url,
        "repo": entry.origin.repo,
        "why": entry.why,
        "source": entry.source,
        "path": entry.path,
        "id": entry.id,
        "labels": dict(entry.labels),
        "options": to_builtins(entry.options),
        "optional": entry.optional,
        "bytes": entry.bytes,
    }


def _fields(struct: msgspec.Struct) -> dict[str, object]:
    from msgspec import to_builtins  # here, because `--help` does without it

    plain: dict[str, object] = to_builtins(struct)
    return plain
