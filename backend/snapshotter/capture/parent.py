"""The snapshot before this one: found by listing, and whether an increment may build on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct, structs

from snapshotter.archive.catalog import AHEAD, Catalog
from snapshotter.archive.layout import RunKey, parse_key
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.manifest import Manifest
from snapshotter.archive.sealed import Sealed
from snapshotter.base.errors import Unavailable, Unusable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.text import printable
from snapshotter.capture.chain import Chain, Foundation
from snapshotter.git.origin import Origin
from snapshotter.git.origin_parsing import parse as parse_origin
from snapshotter.git.refs import RefsLedger


class LastProof(NamedTuple):
    """A verification as its receipt's name tells it: when it was, UTC, and whether all was in order."""

    at: datetime
    ok: bool


class ParentSnapshot(Struct, frozen=True):
    """The snapshot before this one, why its chain may not be built on (None if it may), and its refs
    (None if they cannot be read; then it is not built on either). `listed` is whether a listing showed these.
    `proof` is the newest verification of it or of its chain; None without one."""

    sealed: Sealed
    damage: str | None = None
    ledger: RefsLedger | None = None
    listed: bool = False
    proof: LastProof | None = None

    @property
    def chain(self) -> Chain:
        """The chain that restores it."""
        manifest = self.sealed.manifest
        return Chain(tuple(manifest.chain), manifest.chain_bytes)

    @property
    def commits(self) -> frozenset[str]:
        """Its tips that are known to be commits."""
        manifest = self.sealed.manifest
        scanned = {manifest.scan.commit} if manifest.scan else set[str]()
        return frozenset({*(manifest.tip_dates or {}), *scanned})

    @property
    def foundation(self) -> Foundation:
        """What an increment would build on."""
        return Foundation(self.chain, self.ledger, self.damage)


class ParentSearch(Struct, frozen=True):
    """How the search for a parent ended: with one, or why not; and this run's key, which sorts after the parent's."""

    parent: ParentSnapshot | None
    key: RunKey
    why_none: str = ""


def find(
    catalog: Catalog, origin: Origin, key: RunKey, observer: Observer, known: Sealed | None = None
) -> ParentSearch:
    """The newest snapshot before the run `key`, with the state of its chain but not yet its refs.

    Only earlier ones: a parent sorts before its child, whatever clocks have done. `known` is one that was the newest
    some time ago: where it still is, one listing is all that is read. Raises Unavailable if the repo holds another
    origin's snapshots, or a manifest of a newer schema.
    """
    if known is not None and (search := _still_newest(catalog, origin, key, known)):
        return search
    started = key.run_id.started_at
    seen: list[ListedRun] = []
    for batch in catalog.newest_first(key.repo, started):
        seen += batch
        # By the second (16 characters): the digits after it are random, and `or_after` puts this run behind its parent.
        newest = next((run for run in batch if run.key.run_id.text[:16] <= key.run_id.text[:16]), None)
        later = sum(run.key.run_id.started_at > started + AHEAD for run in batch)
        if later:
            observer.warn(
                f"{later} snapshots bear a later time than this machine's clock; is the clock right?"
            )
        if newest:
            own = RunKey(key.repo, key.run_id.or_after(newest.key.run_id))
            sealed = _manifest(catalog, newest, origin, observer)
            if sealed is None:
                return ParentSearch(None, own, "the newest snapshot's manifest cannot be read")
            return ParentSearch(_parent(catalog, sealed, seen), own)
    return ParentSearch(None, key, "the first snapshot")


