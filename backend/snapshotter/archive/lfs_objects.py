"""LFS objects in the store: where they may lie, and their bytes, checked as they pass.

An object is one stored object under its id, or segments of one attempt: only the table `lfs.parquet` says which attempt
was good, since nothing that a bad one left can be deleted or overwritten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count

from snapshotter.archive import layout
from snapshotter.archive.transfer import damaged
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Missing
from snapshotter.store.objects import Store


def stray_keys(repo: str, oid: str, keys: Sequence[str]) -> bool:
    """Whether the keys of an object are not such as a run gives: a table may be forged, and name anything."""
    if not keys or not all(layout.is_lfs_key(key, repo, oid) for key in keys):
        return True
    whole = layout.lfs_key(repo, oid)
    if whole in keys:
        return list(keys) != [whole]
    attempt = keys[0].removeprefix(f"{whole}.").partition(".")[0]
    return any(
        key != layout.lfs_key(repo, oid, attempt, index) for key, index in zip(keys, count(), strict=False)
    )


def stored_pieces(
    store: Store, oid: str, size: int, keys: Sequence[str], cancel: Cancel
) -> Iterator[memoryview]:
    """The bytes of a stored object, which must be `size` bytes with the SHA-256 `oid`: an error comes at their end.

    Raises Damaged, with the key, and what the store raises.
    """
    digest, got = hashlib.sha256(), 0
    for key in keys:
        try:
            for piece in store.stream(key, cancel=cancel):
                cancel.check()
                got += len(piece)
                if got > size:
                    raise damaged(keys[0], f"it has more than {size} bytes")
                digest.update(piece)
                yield piece
        except Missing as error:
            raise damaged(key, "it is missing") from error
    if got != size:
        raise damaged(keys[0], f"it has {got} bytes, not {size}")
    if digest.hexdigest() != oid:
        raise damaged(keys[0], "its bytes are not the LFS object that it is named for (SHA-256 differs)")
