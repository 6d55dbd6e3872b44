"""The proof that only git can give: chains replayed into a temporary repository, and judged snapshot by snapshot."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Manifest, Sealed
from snapshotter.archive.replay import Link, replay_links, sent_damaged
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unusable
from snapshotter.base.folders import locked_folder, sweep
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural
from snapshotter.git.refs import named
from snapshotter.git.repository import NotWhole, Repository
from snapshotter.recover.evidence import Evidence
from snapshotter.recover.verdict import Problem
from snapshotter.store.objects import Store

_PREFIX: Final = "snapshotter-verify-"


@dataclass(frozen=True)
class Replayed:
    """What the replay of its chain showed of one snapshot. `seconds` is what its own link took."""

    problems: tuple[Problem, ...] = ()
    fsck: list[str] | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Replayer:
    """Replays chains. `temp` is where (None: the system's folder); `fsck` asks for what `git fsck --strict` finds."""

    store: Store
    evidence: Evidence
    observer: Observer
    cancel: Cancel
    temp: Path | None = None
    fsck: bool = False

    def replay(self, group: Sequence[Sealed]) -> dict[RunKey, Replayed]:
        """Replay the longest chain of a group from `sharing`, and judge each snapshot at the link where it ends.

        Damage of a run is noted in the evidence. Raises Unavailable if the store, git or the machine is in trouble.
        """
        longest = max((sealed.manifest for sealed in group), key=lambda manifest: len(manifest.chain))
        chain = longest.chain_keys
        total = sum(map(self.evidence.history_bytes, chain))
        self.observer.stage(f"replaying {plural(len(chain), 'bundle')}", total)
        place = self.temp or Path(tempfile.gettempdir())
        sweep(place, _PREFIX)
        with locked_folder(place, _PREFIX, cancel=self.cancel) as temp:
            repository = Repository.create(temp / "replay.git", longest.object_format, self.cancel)
            results = self._replay(chain, group, repository)
        # A link that failed ends the replay; what else is wrong from there on is told all the same.
        for sealed in group:
            if sealed.manifest.key not in results:
                results[sealed.manifest.key] = Replayed(self._unreplayed(sealed.manifest))
        return results

    def _replay(
        self, chain: Sequence[RunKey], group: Sequence[Sealed], repository: Repository
    ) -> dict[RunKey, Replayed]:
        """The snapshots that end before the first link that failed."""
        results: dict[RunKey, Replayed] = {}
        links = replay_links(
            self.store, self._links(chain), repository, observer=self.observer, cancel=self.cancel
        )
        proven: frozenset[str] = frozenset()
        for key in chain:
            started = time.monotonic()
            link = self._next(links, key)
            if link is None:
                break
            proven = self._connect(link, repository, proven)
            for sealed in group:
                if sealed.manifest.chain_keys[-1] == key:
                    results[sealed.manifest.key] = self._judge(sealed, repository, proven, started)
        return results

    def _links(self, chain: Sequence[RunKey]) -> Iterator[Link]:
        """The links of a chain, up to the first that is known to be damaged."""
        for key in chain:
            sealed = self.evidence.manifest(key)
            ledger = self.evidence.ledger(sealed) if sealed else None
            if sealed is None or ledger is None or self.evidence.problems(key):
                return
            yield Link(sealed.manifest, ledger)

    def _next(self, links: Iterator[Link], key: RunKey) -> Link | None:
        """The next link once it is replayed, or None if it cannot be; the evidence has the problem."""
        try:
            return next(links, None)
        except Unusable as error:
            self.evidence.note(key, Problem.of(error, key.folder))
            return None

    def _connect(self, link: Link, repository: Repository, proven: frozenset[str]) -> frozenset[str]:
        """Check that a link's refs reach whole histories, less what is `proven`; the tips that are proven then."""
        tips = link.ledger.tips
        try:
            repository.check_whole(sorted(tips - proven), sorted(proven))
        except NotWhole as error:
            self.evidence.note(link.manifest.key, _sent(link.manifest, error.message))
        return tips | proven

    def _judge(
        self, sealed: Sealed, repository: Repository, proven: frozenset[str], started: float
    ) -> Replayed:
        manifest = sealed.manifest
        problems = self._known(manifest)
        ledger = self.evidence.ledger(sealed)
        if ledger is None:  # an unchanged snapshot's, which no link has
            return Replayed(tuple(problems), seconds=time.monotonic() - started)
        try:
            if unproven := ledger.tips - proven:
                repository.check_whole(sorted(unproven), sorted(proven))
        except NotWhole as error:
            problems.append(_sent(manifest, error.message))
        repository.write_refs(ledger)
        problems += [Problem(manifest.key.folder, what) for what in repository.differences(ledger)]
        if wrong := repository.wrongly_peeled(ledger):
            what = f"what the origin listed as peeled is not what the tag holds: {named(wrong)}"
            problems.append(Problem(manifest.key.folder, what, sent=True))
        fsck = repository.fsck() if self.fsck else None
        return Replayed(tuple(problems), fsck, time.monotonic() - started)

    def _unreplayed(self, manifest: Manifest) -> tuple[Problem, ...]:
        for key in manifest.chain_keys:
            self.evidence.check_objects(key, segments=True)
        return tuple(self._known(manifest))

    def _known(self, manifest: Manifest) -> list[Problem]:
        """What is wrong with the runs of a snapshot's chain, as far as it is known."""
        return [problem for key in manifest.chain_keys for problem in self.evidence.problems(key)]


def _sent(manifest: Manifest, what: str) -> Problem:
    """A problem of what the origin sent: the digests of all that it rests on have been compared before."""
    return Problem.of(sent_damaged(manifest.key.folder, what), manifest.key.folder)


def sharing(snapshots: Iterable[Sealed]) -> list[list[Sealed]]:
    """Snapshots in groups, each with one chain that all of its chains begin.

    Two runs at once, or a clock set backwards, make two chains of one base: each is replayed by itself.
    """
    groups: list[list[Sealed]] = []
    for sealed in sorted(snapshots, key=lambda sealed: len(sealed.manifest.chain), reverse=True):
        chain = sealed.manifest.chain
        group = next((group for group in groups if group[0].manifest.chain[: len(chain)] == chain), None)
        groups.append([sealed]) if group is None else group.append(sealed)
    return groups