def _still_newest(catalog: Catalog, origin: Origin, key: RunKey, known: Sealed) -> ParentSearch | None:
    """The search's end with a snapshot that is known, by one listing from its chain's base on: that shows what became
    of the chain, and every receipt. Returns None if another is newer, or it is gone."""
    manifest = known.manifest
    if manifest.repo != key.repo or not _is_of(manifest, origin):
        return None
    oldest = min([manifest.key, *manifest.chain_keys])
    seen = catalog.runs(key.repo, since=oldest.run_id.started_at)
    newest = max((run.key for run in seen if run.is_snapshot), default=None)
    if newest != manifest.key or newest.run_id.text[:16] > key.run_id.text[:16]:
        return None
    return ParentSearch(_parent(catalog, known, seen), RunKey(key.repo, key.run_id.or_after(newest.run_id)))


def with_ledger(
    catalog: Catalog, parent: ParentSnapshot, listed: RefsLedger, observer: Observer
) -> ParentSnapshot:
    """The parent with its refs, or without if they cannot be read. They are read only if they differ from `listed`."""
    if parent.sealed.manifest.refs.sha256 == listed.sha256:
        return structs.replace(parent, ledger=listed)
    try:
        return structs.replace(parent, ledger=catalog.ledger(parent.sealed.manifest, listed=parent.listed))
    except Unusable as error:
        observer.warn(f"the parent's refs cannot be read, so this snapshot is a base: {error.message}")
        return parent


def _manifest(catalog: Catalog, newest: ListedRun, origin: Origin, observer: Observer) -> Sealed | None:
    """The newest snapshot's manifest, or None with a warning if it cannot be read."""
    try:
        sealed = catalog.manifest(newest.key, listed=True)
    except Unusable as error:
        observer.warn(f"the newest snapshot cannot be built on, so this one is a base: {error.message}")
        return None
    if not _is_of(sealed.manifest, origin):
        raise Unavailable(
            f"{newest.key.repo} holds snapshots of another origin: {printable(sealed.manifest.origin)}",
            code="repo-collision",
            hint="take this origin into another --store",
        )
    return sealed


def _lists_refs(seen: list[ListedRun], manifest: Manifest) -> bool:
    """Whether the listed runs show the refs ledger that a manifest names."""
    parsed = parse_key(manifest.refs.artifact)
    return parsed is not None and any(run.key == parsed[0] and parsed[1] in run.files for run in seen)


def _parent(catalog: Catalog, sealed: Sealed, seen: list[ListedRun]) -> ParentSnapshot:
    """A snapshot as a parent, with what listings tell of it and of its chain.

    Runs beyond those `seen` are listed from the base on: a listing costs one call, however many runs it holds.
    """
    # The parent's own receipt counts too: an unchanged snapshot is in no chain, and yet was verified.
    manifest = sealed.manifest
    wanted = {manifest.key, *manifest.chain_keys}
    known = {run.key: run for run in seen}
    if not wanted <= known.keys():
        base = min(wanted)
        known |= {run.key: run for run in catalog.runs(base.repo, since=base.run_id.started_at)}
    runs = {key: known[key] for key in sorted(wanted & known.keys())}
    proofs = [LastProof(at, bool(run.verified)) for run in runs.values() if (at := run.verified_at)]
    newest = max(proofs, default=None)
    return ParentSnapshot(sealed, _damage(manifest, runs), listed=_lists_refs(seen, manifest), proof=newest)


def _damage(manifest: Manifest, runs: Mapping[RunKey, ListedRun]) -> str | None:
    """What listings tell against the chain: a run that is gone, or a receipt that says so. None if nothing does."""
    for key in manifest.chain_keys:
        if key not in runs or not runs[key].has_history:
            return f"the chain lacks the history of {key.run_id}"
    failed = next((run for run in runs.values() if run.verified is False), None)
    return f"the receipt of {failed.key.run_id} says that the chain is damaged" if failed else None


def _is_of(manifest: Manifest, origin: Origin) -> bool:
    """Whether it is one of this origin's, however that was spelt. One that was made up may be of none."""
    if manifest.origin == origin.url:
        return True
    try:
        return parse_origin(manifest.origin).canonical == origin.canonical
    except UsageError:
        return False
