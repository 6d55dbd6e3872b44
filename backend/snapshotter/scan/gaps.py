"""What a scan knows that it lacks, by kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from snapshotter.archive.manifest import Gap
from snapshotter.scan.dependencies import unread
from snapshotter.scan.facts import UNREAD
from snapshotter.scan.listing import Listing
from snapshotter.scan.reading_plan import ReadingPlan
from snapshotter.scan.scanners import FAILED

_SAMPLE: Final = 5  # of what a gap counts
_PATHS: Final = 20  # of manifests that nobody reads: each may be of another kind


def scan_gaps(listing: Listing, plan: ReadingPlan, failures: Sequence[str]) -> list[Gap]:
    """The gaps of a scan, none of them empty. `failures` says of each scanner that failed which one and why."""
    unskipped = [file.path for file in plan.files if file.kind == "file" and not file.skip_reason]
    gaps = [
        _gap(FAILED, failures),
        _gap("submodules", [file.path for file in plan.files if file.kind == "submodule"]),
        _gap("lfs", [file.path for file in plan.files if file.kind == "lfs"]),
        _gap(
            "files-skipped", [f"{file.path}: {file.skip_reason}" for file in plan.files if file.skip_reason]
        ),
        _gap("odd-paths", plan.odd),
        _gap(UNREAD, unread(unskipped), _PATHS),
    ]
    if listing.cut:
        # Nobody counted what was not listed, so this gap counts one: the tree.
        gaps.append(Gap(kind="tree-cut", count=1, sample=[f"more than {len(listing.entries):,} paths"]))
    return [gap for gap in gaps if gap.count]


def _gap(kind: str, names: Sequence[str], sample: int = _SAMPLE) -> Gap:
    return Gap(kind=kind, count=len(names), sample=list(names[:sample]))
