"""From what happened to a repository to its verdict, in one place. Nothing here reads or writes anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from snapshotter.archive.gap_kinds import GAP_KINDS
from snapshotter.archive.manifest import Gap, Manifest
from snapshotter.base.errors import AccessDenied, Interrupted, SnapshotterError, UsageError
from snapshotter.base.settings import Settings
from snapshotter.base.text import human_bytes, plural, printable
from snapshotter.base.variables import DEFAULTS
from snapshotter.capture.scan_step import NO_HEAD
from snapshotter.fleet.engine import WorkerLost
from snapshotter.fleet.outcome import RepoOutcome, Trouble, Verdict
from snapshotter.transport import OriginBusy, Stalled, WantVanished

_GAPS: Final = "SNAPSHOTTER_FLEET_GAPS"
_LEAST: Final = 16 * 1024  # bytes: of less, a share says nothing
_UNREACHABLE: Final = frozenset(
    {"no-such-host", "no-connection", "stream-cut", "stalled", "tls", "proxy", "host-down"}
)
_OVER_QUOTA: Final = frozenset({"disk-full", "limit", "pack-too-large", "too-many-segments"})
# What may be another way in a minute. A name that does not resolve is among them: so ends many a hiccup of DNS.
_PASSING: Final = frozenset({"no-such-host", "no-connection", "stream-cut", "proxy", "store", "os", "memory"})


@dataclass(frozen=True)
class Rules:
    """When a snapshot that was taken is no good one: by what share a repository may shrink, 1.0 for any, and how many
    gaps of each kind it may have; those of kinds that are not in `gaps`, any number."""

    shrunk_by: float = 1.0
    gaps: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """The rules that the settings name: of kinds of gaps that they do not, the default ones stand.

        Raises UsageError if they cannot be read.
        """
        limits = [*DEFAULTS[_GAPS].split(), *settings.words(_GAPS)]
        return cls(_share(settings["SNAPSHOTTER_FLEET_SHRUNK"]), dict(map(_limit, limits)))

    def over(self, manifest: Manifest) -> Mapping[str, int]:
        """The kinds of gaps of which a snapshot has too many, and how many."""
        scan = manifest.scan.gaps if manifest.scan else []
        counts: dict[str, int] = {}
        for gap in (*manifest.gaps, *scan):
            if not _is_by_nature(gap):
                counts[gap.kind] = counts.get(gap.kind, 0) + gap.count
        return {kind: count for kind, count in counts.items() if count > self.gaps.get(kind, count)}

    def is_shrunk(self, was: int, now: int) -> bool:
        """Whether what weighs `now` bytes and weighed `was` has shrunk too much."""
        return was >= _LEAST and now < was * (1 - self.shrunk_by)

    def may_have_shrunk(self, manifest: Manifest) -> bool:
        """Whether an increment's changes are such that only the weight of a base can tell: the default branch was
        rewritten or deleted, or a large share of the refs is gone."""
        changes = manifest.ref_changes
        if self.shrunk_by >= 1 or manifest.kind != "increment" or changes is None:
            return False
        lost = {change.ref for part in (changes.rewritten, changes.deleted) for change in part.refs}
        before = manifest.refs.count - changes.created.count + changes.deleted.count
        return manifest.head in lost or changes.deleted.count > self.shrunk_by * before


def of_error(error: SnapshotterError) -> Verdict:
    """The verdict on a repository of which no snapshot could be taken."""
    if isinstance(error, AccessDenied):
        return "forbidden" if error.code == "origin-denied" else "failed"
    if error.code == "origin-not-found":
        return "gone"
    if error.code in _OVER_QUOTA or (isinstance(error, OriginBusy) and error.throttled):
        return "over-quota"
    if error.code == "origin-http":
        return "unreachable" if isinstance(error, OriginBusy) else "failed"
    return "unreachable" if error.code in _UNREACHABLE else "failed"


def missed(outcome: RepoOutcome) -> bool:
    """Whether a repository's host did not let itself be asked: it is down, or limits requests."""
    busy = outcome.trouble is not None and outcome.trouble.code == OriginBusy.default_code
    return outcome.verdict == "unreachable" or (outcome.verdict == "over-quota" and busy)


def passing(error: SnapshotterError) -> bool:
    """Whether another try may end otherwise."""
    if isinstance(error, (AccessDenied, UsageError, Interrupted)):
        return False
    return isinstance(error, (OriginBusy, Stalled, WantVanished, WorkerLost)) or error.code in _PASSING


def of_snapshot(
    manifest: Manifest, rules: Rules, *, wrote: bool, was: int, moved: bool, good: int = 0
) -> tuple[Verdict, Trouble | None]:
    """The verdict on a snapshot that was taken, or, unless this run `wrote` it, that still stands.

    `was` is what the origin weighed before, in bytes, and `good` what it weighed when it was last good, if a run has
    found since that it shrank to what is its base still; 0 if nobody knows. `moved` is whether it redirects elsewhere.
    """
    weight = manifest.chain_bytes
    if wrote and manifest.kind in ("base", "empty") and rules.is_shrunk(was, weight.base):
        return "shrunk", _shrunk(was, weight.base)
    if rules.is_shrunk(good, weight.base + weight.increments):
        return "shrunk", _shrunk(good, weight.base + weight.increments)
    if over := rules.over(manifest):
        lacks = ", ".join(f"{plural(count, 'gap')} of kind {kind}" for kind, count in sorted(over.items()))
        hint = "`snapshotter show` tells what is missing; SNAPSHOTTER_FLEET_GAPS says what may be"
        return "partial", Trouble(code="gaps", message=f"the snapshot has {lacks}", hint=hint)
    if moved:
        return "renamed", None
    if manifest.kind == "empty":
        return "empty", None
    return ("new" if wrote and manifest.kind != "unchanged" else "unchanged"), None


def _shrunk(was: int, now: int) -> Trouble:
    return Trouble(
        code="shrunk",
        message=f"it weighed {human_bytes(was)} and weighs {human_bytes(now)}",
        hint="what was there is in the snapshots before; ask its owner what happened to it. If it is meant to be so, "
        "`snapshotter snapshot ORIGIN --full` says so: from that base on it is good",
    )


def _is_by_nature(gap: Gap) -> bool:
    """Whether a gap is of an origin as it is meant to be: one whose HEAD names no branch has nothing to scan."""
    return gap.kind == "scan" and gap.sample == [NO_HEAD]


def _share(text: str) -> float:
    percent = text.strip().removesuffix("%")
    if not text.strip().endswith("%") or not percent.isdecimal() or not 1 <= int(percent) <= 100:
        raise UsageError(
            f"SNAPSHOTTER_FLEET_SHRUNK is no share: {text}",
            hint="write it like 50%; 100% lets anything shrink",
        )
    return int(percent) / 100


def _limit(text: str) -> tuple[str, float]:
    kind, _, count = text.partition("=")
    if kind not in GAP_KINDS:
        raise UsageError(
            f"{_GAPS} names no kind of gap: {printable(text)[:100]}",
            hint=f"write it like refs-lacking=0 lfs-not-found=any; the kinds are {', '.join(sorted(GAP_KINDS))}",
        )
    if count != "any" and not (count.isascii() and count.isdecimal()):
        raise UsageError(
            f"{_GAPS} does not say how many gaps are allowed: {printable(text)[:100]}",
            hint=f"write it like {kind}=0, or {kind}=any",
        )
    return kind, math.inf if count == "any" else int(count)
