"""Prove that snapshots are whole: digests, the manifest hash chain, and a full replay by real git.

Checksums prove that the stored bytes are the bytes that arrived. Only a replay proves that they
are a repository: every object hashed, every ref present, everything reachable there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from snapshotter import __version__
from snapshotter.archive import receipts
from snapshotter.archive.catalog import Catalog, Run
from snapshotter.archive.layout import RunKey, parse_key
from snapshotter.archive.manifest import Sealed
from snapshotter.archive.receipts import Receipt
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, NewerSchema, SnapshotterError, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural
from snapshotter.git import program
from snapshotter.recover.evidence import Evidence
from snapshotter.recover.replays import Replaying, Verdict, sharing


@dataclass(frozen=True)
class Options:
    """`quick`: digests and manifests only. `fsck`: record `git fsck --strict` too. `temp`: where to replay."""

    quick: bool = False
    fsck: bool = False
    receipts: bool = True
    temp: Path | None = None


def verify(
    catalog: Catalog,
    repo: str,
    chosen: Sequence[Run],
    options: Options,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
) -> list[Verdict]:
    """Verify snapshots of one repo and write a receipt beside each, and beside each run found damaged.

    Returns a verdict for each chosen snapshot, oldest first. A chain that several share is replayed
    once. A receipt that cannot be written costs no verdict: each without one says why. Raises Unavailable or
    AccessDenied when it could not check; then no receipt says anything.
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
        refs = parse_key(manifest.refs.artifact)
        rests_on = {manifest.run_id, *manifest.chain, *([str(refs[0].run_id)] if refs else [])}
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
            except NewerSchema as error:
                verdicts.append(Verdict(run.key, unchecked=error.message))
                continue
            verdict.seconds = time.monotonic() - started
            verdicts.append(verdict)
            if verdict.sealed and verdict.sealed.manifest.chain and not self._options.quick:
                replayed.append(verdict)
        replaying = Replaying(
            self._evidence,
            self._catalog.store,
            self._observer,
            self._cancel,
            temp=self._options.temp,
            fsck=self._options.fsck,
        )
        for group in sharing(replayed):
            replaying.replay(group)
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

    # Receipts

    def _write_receipts(self, verdicts: list[Verdict]) -> None:
        version = program.version() if not self._options.quick else None
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
            receipt, earlier = self._receipt(verdict, version), self._evidence.receipts(verdict.run)
            try:
                verdict.receipt = receipts.write(self._catalog.store, receipt, earlier)
            except (AccessDenied, Unavailable) as error:
                # A store that may only be read, a full disk: what was found stands.
                for one in verdicts:
                    one.unrecorded = None if one.receipt else error
                return

    def _receipt(self, verdict: Verdict, version: str | None) -> Receipt:
        return Receipt(
            schema_version=1,
            tool_version=__version__,
            run_id=str(verdict.run.run_id),
            repo=self._repo,
            manifest_sha256=verdict.sealed.sha256 if verdict.sealed else "",
            verified_at=datetime.now(UTC),
            mode="quick" if self._options.quick else "full",
            ok=verdict.ok,
            problems=verdict.problems[:1000],
            chain=verdict.chain,
            refs=verdict.refs,
            fsck=verdict.fsck,
            git_version=version,
            seconds=round(verdict.seconds, 3),
        )
