"""The LFS objects of a snapshot: which its pointers name, which of them the store has, and the others from the origin.

Whatever a server does, the history stands: what cannot be had is a gap, and the next run asks for it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from msgspec import structs

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.lfs_objects import stray_keys
from snapshotter.archive.manifest import Artifact, Lfs
from snapshotter.archive.transfer import RunFolder
from snapshotter.base.errors import Interrupted, SnapshotterError, Unusable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.text import decode_name
from snapshotter.capture.attempts import LfsAttempt
from snapshotter.capture.chain import Decision
from snapshotter.capture.lfs_fetching import LfsFetch, Outcome
from snapshotter.capture.lfs_record import Asked, gaps_of, record_of, rows_of, still, unsearched
from snapshotter.capture.lfs_storing import LfsStorage
from snapshotter.capture.options import LfsOptions
from snapshotter.capture.pack_front import AwaitedFront
from snapshotter.capture.parent import ParentSnapshot
from snapshotter.capture.pointer_paths import configured_url, pointer_paths
from snapshotter.capture.pointers import FoundPointers, PointerSearch, find_pointers, told_pointers
from snapshotter.git.refs import RefsLedger
from snapshotter.scan.lfs_rows import LfsRow
from snapshotter.transport import Transport
from snapshotter.transport.lfs.source import LfsPointer, LfsSource

_TYPE: Final = "application/vnd.apache.parquet"
_TIPS: Final = 200  # whose trees are looked through for paths

Searching = FoundPointers | SnapshotterError | None
"""What a search has found; why it failed; None where none is due."""


class SnapshotRefs(NamedTuple):
    """The refs of the snapshot that is being taken, and the snapshot before."""

    ledger: RefsLedger
    parent: ParentSnapshot | None

    @property
    def before(self) -> Lfs | None:
        """What the parent says of LFS."""
        return (self.parent.sealed.manifest.lfs or None) if self.parent else None

    @property
    def head(self) -> str | None:
        """The commit of HEAD."""
        return self.ledger.oids.get(self.ledger.head_target or b"") or self.ledger.head_oid


@dataclass(frozen=True)
class LfsStep:
    """Takes the LFS objects of the snapshot that is being taken, into the store of `folder`."""

    transport: Transport
    source: LfsSource
    folder: RunFolder
    options: LfsOptions
    segment_bytes: int
    observer: Observer

    def search(self, decision: Decision, refs: SnapshotRefs, front: AwaitedFront) -> Searching:
        """The pointers of what this run adds, or of all of history where nobody has searched that.

        Those of an increment are read in the `front` of its pack; what that does not tell, the origin is asked over a
        connection of its own, beside the fetch. Raises Interrupted.
        """
        wanted = self._wanted(decision, refs)
        if wanted is None:
            return None
        try:
            told = told_pointers(front.result(), wanted) if wanted.haves else None
            return told or find_pointers(self.transport, wanted, self.folder.cancel, self.options.temp)
        except (Interrupted, UsageError):
            raise
        except SnapshotterError as error:
            self.folder.cancel.check()
            return error

    def attempt(self, found: Searching, refs: SnapshotRefs) -> LfsAttempt:
        """The snapshot's LFS objects, those that were missing stored. Raises Interrupted and UsageError."""
        if isinstance(found, SnapshotterError):
            return self._left_out(refs, found.message)
        try:
            return self._taken(found, refs)
        except (Interrupted, UsageError):  # the caller's wish, and the caller's mistake
            raise
        except Exception as error:  # noqa: BLE001 - whatever a hostile server does to us, the history stands
            self.folder.cancel.check()
            unexpected = f"unexpected {type(error).__name__}"
            return self._left_out(refs, error.message if isinstance(error, SnapshotterError) else unexpected)

    def _left_out(self, refs: SnapshotRefs, why: str) -> LfsAttempt:
        self.observer.warn(f"LFS objects are left out: {why}")
        attempt = carried(self.folder, refs.before, self.options.asked)
        return attempt._replace(gaps=[*attempt.gaps, unsearched(why)])

    def _wanted(self, decision: Decision, refs: SnapshotRefs) -> PointerSearch | None:
        ledger, parent, before = refs.ledger, refs.parent, refs.before
        tips = self.options.asked == "tips"
        if decision.kind == "base" or parent is None or _has_holes(before, self.options.asked):
            return PointerSearch(sorted(ledger.tips), (), ledger.object_format, tips)
        if decision.kind != "increment" or parent.ledger is None:
            return None
        known = {ref.oid for ref in parent.ledger}
        gone = {ref.oid for ref in parent.ledger if ledger.oids.get(ref.name) != ref.oid}
        haves = sorted(parent.ledger.branch_tips | gone)
        return PointerSearch(sorted(ledger.tips - known), haves, ledger.object_format, tips)

    def _taken(self, found: FoundPointers | None, refs: SnapshotRefs) -> LfsAttempt:
        before, is_base = refs.before, self.folder.kind == "base"
        searched = self._searched(found, before)
        new = set(found.by_blob.values()) if found else set()
        if not new and is_base:
            return self._recorded([], searched, None)
        if not new and (before is None or before.held == before.objects):
            record = still(before, self.options.asked, searched) if before else None
            record = record or record_of([], self.options.asked, searched, None)
            return LfsAttempt(record, (), gaps_of(record, []))
        known = self._known(refs, needed=found is None or not found.is_whole)
        named = sorted(new if is_base else new | known.keys())
        missing = [each for each in named if not (each in known and known[each].held)]
        outcomes = self._fetched(missing, refs) if missing else {}
        rows = rows_of(named, known, outcomes, self._paths(found, refs) if missing else {})
        same = before if before and not is_base and _agree(rows, known) else None
        return self._recorded(rows, searched, same.table if same else None)

    def _searched(self, found: FoundPointers | None, before: Lfs | None) -> Asked:
        """How far the history of this snapshot is searched: no further than that of what it builds on."""
        if found is None:
            return before.searched if before else "none"
        if found.is_whole or before is None:
            return found.searched
        return "tips" if "tips" in (found.searched, before.searched) else "all"

    def _known(self, refs: SnapshotRefs, *, needed: bool) -> dict[LfsPointer, LfsRow]:
        """What the parent's table says, if its chain is in order: a receipt of damage may be about any object of it.

        Raises Unavailable and AccessDenied if it cannot be read and is `needed`; else nothing is known.
        """
        before, parent = refs.before, refs.parent
        if before is None or before.table is None or parent is None or (parent.damage and not needed):
            return {}
        from snapshotter.scan import lfs_table  # with DuckDB, which runs without LFS do not load

        try:
            data = Catalog(self.folder.store).artifact(before.table)
            rows = lfs_table.read(data, before.table.key, self.options.temp)
        except SnapshotterError as error:
            if needed:
                raise
            self.observer.warn(f"the parent's table of LFS objects cannot be used: {error.message}")
            return {}
        repo = self.folder.key.repo
        sound = (row for row in rows if not row.held or not stray_keys(repo, row.oid, row.keys))
        return {LfsPointer(row.oid, row.bytes): row for row in sound}

    def _fetched(self, missing: Sequence[LfsPointer], refs: SnapshotRefs) -> Mapping[LfsPointer, Outcome]:
        url = configured_url(self.transport, refs.head, self.folder.cancel) if refs.head else None
        refused = self.source.configured(url) if url else None
        if refused is not None:
            self.observer.warn(f"no LFS objects: {refused.message}; {refused.hint}")
            return dict.fromkeys(missing, refused)
        repo, cancel = self.folder.key.repo, self.folder.cancel
        storage = LfsStorage(self.folder.store, repo, self.segment_bytes, self.observer, cancel)
        return LfsFetch(self.source, storage, self.options.max_object_bytes, self.folder.stay).fetch(missing)

    def _paths(self, found: FoundPointers | None, refs: SnapshotRefs) -> Mapping[LfsPointer, str]:
        """A path for each pointer that this run found in a tip's tree."""
        if found is None or not found.by_blob:
            return {}
        parent, head = refs.parent, refs.head
        old = parent.ledger if parent and not found.is_whole else None
        known = {ref.oid for ref in old} if old else set[str]()
        commits = {ref.peeled or ref.oid for ref in refs.ledger if ref.oid not in known}
        tips = sorted(commits, key=lambda oid: (oid != head, oid))[:_TIPS]
        if not tips:
            return {}
        try:
            haves = sorted(old.branch_tips) if old else []
            paths = pointer_paths(self.transport, tips, haves, found.by_blob, self.folder.cancel)
        except (Interrupted, UsageError):
            raise
        except (
            SnapshotterError
        ):  # trees that do not read: paths are told to people, and nothing rests on them
            self.folder.cancel.check()
            return {}
        named = sorted(((path, found.by_blob[blob]) for blob, path in paths.items()), reverse=True)
        return {pointer: decode_name(path) for path, pointer in named}  # of several the first

    def _recorded(self, rows: Sequence[LfsRow], searched: Asked, same: Artifact | None) -> LfsAttempt:
        """The record of these rows: with the table `same`, which says so already, or a new one."""
        own: list[Artifact] = []
        if rows and same is None:
            from snapshotter.scan import lfs_table

            data = lfs_table.write(rows, self.options.temp)
            own = [self.folder.put(layout.LFS_TABLE, data, _TYPE)]
        record = record_of(rows, self.options.asked, searched, same or (own[0] if own else None))
        return LfsAttempt(record, own, gaps_of(record, rows))


