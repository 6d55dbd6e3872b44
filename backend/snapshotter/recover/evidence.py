"""What a repo's objects show without git: digests, manifests, ledgers, the manifests' hash chain.

Each object is read once, however many snapshots rest on it, and what is wrong with a run is kept.
Problems are sentences; trouble with the store or the machine is no problem of a snapshot, and is raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from snapshotter.archive import layout, receipts
from snapshotter.archive.catalog import Catalog, Run
from snapshotter.archive.later_scans import scan_of
from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Artifact, Manifest, Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unusable
from snapshotter.base.observer import Observer
from snapshotter.git.refs import RefsLedger

_PARALLEL = 4


class Evidence:
    """What was read of one repo so far, and the problems found, by run."""

    def __init__(
        self, catalog: Catalog, repo: str, chosen: Sequence[Run], observer: Observer, cancel: Cancel
    ) -> None:
        self._catalog, self._repo, self._observer, self._cancel = catalog, repo, observer, cancel
        self._chosen = {run.key for run in chosen}
        self._folders: dict[RunKey, Run] = {run.key: run for run in chosen}
        self._manifests: dict[RunKey, Sealed | str] = {}
        self._ledgers: dict[RunKey, RefsLedger | str] = {}
        self._checked: dict[RunKey, bool] = {}  # whose objects were checked; True: segments too
        self.damage: dict[RunKey, list[str]] = {}  # what is wrong with a run's own objects

    def unread(self, key: RunKey) -> int:
        """Bytes of a run's objects that a check of all of them would read now; 0 if its manifest does not read."""
        sealed = self.manifest(key)
        if isinstance(sealed, str) or self._checked.get(key):
            return 0
        return sum(artifact.bytes for artifact in sealed.manifest.artifacts)

    def history_bytes(self, key: RunKey) -> int:
        """Bytes of a run's bundle; 0 without one, or if its manifest does not read."""
        sealed = self.manifest(key)
        return (
            0 if isinstance(sealed, str) or sealed.manifest.history is None else sealed.manifest.history.bytes
        )

    def parents(self, sealed: Sealed) -> list[str]:
        """The hash chain from this manifest back to the base of its chain: each names its parent's digest.

        The base's own parent is no part of the chain and may have expired: where it is being verified
        too, a difference is its problem, not this snapshot's.
        """
        problems: list[str] = []
        manifest = sealed.manifest
        oldest = manifest.chain_keys[0] if manifest.chain else manifest.key
        while manifest.parent is not None:
            run_id = layout.RunId.parse(manifest.parent.run_id)
            if run_id is None:  # such a key is nothing to ask a store for
                problem = f"{manifest.key.key(layout.MANIFEST)}: its parent is no run: {manifest.parent.run_id[:200]!r}"
                self.note(manifest.key, problem)
                problems.append(problem)
                break
            key = RunKey(self._repo, run_id)
            if manifest.key <= oldest:
                before = self.manifest(key) if key in self._chosen else ""
                if isinstance(before, Sealed) and before.sha256 != manifest.parent.manifest_sha256:
                    self.note(key, _not_the_parent(key, manifest))
                break
            before = self.manifest(key)
            if isinstance(before, str):
                self.note(key, before)
                problems.append(before)
                break
            if before.sha256 != manifest.parent.manifest_sha256:
                problem = _not_the_parent(key, manifest)
                self.note(key, problem)
                problems.append(problem)
                break
            manifest = before.manifest
        return problems

    def objects(self, key: RunKey, *, segments: bool) -> list[str]:
        """Size and SHA-256 of a run's artifacts, read once however many snapshots rest on it.

        Without `segments` those of the history are only looked for: the replay reads and checks them.
        """
        if self._checked.get(key, False) or (key in self._checked and not segments):
            return self.damage.get(key, [])
        sealed = self.manifest(key)
        if isinstance(sealed, str):
            self.note(key, sealed)
            return self.damage[key]
        self._checked[key] = segments
        history = set(sealed.manifest.history.segments) if sealed.manifest.history else set()

        def check(artifact: Artifact) -> str:
            read = segments or artifact.name not in history
            return self._artifact(artifact, read=read)

        with ThreadPoolExecutor(_PARALLEL) as pool:
            for problem in pool.map(check, [*sealed.manifest.artifacts, *self._scan_elsewhere(sealed)]):
                if problem:
                    self.note(key, problem)
        return self.damage.get(key, [])

    def _scan_elsewhere(self, sealed: Sealed) -> list[Artifact]:
        """The artifacts of a snapshot's scan that another run wrote: one before it, or one that scanned it later."""
        manifest = sealed.manifest
        try:
            scan = scan_of(self._catalog, manifest) if manifest.kind != "empty" else None
        except SnapshotterError as error:
            self.note(manifest.key, self.finding(error, manifest.key.folder))
            return []
        return [one for one in (scan.artifacts if scan else []) if one not in manifest.artifacts]

    def _artifact(self, artifact: Artifact, *, read: bool) -> str:
        self._cancel.check()
        place = layout.parse_key(artifact.key)
        listed = self._listed(place[0]).files.get(place[1]) if place else None
        if listed is None:
            return f"{artifact.key}: it is missing"
        if listed != artifact.bytes:
            return f"{artifact.key}: it has {listed} bytes, not {artifact.bytes}"
        if not read:
            return ""
        digest = hashlib.sha256()
        try:
            for chunk in self._catalog.store.stream(artifact.key):
                self._cancel.check()
                digest.update(chunk)
                self._observer.advance(len(chunk))
        except SnapshotterError as error:
            return self.finding(error, artifact.key)
        same = digest.hexdigest() == artifact.sha256
        return "" if same else f"{artifact.key}: its bytes are not what was written (SHA-256 differs)"

    def against_receipts(self, run: Run, sealed: Sealed) -> list[str]:
        """An earlier receipt pins the manifest's digest."""
        for name in run.receipts:
            try:
                receipt = receipts.read(self._catalog.store, run.key, name)
            except SnapshotterError as error:
                return [f"{run.key.key(name)}: {error.message}"]
            if receipt.ok and receipt.manifest_sha256 != sealed.sha256:
                return [
                    f"{run.key.key(layout.MANIFEST)}: is not the manifest that was verified before (receipt {name})"
                ]
        return []

    def receipts(self, key: RunKey) -> list[str]:
        """The names of a run's receipts, oldest first. Raises Unavailable if the store is in trouble."""
        return self._listed(key).receipts

    def _listed(self, key: RunKey) -> Run:
        if key not in self._folders:
            self._folders[key] = self._catalog.folder(key)
        return self._folders[key]

    def manifest(self, key: RunKey) -> Sealed | str:
        """A run's manifest, or what is wrong with it. Raises Unavailable if the store is in trouble, and
        NewerSchema."""
        if key not in self._manifests:
            name = key.key(layout.MANIFEST)
            try:
                found = (
                    self._catalog.manifest(key, listed=True)
                    if self._listed(key).is_snapshot
                    else f"{name}: it is missing"
                )
            except SnapshotterError as error:
                found = self.finding(error, name)
            self._manifests[key] = found
        return self._manifests[key]

    def ledger(self, sealed: Sealed) -> RefsLedger | str:
        """A snapshot's refs, or what is wrong with them. Raises Unavailable if the store is in trouble."""
        key = sealed.manifest.key
        if key not in self._ledgers:
            try:
                self._ledgers[key] = self._catalog.ledger(sealed.manifest)
            except SnapshotterError as error:
                self._ledgers[key] = self.finding(error, sealed.manifest.refs.artifact)
        return self._ledgers[key]

    def note(self, key: RunKey, problem: str) -> None:
        """Keep a problem of a run, once."""
        problems = self.damage.setdefault(key, [])
        if problem not in problems:
            problems.append(problem)

    @staticmethod
    def finding(error: SnapshotterError, where: str) -> str:
        """The problem that an error is; an error that is no finding is raised again."""
        if not isinstance(error, Unusable):
            raise error
        return error.message if where in error.message else f"{where}: {error.message}"


def _not_the_parent(key: RunKey, child: Manifest) -> str:
    return (
        f"{key.key(layout.MANIFEST)}: is not the manifest that {child.run_id} was built on (SHA-256 differs)"
    )
