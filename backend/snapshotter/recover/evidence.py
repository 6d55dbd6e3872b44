"""What a repo's objects show without git: digests, manifests, ledgers, the manifests' hash chain.

Each object is read once, however many snapshots rest on it, and what is wrong with it is kept as a problem of
its run. What is kept of each snapshot is small. Trouble with the store or the machine is no problem of a snapshot,
and is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from snapshotter.archive import layout, receipts
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.layout import RunId, RunKey
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.manifest import Lfs
from snapshotter.archive.receipts import NoReceipt
from snapshotter.archive.sealed import Sealed, mixed_formats
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unusable
from snapshotter.base.observer import Observer
from snapshotter.git.refs import RefsLedger
from snapshotter.recover.artifacts import Artifacts
from snapshotter.recover.ledgers import Ledgers
from snapshotter.recover.outline import Outline
from snapshotter.recover.verdict import MAX_PROBLEMS, Problem

_KEPT: Final = 32  # manifests that stay in memory: more than a chain has, so that each of its is read once
_LARGE: Final = 1024 * 1024  # bytes of a manifest that does not
_SHOWN: Final = 200  # characters of a run id that is none

_Walk = tuple[RunKey, RunKey]  # from a snapshot, to the base of the chain of the one that the walk began with


class _Step(NamedTuple):
    """Where a walk along the parents goes next, or the problems with which it ends."""

    parent: Outline | None = None
    problems: tuple[Problem, ...] = ()


class Evidence:
    """What was read of one repo so far, and the problems found, by run.

    Whatever reads raises Unavailable or AccessDenied if the store is in trouble, and NewerSchema for a manifest
    that a newer release wrote: then nothing is known, and nothing is noted. A `cancel` that is given to a check
    ends it in place of the one that all have. `passed_over` are the objects that lie among the receipts and are none.
    """

    def __init__(
        self, catalog: Catalog, repo: str, chosen: Sequence[ListedRun], observer: Observer, cancel: Cancel
    ) -> None:
        self._catalog, self._repo, self._cancel = catalog, repo, cancel
        self._chosen = {run.key for run in chosen}
        self._folders: dict[RunKey, ListedRun] = {run.key: run for run in chosen}
        self._outlines: dict[RunKey, Outline | None] = {}
        self._chains: dict[tuple[RunKey, ...], tuple[RunKey, ...]] = {}  # each once: most snapshots share one
        self._lfs: dict[Lfs, Lfs] = {}  # likewise
        self._manifests: dict[RunKey, Sealed] = {}
        self._walked: dict[_Walk, tuple[Problem, ...]] = {}
        self._ledgers = Ledgers(catalog)
        self._artifacts = Artifacts(catalog, repo, self.folder, observer)
        self._checked: dict[RunKey, bool] = {}  # whose objects were checked; True: segments too
        self._problems: dict[RunKey, dict[Problem, None]] = {}
        self.passed_over: list[NoReceipt] = []

    # What was found

    def problems(self, key: RunKey) -> tuple[Problem, ...]:
        """What is wrong with a run's own objects, as far as they were read."""
        return tuple(self._problems.get(key, ()))

    def damaged_runs(self) -> list[RunKey]:
        """The runs with problems, oldest first."""
        return sorted(self._problems)

    def note(self, key: RunKey, problem: Problem) -> None:
        """Keep a problem of a run, once; of a run with very many, the first."""
        problems = self._problems.setdefault(key, {})
        if len(problems) < MAX_PROBLEMS:
            problems[problem] = None

    # What is read

    def outline(self, key: RunKey) -> Outline | None:
        """What is kept of a run's manifest, or None if that cannot be used; `problems` says why."""
        if key not in self._outlines:
            sealed = self._read_manifest(key)
            self._outlines[key] = self._kept(sealed) if sealed else None
        return self._outlines[key]

    def manifest(self, key: RunKey) -> Sealed | None:
        """A run's manifest, or None if it cannot be used; `problems` says why. Only the last ones stay in memory."""
        outline = self.outline(key)
        if outline is None or key in self._manifests:
            return self._manifests.get(key)
        sealed = self._read_manifest(key)
        if sealed and sealed.sha256 != outline.sha256:
            self.note(key, Problem(key.key(layout.MANIFEST), "it was replaced while it was verified"))
            return None
        return sealed

    def ledger(self, outline: Outline) -> RefsLedger | None:
        """A snapshot's refs, or None if they cannot be used; `problems` says why."""
        try:
            return self._ledgers.read(outline)
        except Unusable as error:
            self.note(outline.key, Problem.of(error, outline.refs.artifact))
            return None

    def folder(self, key: RunKey) -> ListedRun:
        """A run's folder, as it was listed before the verification or when it was first asked for."""
        if key not in self._folders:
            self._folders[key] = self._catalog.folder(key)
        return self._folders[key]

    def unread(self, key: RunKey) -> int:
        """Bytes of a run's objects that a check of all of them would read now; 0 if its manifest cannot be used."""
        sealed = None if self._checked.get(key) else self.manifest(key)
        return sum(artifact.bytes for artifact in sealed.manifest.artifacts) if sealed else 0

    def history_bytes(self, key: RunKey) -> int:
        """Bytes of a run's bundle, as listed; 0 if its manifest cannot be used."""
        files = self.folder(key).files if self.outline(key) else {}
        return sum(size for name, size in files.items() if name.startswith(layout.HISTORY))

    # What is checked

    def check_parents(self, outline: Outline, cancel: Cancel | None = None) -> tuple[Problem, ...]:
        """Follow the hash chain from a manifest to the base of its chain; the first problem ends the walk.

        Each manifest names its parent's digest. The base's own parent is no part of the chain and may have
        expired: where it is being verified too, a difference is its problem, not this snapshot's. No step is taken
        twice: a walk ends where one to the same base went before.
        """
        base, at = outline.base, outline
        path: list[_Walk] = []
        while (problems := self._walked.get((at.key, base))) is None:
            (cancel or self._cancel).check()
            path.append((at.key, base))
            step = self._step(at, base)
            if step.parent is None:
                problems = step.problems
                break
            at = step.parent
        self._walked.update(dict.fromkeys(path, problems))
        return problems

    def check_objects(
        self, key: RunKey, *, segments: bool, cancel: Cancel | None = None
    ) -> tuple[Problem, ...]:
        """Compare size and SHA-256 of a run's artifacts with its manifest; returns all problems of the run.

        They are read once however many snapshots rest on them. Without `segments` those of the history are only
        looked for: the replay reads and checks them.
        """
        done = self._checked.get(key)
        if done or (done is False and not segments):
            return self.problems(key)
        sealed, outline = self.manifest(key), self.outline(key)
        if sealed and outline:
            for problem in self._artifacts.check(sealed, segments=segments, cancel=cancel or self._cancel):
                self.note(key, problem)
            self._checked[key] = segments
        return self.problems(key)

    def check_ledger(self, outline: Outline) -> tuple[Problem, ...]:
        """Read a snapshot's refs, unless another's that were read are the same; returns its problems if they
        cannot be used."""
        if self._ledgers.known(outline) or self.ledger(outline) is not None:
            return ()
        return self.problems(outline.key)

    def check_receipts(self, run: ListedRun, outline: Outline) -> tuple[Problem, ...]:
        """Compare the manifest with the digests in earlier receipts, which pin it; the first problem ends the check.

        What is no receipt is kept in `passed_over`, and is no problem.
        """
        problems = (self._check_receipt(run, name, outline) for name in run.receipts)
        return tuple(islice(filter(None, problems), 1))

    def _check_receipt(self, run: ListedRun, name: str, outline: Outline) -> Problem | None:
        try:
            receipt = receipts.read(self._catalog.store, run.key, name)
        except NoReceipt as error:
            # Whoever put it there, nobody can delete it: as a problem it would be one of a sound snapshot for ever.
            self.passed_over.append(error)
            return None
        except Unusable as error:
            return Problem.of(error, run.key.key(name))
        if not receipt.ok or receipt.manifest_sha256 == outline.sha256:
            return None
        what = f"it is not the manifest that was verified before (receipt {name})"
        return Problem(run.key.key(layout.MANIFEST), what)

    def _step(self, child: Outline, base: RunKey) -> _Step:
        """From a snapshot to its parent, on the way to `base`."""
        if child.parent is None:
            return _Step()
        run_id = RunId.parse(child.parent.run_id)
        if run_id is None:  # such a key is nothing to ask a store for
            shown = child.parent.run_id[:_SHOWN]
            problem = Problem(child.key.key(layout.MANIFEST), f"its parent is no run: {shown!r}")
            self.note(child.key, problem)
            return _Step(problems=(problem,))
        key, outside = RunKey(self._repo, run_id), child.key <= base
        # What was before the base may have expired, so only one that is verified too is compared.
        if outside and key not in self._chosen:
            return _Step()
        parent = self.outline(key)
        if parent is None:
            return _Step(problems=() if outside else self.problems(key))
        if parent.sha256 != child.parent.manifest_sha256:
            what = f"it is not the manifest that {child.key.run_id} was built on (SHA-256 differs)"
            problem = Problem(key.key(layout.MANIFEST), what)
            self.note(key, problem)
            return _Step(problems=() if outside else (problem,))
        if not outside and child.object_format != parent.object_format:
            what = mixed_formats(child.object_format, str(key.run_id), parent.object_format)
            problem = Problem(child.key.key(layout.MANIFEST), what)
            self.note(child.key, problem)
            return _Step(problems=(problem,))
        return _Step() if outside else _Step(parent)

    def _read_manifest(self, key: RunKey) -> Sealed | None:
        name = key.key(layout.MANIFEST)
        if not self.folder(key).is_snapshot:
            self.note(key, Problem(name, "it is missing"))
            return None
        try:
            sealed = self._catalog.manifest(key, listed=True)
        except Unusable as error:
            self.note(key, Problem.of(error, name))
            return None
        if len(sealed.data) <= _LARGE:
            self._manifests[key] = sealed
            if len(self._manifests) > _KEPT:
                del self._manifests[next(iter(self._manifests))]
        return sealed

    def _kept(self, sealed: Sealed) -> Outline:
        outline = Outline.of(sealed)
        lfs = self._lfs.setdefault(outline.lfs, outline.lfs) if outline.lfs else None
        return outline.sharing(self._chains.setdefault(outline.chain, outline.chain), lfs)
