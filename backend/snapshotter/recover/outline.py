"""What a verification keeps of each manifest: a repo may have any number of them, and some are large."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Lfs, Parent, RefsRecord
from snapshotter.archive.sealed import Sealed
from snapshotter.git.refs import ObjectFormat


@dataclass(frozen=True, slots=True)
class Outline:
    """One snapshot, as its manifest says it is. `sha256` is the manifest's, `chain` is base first.

    `history_bytes` is 0 without a bundle.
    """

    key: RunKey
    sha256: str
    parent: Parent | None
    chain: tuple[RunKey, ...]
    refs: RefsRecord
    object_format: ObjectFormat
    history_bytes: int
    lfs: Lfs | None = None

    @classmethod
    def of(cls, sealed: Sealed) -> Self:
        """The outline of a manifest."""
        manifest = sealed.manifest
        return cls(
            manifest.key,
            sealed.sha256,
            manifest.parent,
            tuple(manifest.chain_keys),
            manifest.refs,
            manifest.object_format,
            manifest.history.bytes if manifest.history else 0,
            manifest.lfs or None,
        )

    @property
    def base(self) -> RunKey:
        """The first run of the chain; the snapshot itself without one."""
        return self.chain[0] if self.chain else self.key

    @property
    def rests_on(self) -> tuple[RunKey, ...]:
        """The runs whose objects have to be in order, base first, the snapshot itself last."""
        return self.chain if self.key in self.chain else (*self.chain, self.key)

    def sharing(self, chain: tuple[RunKey, ...], lfs: Lfs | None) -> Self:
        """This outline with an equal chain and record of LFS that others have too: one object for all of them."""
        return replace(self, chain=chain, lfs=lfs)