def carried(folder: RunFolder, before: Lfs | None, asked: Asked) -> LfsAttempt:
    """What is said of LFS where a run does not search what it adds: what was known before stays known.

    A base gets a copy of the table, so that nothing of it is older than its chain; where that cannot be had, nothing is
    known any more. Raises what the store raises.
    """
    if before is None or folder.kind == "unchanged":  # which adds nothing that could be searched
        return LfsAttempt(before)
    record = still(before, asked, "none")
    if folder.kind != "base" or before.table is None:
        return LfsAttempt(record)
    try:
        data = Catalog(folder.store).artifact(before.table)
    except Unusable as error:
        return LfsAttempt(gaps=[unsearched(error.message)])
    own = folder.put(layout.LFS_TABLE, data, _TYPE)
    return LfsAttempt(structs.replace(record, table=own), [own])


def is_settled(before: Lfs | None, asked: Asked) -> bool:
    """Whether nothing is to be asked for as long as the refs are the same."""
    return before is not None and before.held == before.objects and not _has_holes(before, asked)


def _has_holes(before: Lfs | None, asked: Asked) -> bool:
    """Whether history has to be searched anew: nobody has, or less was asked for."""
    if before is None or before.searched == "none":
        return True
    # What was asked for in vain, of an origin that does not filter, is asked for again with the next base.
    return before.searched == "tips" and before.asked != asked


def _agree(rows: Sequence[LfsRow], known: Mapping[LfsPointer, LfsRow]) -> bool:
    """Whether a table says the same of every object: which they are, and whether they are held."""
    held = {LfsPointer(row.oid, row.bytes): row.held for row in rows}
    return held == {pointer: row.held for pointer, row in known.items()}
