"""The proof that only git can give: chains replayed into a temporary repository, and judged snapshot by snapshot."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Manifest, Sealed
from snapshotter.archive.replay import replay
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.base.folders import locked_folder, sweep
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural
from snapshotter.git.repository import Repository
from snapshotter.recover.evidence import Evidence
from snapshotter.store.objects import Store

_PREFIX: Final = "snapshotter-verify-"


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
    unrecorded: SnapshotterError | None = None  # why there is no receipt
    unchecked: str = ""  # why it could not be checked: of a newer schema, or resting on one that is
    damaged_runs: list[RunKey] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything that was checked is in order."""
        return not self.problems and not self.unchecked

    @property
    def chain(self) -> list[str]:
        """The run ids that the snapshot rests on, base first; none if its manifest does not read."""
        return self.sealed.manifest.chain if self.sealed else []


class Replaying:
    """Replays chains, and writes what it finds into the verdicts. `temp` is where (None: the system's folder);
    `fsck` records what `git fsck --strict` finds, too."""

    def __init__(
        self,
        evidence: Evidence,
        store: Store,
        observer: Observer,
        cancel: Cancel,
        *,
        temp: Path | None,
        fsck: bool,
    ) -> None:
        self._evidence, self._store, self._observer, self._cancel = evidence, store, observer, cancel
        self._temp, self._fsck = temp, fsck

    def replay(self, sharing: list[Verdict]) -> None:
        """Replay one chain, link by link, and judge at each link the snapshots that end there."""
        last = max(sharing, key=lambda verdict: len(verdict.chain))
        chain = _manifest(last).chain_keys
        self._observer.stage(
            f"replaying {plural(len(chain), 'bundle')}", sum(map(self._evidence.history_bytes, chain))
        )
        place = self._temp or Path(tempfile.gettempdir())
        sweep(place, _PREFIX)
        with locked_folder(place, _PREFIX, cancel=self._cancel) as temp:
            repository = Repository.create(temp / "replay.git", _manifest(last).object_format, self._cancel)
            known: frozenset[str] = frozenset()
            for position, key in enumerate(chain):
                started = time.monotonic()
                problem = self._link(key, repository)
                if not problem:
                    known = self._connected(key, repository, known)
                ending = [verdict for verdict in sharing if len(verdict.chain) == position + 1]
                if problem:
                    self._fail_from(position, problem, sharing)
                    return
                for verdict in ending:
                    self._judge(verdict, repository, known)
                    verdict.seconds += time.monotonic() - started

    def _fail_from(self, position: int, problem: str, sharing: list[Verdict]) -> None:
        """A link failed, so nothing after it can be replayed; what else is wrong there is still told."""
        for verdict in sharing:
            if len(verdict.chain) > position:
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
                self._store, sealed.manifest, ledger, repository, observer=self._observer, cancel=self._cancel
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
        if self._fsck:
            verdict.fsck = repository.fsck()


def sharing(verdicts: Iterable[Verdict]) -> list[list[Verdict]]:
    """Verdicts by the longest chain that theirs begins. Two runs at once, or a clock set backwards, make
    two chains of one base: each is replayed by itself."""
    groups: list[list[Verdict]] = []
    for verdict in sorted(verdicts, key=lambda verdict: len(verdict.chain), reverse=True):
        chain = verdict.chain
        group = next((group for group in groups if group[0].chain[: len(chain)] == chain), None)
        groups.append([verdict]) if group is None else group.append(verdict)
    return groups


def _manifest(verdict: Verdict) -> Manifest:
    assert verdict.sealed is not None  # noqa: S101 - only verdicts with a manifest are replayed
    return verdict.sealed.manifest
