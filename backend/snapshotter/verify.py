"""Prove that snapshots are whole: digests, the manifest hash chain, and a full replay by real git.

Checksums prove that the stored bytes are the bytes that arrived. Only a replay proves that they
are a repository: every object hashed, every ref present, everything reachable there.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from snapshotter import __version__, git, receipts
from snapshotter.cancel import Cancel
from snapshotter.catalog import Catalog, Run
from snapshotter.errors import SnapshotterError, Unavailable
from snapshotter.evidence import Evidence
from snapshotter.git import Repository
from snapshotter.layout import RunKey
from snapshotter.manifest import Manifest, Sealed
from snapshotter.observer import Observer
from snapshotter.receipts import Receipt
from snapshotter.replay import replay
from snapshotter.text import plural


@dataclass
class Verdict:
    """What was found about one snapshot; no problems means it is proven."""

    run: RunKey
    sealed: Sealed | None = None
    problems: list[str] = field(default_factory=list)
    refs: int = 0
    fsck: list[str] | None = None
    seconds: float = 0.0
    receipt: str = ""
    unchecked: str = ""  # why it could not be checked: of a newer schema, or resting on one that is
    damaged_runs: list[RunKey] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that was checked is in order."""
        return not self.problems and not self.unchecked


@dataclass(frozen=True)
class Options:
    """`quick`: digests and manifests only. `fsck`: record `git fsck --strict` too. `temp`: where to replay."""

    quick: bool = False
    fsck: bool = False
    receipts: bool = True
    temp: Path | None = None


def verify(
    catalog: Catalog, repo: str, chosen: Sequence[Run], options: Options,
    *, observer: Observer | None = None, cancel: Cancel | None = None,
) -> list[Verdict]:  # fmt: skip
    """Verify snapshots of one repo and write a receipt beside each, and beside each run found damaged.

    Returns a verdict for each chosen snapshot, oldest first. A chain that several share is replayed
    once. Raises Unavailable or AccessDenied when it could not check; then no receipt says anything.
    """
    return _Verification(catalog, repo, chosen, options, observer or Observer(), cancel or Cancel()).run()


def affected(catalog: Catalog, repo: str, damaged: Iterable[RunKey]) -> list[RunKey]:
    """Every snapshot of the repo whose chain or refs rest on a damaged run."""
    suspects = set(damaged)
    bad = {str(key.run_id) for key in suspects}
    runs = catalog.snapshots(repo) if bad else []
    found = []
    for run in runs:
        try:
            manifest = catalog.manifest(run.key, listed=True).manifest
        except SnapshotterError:
            if run.key in suspects:
                found.append(run.key)
            continue
        rests_on = {manifest.run_id, *manifest.chain, manifest.refs.artifact.split("/")[-2]}
        if bad & rests_on:
            found.append(run.key)
    return found


