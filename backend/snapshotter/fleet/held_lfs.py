"""How many of a repository's LFS objects its snapshot holds: by the last result, or by the manifest in the store."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.fleet_table import ResultRow
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Lfs
from snapshotter.base.errors import NewerSchema, Unusable


class _Told(msgspec.Struct, frozen=True, gc=False):
    """What of a manifest is read here: to check each of a million would take minutes."""

    lfs: Lfs | None = None


_MANIFESTS: Final = msgspec.json.Decoder(_Told)  # made by one thread, as a manifest's is


class LastKnown(NamedTuple):
    """What the last result has of a repository: its row, without the manifest, and whether that was there and what it
    told of LFS in the row's newest snapshot."""

    row: ResultRow
    told: bool
    lfs: Lfs | None

    @classmethod
    def by(cls, row: ResultRow) -> LastKnown:
        """What a row has. A manifest that does not read tells nothing."""
        lfs: Lfs | None = None
        if row.manifest is not None:
            with suppress(msgspec.MsgspecError, RecursionError):
                lfs = _MANIFESTS.decode(row.manifest).lfs
        return cls(msgspec.structs.replace(row, manifest=None), row.manifest is not None, lfs)


def of_snapshot(good: RunKey | None, known: LastKnown | None, catalog: Catalog | None) -> Lfs | None:
    """What is known of LFS in a newest good snapshot; without one, in the newest that the last result has.

    The last result's word counts where it has that very snapshot, as in all else that it says. Else the manifest is
    read, if there is a `catalog`, which has listed it. Returns None where nothing is known, or the manifest does not
    read, of which `list` and `verify` say more. Raises Unavailable or AccessDenied as the store does.
    """
    if known and known.told and (good is None or good.run_id.text == known.row.run_id):
        return known.lfs
    if good is None or catalog is None:
        return None
    try:
        return catalog.manifest(good, listed=True).manifest.lfs or None
    except (Unusable, NewerSchema):
        return None
