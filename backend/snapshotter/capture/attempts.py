"""What steps that may fail give to the manifest: what came of them, or the gaps that say why nothing did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from snapshotter.archive.manifest import Artifact, Gap, Lfs, Scan


class ScanAttempt(NamedTuple):
    """A scan, or the gaps that say why there is none; neither where none was asked for."""

    scan: Scan | None = None
    gaps: Sequence[Gap] = ()


class LfsAttempt(NamedTuple):
    """What a manifest says of LFS objects: None if nothing is known. `artifacts` are this run's own."""

    record: Lfs | None = None
    artifacts: Sequence[Artifact] = ()
    gaps: Sequence[Gap] = ()
