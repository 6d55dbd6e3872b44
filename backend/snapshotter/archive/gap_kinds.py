"""What a snapshot may knowingly lack, by the names that manifests have for it (docs/format.md, docs/scan.md)."""

from __future__ import annotations

from typing import Final

_OF_REFS: Final = (
    "refs-left-out",
    "refs-impossible",
    "refs-lacking",
    "refs-clashing",
    "refs-not-by-hand",
    "worktree-heads",
    "older-stashes",
)
_OF_LFS: Final = (
    "lfs-no-server",
    "lfs-not-found",
    "lfs-forbidden",
    "lfs-over-quota",
    "lfs-busy",
    "lfs-unreachable",
    "lfs-unsafe",
    "lfs-unreadable",
    "lfs-wrong-size",
    "lfs-wrong-digest",
    "lfs-too-large",
    "lfs-history",
    "lfs-unsearched",
)
_OF_SCANS: Final = (
    "scan",
    "scanner-failed",
    "submodules",
    "lfs",
    "files-skipped",
    "odd-paths",
    "manifests-unread",
    "tree-cut",
)

GAP_KINDS: Final = frozenset({*_OF_REFS, *_OF_LFS, *_OF_SCANS})
"""Every kind of gap that this release writes."""
