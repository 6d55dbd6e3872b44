"""The secret gate: whether a scan lets a caller go on."""

from __future__ import annotations

from snapshotter.archive.manifest import Scan
from snapshotter.base.errors import Finding, SnapshotterError, Unavailable
from snapshotter.scan.scanners import FAILED, SECRETS


def secret_gate(made: Scan | None) -> SnapshotterError | None:
    """What a secret gate ends with: a finding where secrets were found; "could not" where nobody can tell,
    because there is no scan or its search for secrets failed; None where none was found."""
    if made is None:
        return _unjudged("there is no scan", "its gaps say why there is none")
    if made.tables.get("secrets"):
        return Finding(
            f"the secret gate tripped: {made.tables['secrets']:,} leaked secrets in {made.ref}",
            code="secret-gate",
            hint='the snapshot stands; `snapshotter query "SELECT path, line, rule FROM secrets"` lists them',
        )
    failed = [
        said for gap in made.gaps if gap.kind == FAILED for said in gap.sample if said.startswith(SECRETS)
    ]
    return _unjudged(failed[0], "take it again, and that will be looked for anew") if failed else None


def _unjudged(why: str, hint: str) -> Unavailable:
    return Unavailable(
        f"the secret gate cannot be judged: {why}", code="secret-gate", hint=f"the snapshot stands; {hint}"
    )
