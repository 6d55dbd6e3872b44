"""One artifact of a snapshot by its name, wherever it lies: in the snapshot's own run, or in another's."""

from __future__ import annotations

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.later_scans import scan_of
from snapshotter.archive.manifest import Manifest, Scan
from snapshotter.archive.transfer import checked_get
from snapshotter.base.errors import UsageError


def read_artifact(catalog: Catalog, snapshot: str, name: str) -> bytes:
    """The artifact `name` of the snapshot that the name `snapshot` means, checked against its manifest.

    The refs of an unchanged snapshot are its parent's; a scan's artifacts may be an earlier run's, or a later
    one's. Raises UsageError, which says what there is, for a name that no artifact has, and Unavailable for an
    artifact that is missing or damaged.
    """
    sealed = catalog.manifest(catalog.resolve(snapshot).key, listed=True)
    manifest = sealed.manifest
    own = manifest.artifact(name)
    if name == layout.MANIFEST:
        return sealed.data
    if own is not None:  # its folder was listed when the name was resolved: no listing more
        return checked_get(catalog.store, own)
    if name == layout.REFS:
        return catalog.ledger(manifest).encoded
    scan = scan_of(catalog, manifest)
    scanned = scan.artifact(name) if scan else None
    if scanned is None:
        raise _no_artifact(manifest, scan, snapshot, name)
    return catalog.artifact(scanned)


def _no_artifact(manifest: Manifest, scan: Scan | None, snapshot: str, name: str) -> UsageError:
    artifacts = [*manifest.artifacts, *(scan.artifacts if scan else [])]
    names = ", ".join(dict.fromkeys([*(a.name for a in artifacts), layout.REFS, layout.MANIFEST]))
    more = "" if scan else f"; `snapshotter scan {snapshot}` makes its scan, report.html and digest.md"
    return UsageError(f"{manifest.key.folder} has no artifact {name}", hint=f"it has {names}{more}")