class _Verification:
    def __init__(
        self,
        catalog: Catalog,
        repo: str,
        chosen: Sequence[Run],
        options: Options,
        observer: Observer,
        cancel: Cancel,
    ) -> None:
        self._catalog, self._repo, self._options = catalog, repo, options
        self._chosen = sorted(chosen, key=lambda run: run.key)
        self._observer, self._cancel = observer, cancel
        self._evidence = Evidence(catalog, repo, chosen, observer, cancel)

    def run(self) -> list[Verdict]:
        """The verdicts, with their receipts written. Raises as `verify` does."""
        self._observer.stage(f"checking {plural(len(self._chosen), 'snapshot')} of {self._repo}")
        verdicts: list[Verdict] = []
        replayed: list[Verdict] = []
        for run in self._chosen:
            self._cancel.check()
            started = time.monotonic()
            try:
                verdict = self._digests(run)
            except Unavailable as error:
                if error.code != "manifest-newer":
                    raise
                verdicts.append(Verdict(run.key, unchecked=error.message))
                continue
            verdict.seconds = time.monotonic() - started
            verdicts.append(verdict)
            if verdict.sealed and verdict.sealed.manifest.chain and not self._options.quick:
                replayed.append(verdict)
        for sharing in _sharing(replayed):
            self._replay(sharing)
        for verdict in verdicts:  # a child may tell of damage that the run itself does not show
            own = self._evidence.damage.get(verdict.run, [])
            verdict.problems = list(dict.fromkeys([*verdict.problems, *own]))
            if verdict.problems:
                verdict.damaged_runs = sorted(
                    {verdict.run, *(key for key, found in self._evidence.damage.items() if found)}
                )
        if self._options.receipts:
            self._write_receipts(verdicts)
        return verdicts

    # Digests: what can be told without git

    def _digests(self, run: Run) -> Verdict:
        verdict = Verdict(run.key)
        sealed = self._evidence.manifest(run.key)
        if isinstance(sealed, str):
            self._evidence.note(run.key, sealed)
            verdict.problems.append(sealed)
            return verdict
        verdict.sealed, manifest = sealed, sealed.manifest
        verdict.refs = manifest.refs.count
        verdict.problems += self._evidence.parents(sealed)
        keys = dict.fromkeys([*manifest.chain_keys, manifest.key])
        if self._options.quick and (size := sum(map(self._evidence.unread, keys))):
            self._observer.stage(f"reading what {manifest.run_id} rests on", size)
        for key in keys:
            verdict.problems += self._evidence.objects(key, segments=self._options.quick)
        ledger = self._evidence.ledger(sealed)
        if isinstance(ledger, str):
            verdict.problems.append(ledger)
        verdict.problems += self._evidence.against_receipts(run, sealed)
        verdict.problems = list(dict.fromkeys(verdict.problems))
        return verdict

    # Replay: what only git can tell

    def _replay(self, sharing: list[Verdict]) -> None:
        """Replay one chain, link by link, and judge at each link the snapshots that end there."""
        last = max(sharing, key=lambda verdict: len(_chain(verdict)))
        chain = _manifest(last).chain_keys
        self._observer.stage(
            f"replaying {plural(len(chain), 'bundle')}",
            sum(map(self._evidence.history_bytes, chain)),
        )
        with ExitStack() as scope:
            temp = scope.enter_context(
                tempfile.TemporaryDirectory(
                    prefix="snapshotter-verify-", dir=self._options.temp, ignore_cleanup_errors=True
                )
            )
            # A cancellation clears up by itself: this thread may be held by a dead store.
            scope.enter_context(self._cancel.ending(lambda: shutil.rmtree(temp, ignore_errors=True)))
            repository = Repository.create(
                Path(temp) / "replay.git", _manifest(last).object_format, self._cancel
            )
            known: frozenset[str] = frozenset()
            for position, key in enumerate(chain):
                started = time.monotonic()
                problem = self._link(key, repository)
                if not problem:
                    known = self._connected(key, repository, known)
                ending = [verdict for verdict in sharing if len(_chain(verdict)) == position + 1]
                if problem:
                    self._fail_from(position, problem, sharing)
                    return
                for verdict in ending:
                    self._judge(verdict, repository, known)
                    verdict.seconds += time.monotonic() - started

    def _fail_from(self, position: int, problem: str, sharing: list[Verdict]) -> None:
        """A link failed, so nothing after it can be replayed; what else is wrong there is still told."""
        for verdict in sharing:
            if len(_chain(verdict)) > position:
                later = [
                    found
                    for key in _manifest(verdict).chain_keys[position:]
                    for found in self._evidence.objects(key, segments=True)
                ]
                verdict.problems = list(dict.fromkeys([*verdict.problems, problem, *later]))

    def _link(self, key: RunKey, repository: Repository) -> str:
        """Index one link's bundle; the problem, or ''."""
        sealed = self._evidence.manifest(key)
        if isinstance(sealed, str):
            return sealed
        ledger = self._evidence.ledger(sealed)
        if isinstance(ledger, str):
            return ledger
        if sealed.manifest.history is None:
            return f"{key.folder}: is in a chain but has no history"
        if self._evidence.damage.get(key):
            return self._evidence.damage[key][0]
        try:
            replay(
                self._catalog.store,
                sealed.manifest,
                ledger,
                repository,
                observer=self._observer,
                cancel=self._cancel,
            )
        except SnapshotterError as error:
            problem = self._evidence.finding(error, key.folder)
            self._evidence.note(key, problem)
            return problem
        return ""

    def _connected(self, key: RunKey, repository: Repository, known: frozenset[str]) -> frozenset[str]:
        """Check that a link's refs reach whole histories; what earlier links proved is not walked again."""
        sealed = self._evidence.manifest(key)
        ledger = self._evidence.ledger(sealed) if isinstance(sealed, Sealed) else ""
        if isinstance(ledger, str):
            return known
        if problem := repository.missing(sorted(ledger.tips - known), sorted(known)):
            self._evidence.note(key, f"{key.folder}: its history is not whole: {problem}")
        return ledger.tips | known

    def _judge(self, verdict: Verdict, repository: Repository, known: frozenset[str]) -> None:
        manifest = _manifest(verdict)
        for key in manifest.chain_keys:
            verdict.problems += [
                problem for problem in self._evidence.damage.get(key, []) if problem not in verdict.problems
            ]
        ledger = self._evidence.ledger(verdict.sealed) if verdict.sealed else ""
        if isinstance(ledger, str):
            return
        absent = ledger.tips - known
        if absent and (problem := repository.missing(sorted(absent), sorted(known))):
            verdict.problems.append(f"{manifest.key.folder}: its history is not whole: {problem}")
        repository.write_refs(ledger)
        if repository.refs() != {ref.name: ref.oid for ref in ledger}:
            verdict.problems.append(f"{manifest.key.folder}: git does not read back the refs of the ledger")
        if self._options.fsck:
            verdict.fsck = repository.fsck()

    # Receipts

    def _write_receipts(self, verdicts: list[Verdict]) -> None:
        version = git.version() if not self._options.quick else None
        covered = {verdict.run for verdict in verdicts}
        others = [
            Verdict(
                key,
                found if isinstance(found := self._evidence.manifest(key), Sealed) else None,
                list(problems),
            )
            for key, problems in sorted(self._evidence.damage.items())
            if key not in covered and problems
        ]
        for verdict in [*(verdict for verdict in verdicts if not verdict.unchecked), *others]:
            verdict.receipt = receipts.write(self._catalog.store, self._receipt(verdict, version))

    def _receipt(self, verdict: Verdict, version: str | None) -> Receipt:
        return Receipt(
            schema_version=1, tool_version=__version__, run_id=str(verdict.run.run_id), repo=self._repo,
            manifest_sha256=verdict.sealed.sha256 if verdict.sealed else "", verified_at=datetime.now(UTC),
            mode="quick" if self._options.quick else "full", ok=verdict.ok, problems=verdict.problems[:1000],
            chain=_chain(verdict), refs=verdict.refs, fsck=verdict.fsck, git_version=version,
            seconds=round(verdict.seconds, 3),
        )  # fmt: skip


def _sharing(verdicts: Iterable[Verdict]) -> list[list[Verdict]]:
    """Verdicts by the longest chain that theirs begins. Two runs at once, or a clock set backwards, make
    two chains of one base: each is replayed by itself."""
    groups: list[list[Verdict]] = []
    for verdict in sorted(verdicts, key=lambda verdict: len(_chain(verdict)), reverse=True):
        chain = _chain(verdict)
        group = next((group for group in groups if _chain(group[0])[: len(chain)] == chain), None)
        groups.append([verdict]) if group is None else group.append(verdict)
    return groups


def _manifest(verdict: Verdict) -> Manifest:
    assert verdict.sealed is not None  # noqa: S101 - only verdicts with a manifest are replayed
    return verdict.sealed.manifest


def _chain(verdict: Verdict) -> list[str]:
    return verdict.sealed.manifest.chain if verdict.sealed else []


def free_bytes(folder: Path | None) -> int:
    """Free bytes where verify would replay."""
    return shutil.disk_usage(folder or tempfile.gettempdir()).free
