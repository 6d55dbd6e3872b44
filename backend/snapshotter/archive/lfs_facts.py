"""What every document tells of a snapshot's LFS objects, in the names of the view `snapshots`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from msgspec import UnsetType

    from snapshotter.archive.manifest import Lfs


def lfs_facts(record: Lfs | UnsetType | None) -> dict[str, object]:
    """LFS objects that pointers name, those of them that the store holds, and the bytes of these; each None where that
    is not known."""
    return {
        "lfs_objects": record.objects if record else None,
        "lfs_held": record.held if record else None,
        "lfs_bytes": record.held_bytes if record else None,
    }
