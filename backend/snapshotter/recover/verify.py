"""Prove that snapshots are whole: digests, the manifest hash chain, LFS objects, and a full replay by real git.

Checksums prove that the stored bytes are the bytes that arrived. Only a replay proves that they
are a repository: every object hashed, every ref present, everything reachable there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from snapshotter import __version__
from snapshotter.archive import receipts
from snapshotter.archive.catalog import Catalog
from snapshotter.archive.expiry import Expiry
from snapshotter.archive.layout import RunKey, parse_key
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.receipts import Receipt
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, NewerSchema, SnapshotterError, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural, printable
from snapshotter.git import program
from snapshotter.recover.evidence import Evidence
from snapshotter.recover.lfs_evidence import LfsEvidence
from snapshotter.recover.limits import ProofOutOfTime, ReplayTime, out_of_time
from snapshotter.recover.outline import Outline
from snapshotter.recover.replays import Replayed, Replayer, sharing
from snapshotter.recover.verdict import MAX_PROBLEMS, Problem, Verdict


@dataclass(frozen=True)
class VerifyOptions:
    """How to verify: `quick` compares digests and manifests, looks whether LFS objects are there, and replays nothing;
    `fsck` records what `git fsck --strict` finds; `receipts` writes them; `temp` is the folder to replay in (None: the
    system's).

    `seconds` is how long the check of one snapshot's objects, and the replay of one chain, may take. With None a
    replay has time by its size, and the checks, which read each object once, have as much as they take.

    `expiry` is of the store's objects. Of a repo that is verified as a whole, a snapshot whose chain has expired is
    left out: that it lacks objects is as it was meant, and no damage.
    """

    quick: bool = False
    fsck: bool = False
    receipts: bool = True
    temp: Path | None = None
    seconds: float | None = None
    expiry: Expiry | None = None


def verify(
    catalog: Catalog,
    repo: str,
    chosen: Sequence[ListedRun],
    options: VerifyOptions,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
) -> list[Verdict]:
    """Verify snapshots of one repo and write a receipt beside each, and beside each run found damaged.

    Returns a verdict for each chosen snapshot, oldest first. A chain that several share is replayed
    once. A receipt that cannot be written costs no verdict: its verdict says why. Raises Unavailable or
    AccessDenied when it could not check; then no receipt says anything.
    """
    return _RepoVerification(catalog, repo, chosen, options, observer or Observer(), cancel or Cancel()).run()


def affected(catalog: Catalog, repo: str, damaged: Iterable[RunKey]) -> list[RunKey]:
    """Every snapshot of the repo that is damaged, or whose chain or refs rest on a damaged run."""
    bad = set(damaged)
    runs = catalog.snapshots(repo) if bad else []
    return [run.key for run in runs if run.key in bad or not bad.isdisjoint(_rests_on(catalog, run))]


def _rests_on(catalog: Catalog, run: ListedRun) -> set[RunKey]:
    """The runs that a snapshot needs besides itself; none if its manifest cannot be read, so nobody can tell."""
    try:
        manifest = catalog.manifest(run.key, listed=True).manifest
    except SnapshotterError:
        return set()
    refs = parse_key(manifest.refs.artifact)
    return {*manifest.chain_keys, *([refs[0]] if refs else [])}


class _RepoVerification:
    """See `verify`."""

    def __init__(
        self,
        catalog: Catalog,
        repo: str,
        chosen: Sequence[ListedRun],
        options: VerifyOptions,
        observer: Observer,
        cancel: Cancel,
    ) -> None:
        self._catalog, self._repo, self._options = catalog, repo, options
        self._chosen = sorted(chosen, key=lambda run: run.key)
        self._observer, self._cancel = observer, cancel
        self._evidence = Evidence(catalog, repo, chosen, observer, cancel)
        self._lfs = LfsEvidence(catalog, repo, observer, options.temp)

    def run(self) -> list[Verdict]:
        """The verdicts, with their receipts written. Raises as `verify` does."""
        self._observer.stage(f"checking {plural(len(self._chosen), 'snapshot')} of {self._repo}")
        checked = [self._check(run) for run in self._chosen]
        self._tell_passed_over()
        replayed = {} if self._options.quick else self._replay(checked)
        # Only now: a child may tell of damage that its parent does not show.
        damaged = self._evidence.damaged_runs()
        verdicts = [
            self._conclude(verdict, replayed.get(verdict.run, Replayed()), damaged) for verdict in checked
        ]
        return self._record(verdicts) if self._options.receipts else verdicts

    def _tell_passed_over(self) -> None:
        """Warn, once for all, of the objects that lie among the receipts and are none."""
        if others := self._evidence.passed_over:
            more = f"; and {len(others) - 1} more" if others[1:] else ""
            self._observer.warn(f"passed over: {printable(others[0].message)[:400]}{more}")

    def _check(self, run: ListedRun) -> Verdict:
        """What can be told without git."""
        started = time.monotonic()
        try:
            with self._limited(run.key) as cancel:
                cancel.check()
                outline = self._evidence.outline(run.key)
                problems = self._check_objects(run, outline, cancel) if outline else []
        except (NewerSchema, ProofOutOfTime) as error:
            return Verdict(run.key, unchecked=error)
        return Verdict(run.key, outline, tuple(problems), seconds=time.monotonic() - started)

    @contextmanager
    def _limited(self, key: RunKey) -> Iterator[Cancel]:
        seconds = self._options.seconds
        if seconds is None:
            yield self._cancel
        else:
            with self._cancel.limited(seconds, out_of_time(f"the check of {key.run_id}", seconds)) as cancel:
                yield cancel

    def _check_objects(self, run: ListedRun, outline: Outline, cancel: Cancel) -> list[Problem]:
        evidence, quick = self._evidence, self._options.quick
        problems = [*evidence.check_parents(outline, cancel)]
        if quick and (size := sum(map(evidence.unread, outline.rests_on))):
            self._observer.stage(f"reading what {run.key.run_id} rests on", size)
        for key in outline.rests_on:
            # In full, a replay reads the segments anyway, and checks each before git sees it.
            problems += evidence.check_objects(key, segments=quick, cancel=cancel)
        if outline.lfs is not None:
            problems += self._lfs.check(outline.lfs, quick=quick, cancel=cancel)
        return [*problems, *evidence.check_ledger(outline), *evidence.check_receipts(run, outline)]

    def _replay(self, checked: Sequence[Verdict]) -> dict[RunKey, Replayed]:
        """What replays show of every snapshot that has a chain."""
        options, results = self._options, dict[RunKey, Replayed]()
        replayer = Replayer(
            self._catalog.store,
            self._evidence,
            self._observer,
            self._cancel,
            options.temp,
            options.fsck,
            ReplayTime(options.seconds),
        )
        for group in sharing(each.outline for each in checked if each.outline and each.outline.chain):
            results |= replayer.replay(group)
        return results

    def _conclude(self, checked: Verdict, replayed: Replayed, damaged: Sequence[RunKey]) -> Verdict:
        own = self._evidence.problems(checked.run)
        problems = tuple(dict.fromkeys([*checked.problems, *replayed.problems, *own]))
        return replace(
            checked,
            problems=problems,
            fsck=replayed.fsck,
            seconds=checked.seconds + replayed.seconds,
            unchecked=None if problems else checked.unchecked or replayed.unchecked,
            damaged_runs=damaged if problems else (),
        )

    def _record(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Write a receipt for each snapshot that could be checked, and for each damaged run beside them."""
        git_version = None if self._options.quick else program.version()
        chosen = {verdict.run for verdict in verdicts}
        others = [
            Verdict(key, self._evidence.outline(key), self._evidence.problems(key))
            for key in self._evidence.damaged_runs()
            if key not in chosen
        ]
        written: dict[RunKey, str] = {}
        unrecorded: SnapshotterError | None = None
        try:
            for verdict in [*(verdict for verdict in verdicts if not verdict.unchecked), *others]:
                receipt = self._receipt(verdict, git_version)
                earlier = self._evidence.folder(verdict.run).receipts
                written[verdict.run] = receipts.write(self._catalog.store, receipt, earlier)
        except (AccessDenied, Unavailable) as error:  # a store that may only be read, a full disk
            unrecorded = error
        return [
            replace(verdict, receipt=written[verdict.run])
            if verdict.run in written
            else replace(verdict, unrecorded=unrecorded)
            for verdict in verdicts
        ]

    def _receipt(self, verdict: Verdict, git_version: str | None) -> Receipt:
        return Receipt(
            schema_version=receipts.SCHEMA_VERSION,
            tool_version=__version__,
            run_id=str(verdict.run.run_id),
            repo=self._repo,
            # Empty in the stored form, as ever: a manifest that does not read is pinned by no receipt.
            manifest_sha256=verdict.outline.sha256 if verdict.outline else "",
            verified_at=datetime.now(UTC),
            mode="quick" if self._options.quick else "full",
            ok=verdict.ok,
            problems=[str(problem) for problem in verdict.problems[:MAX_PROBLEMS]],
            chain=verdict.chain,
            refs=verdict.refs,
            fsck=verdict.fsck,
            git_version=git_version,
            seconds=round(verdict.seconds, 3),
        )
