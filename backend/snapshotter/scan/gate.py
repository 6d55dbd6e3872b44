"""The secret gate: no success for a run whose scan found secrets, or did not look for them."""

from __future__ import annotations

from snapshotter.archive.manifest import Scan
from snapshotter.base.errors import Finding, SnapshotterError, Unavailable
from snapshotter.scan.scanners import FAILED, SECRETS


def secret_gate(scan: Scan | None) -> SnapshotterError | None:
    """The error with which a secret gate ends a run, or None if the search found no secret.

    A Finding if it found some. Unavailable if nobody can tell: there is no scan, or its search failed.
    """
    if scan is None:
        return _unjudged("there is no scan", "its gaps say why there is none")
    if scan.tables.get("secrets"):
        return Finding(
            f"the secret gate tripped: {scan.tables['secrets']:,} leaked secrets in {scan.ref}",
            code="secret-gate",
            hint='the snapshot stands; `snapshotter query "SELECT path, line, rule FROM secrets"` lists them',
        )
    failed = [
        reason
        for gap in scan.gaps
        if gap.kind == FAILED
        for reason in gap.sample
        if reason.startswith(SECRETS)
    ]
    return _unjudged(failed[0], "take it again: the search is then made anew") if failed else None


def _unjudged(why: str, hint: str) -> Unavailable:
    return Unavailable(
        f"the secret gate cannot be judged: {why}", code="secret-gate", hint=f"the snapshot stands; {hint}"
    )
