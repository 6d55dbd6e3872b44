"""What a repo's objects show without git: digests, manifests, ledgers, the manifests' hash chain.

Each object is read once, however many snapshots rest on it, and what is wrong with it is kept as a problem of
its run. Trouble with the store or the machine is no problem of a snapshot, and is raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from snapshotter.archive import layout, receipts
from snapshotter.archive.catalog import Catalog, Run
from snapshotter.archive.later_scans import scan_of
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.manifest import Artifact, Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unusable
from snapshotter.base.observer import Observer
from snapshotter.git.refs import RefsLedger
from snapshotter.recover.verdict import Problem

_PARALLEL: Final = 4  # objects that are read at a time
_SHOWN: Final = 200  # characters of a run id that is none


class Evidence:
    """What was read of one repo so far, and the problems found, by run.

    Whatever reads raises Unavailable or AccessDenied if the store is in trouble, and NewerSchema for a manifest
    that a newer release wrote: then nothing is known, and nothing is noted.
    """

    def __init__(
        self, catalog: Catalog, repo: str, chosen: Sequence[Run], observer: Observer, cancel: Cancel
    ) -> None:
        self._catalog, self._repo, self._observer, self._cancel = catalog, repo, observer, cancel
        self._chosen = {run.key for run in chosen}
        self._folders: dict[RunKey, Run] = {run.key: run for run in chosen}
        self._manifests: dict[RunKey, Sealed | None] = {}
        self._ledgers: dict[RunKey, RefsLedger | None] = {}
        self._checked: dict[RunKey, bool] = {}  # whose objects were checked; True: segments too
        self._problems: dict[RunKey, list[Problem]] = {}

    # What was found

    def problems(self, key: RunKey) -> tuple[Problem, ...]:
        """What is wrong with a run's own objects, as far as they were read."""
        return tuple(self._problems.get(key, ()))

    def damaged_runs(self) -> list[RunKey]:
        """The runs with problems, oldest first."""
        return sorted(self._problems)

    def note(self, key: RunKey, problem: Problem) -> None:
        """Keep a problem of a run, once."""
        problems = self._problems.setdefault(key, [])
        if problem not in problems:
            problems.append(problem)

    # What is read

    def manifest(self, key: RunKey) -> Sealed | None:
        """A run's manifest, or None if it cannot be used; `problems` says why."""
        if key not in self._manifests:
            self._manifests[key] = self._read_manifest(key)
        return self._manifests[key]

    def ledger(self, sealed: Sealed) -> RefsLedger | None:
        """A snapshot's refs, or None if they cannot be used; `problems` says why."""
        key = sealed.manifest.key
        if key not in self._ledgers:
            self._ledgers[key] = self._read_ledger(sealed)
        return self._ledgers[key]

    def receipts(self, key: RunKey) -> list[str]:
        """The names of a run's receipts, oldest first."""
        return self._listed(key).receipts

    def unread(self, key: RunKey) -> int:
        """Bytes of a run's objects that a check of all of them would read now; 0 if its manifest cannot be used."""
        sealed = self.manifest(key)
        if sealed is None or self._checked.get(key):
            return 0
        return sum(artifact.bytes for artifact in sealed.manifest.artifacts)

    def history_bytes(self, key: RunKey) -> int:
        """Bytes of a run's bundle; 0 without one, or if its manifest cannot be used."""
        sealed = self.manifest(key)
        history = sealed.manifest.history if sealed else None
        return history.bytes if history else 0

    # What is checked

    def check_parents(self, sealed: Sealed) -> tuple[Problem, ...]:
        """Follow the hash chain from a manifest to the base of its chain; the first problem ends the walk.

        Each manifest names its parent's digest. The base's own parent is no part of the chain and may have
        expired: where it is being verified too, a difference is its problem, not this snapshot's.
        """
        child = sealed.manifest
        base = child.chain_keys[0] if child.chain else child.key
        while child.parent is not None:
            run_id = RunId.parse(child.parent.run_id)
            if run_id is None:  # such a key is nothing to ask a store for
                shown = child.parent.run_id[:_SHOWN]
                problem = Problem(child.key.key(layout.MANIFEST), f"its parent is no run: {shown!r}")
                self.note(child.key, problem)
                return (problem,)
            key, outside = RunKey(self._repo, run_id), child.key <= base
            if outside and key not in self._chosen:
                return ()
            parent = self.manifest(key)
            if parent is None:
                return () if outside else self.problems(key)
            if parent.sha256 != child.parent.manifest_sha256:
                what = f"it is not the manifest that {child.run_id} was built on (SHA-256 differs)"
                problem = Problem(key.key(layout.MANIFEST), what)
                self.note(key, problem)
                return () if outside else (problem,)
            if outside:
                return ()
            child = parent.manifest
        return ()

    def check_objects(self, key: RunKey, *, segments: bool) -> tuple[Problem, ...]:
        """Compare size and SHA-256 of a run's artifacts with its manifest; returns all problems of the run.

        They are read once however many snapshots rest on them. Without `segments` those of the history are only
        looked for: the replay reads and checks them.
        """
        sealed = self.manifest(key)
        done = self._checked.get(key)
        if sealed is None or done or (done is False and not segments):
            return self.problems(key)
        self._checked[key] = segments
        history = set(sealed.manifest.history.segments) if sealed.manifest.history else set()

        def check(artifact: Artifact) -> Problem | None:
            return self._check_artifact(artifact, read=segments or artifact.name not in history)

        with ThreadPoolExecutor(_PARALLEL) as pool:
            for problem in pool.map(check, [*sealed.manifest.artifacts, *self._scan_elsewhere(sealed)]):
                if problem is not None:
                    self.note(key, problem)
        return self.problems(key)

    def check_receipts(self, run: Run, sealed: Sealed) -> tuple[Problem, ...]:
        """Compare the manifest with the digests in earlier receipts, which pin it; the first problem ends it."""
        for name in run.receipts:
            try:
                receipt = receipts.read(self._catalog.store, run.key, name)
            except Unusable as error:
                return (Problem.of(error, run.key.key(name)),)
            if receipt.ok and receipt.manifest_sha256 != sealed.sha256:
                what = f"it is not the manifest that was verified before (receipt {name})"
                return (Problem(run.key.key(layout.MANIFEST), what),)
        return ()

    def _read_manifest(self, key: RunKey) -> Sealed | None:
        name = key.key(layout.MANIFEST)
        if not self._listed(key).is_snapshot:
            self.note(key, Problem(name, "it is missing"))
            return None
        try:
            return self._catalog.manifest(key, listed=True)
        except Unusable as error:
            self.note(key, Problem.of(error, name))
            return None

    def _read_ledger(self, sealed: Sealed) -> RefsLedger | None:
        try:
            return self._catalog.ledger(sealed.manifest)
        except Unusable as error:
            self.note(sealed.manifest.key, Problem.of(error, sealed.manifest.refs.artifact))
            return None

    def _scan_elsewhere(self, sealed: Sealed) -> list[Artifact]:
        """The artifacts of a snapshot's scan that another run wrote: one before it, or one that scanned it later."""
        manifest = sealed.manifest
        try:
            scan = scan_of(self._catalog, manifest) if manifest.kind != "empty" else None
        except Unusable as error:
            self.note(manifest.key, Problem.of(error, manifest.key.folder))
            return []
        return [
            artifact for artifact in (scan.artifacts if scan else []) if artifact not in manifest.artifacts
        ]

    def _check_artifact(self, artifact: Artifact, *, read: bool) -> Problem | None:
        self._cancel.check()
        place = layout.parse_key(artifact.key)
        size = self._listed(place[0]).files.get(place[1]) if place else None
        if size is None:
            return Problem(artifact.key, "it is missing")
        if size != artifact.bytes:
            return Problem(artifact.key, f"it has {size} bytes, not {artifact.bytes}")
        if not read:
            return None
        digest = hashlib.sha256()
        try:
            for chunk in self._catalog.store.stream(artifact.key):
                self._cancel.check()
                digest.update(chunk)
                self._observer.advance(len(chunk))
        except Unusable as error:
            return Problem.of(error, artifact.key)
        if digest.hexdigest() != artifact.sha256:
            return Problem(artifact.key, "its bytes are not what was written (SHA-256 differs)")
        return None

    def _listed(self, key: RunKey) -> Run:
        if key not in self._folders:
            self._folders[key] = self._catalog.folder(key)
        return self._folders[key]
