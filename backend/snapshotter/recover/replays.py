"""The proof that only git can give: chains replayed into a temporary repository, and judged snapshot by snapshot."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import RefsRecord
from snapshotter.archive.replay import Link, replay_links, sent_damaged
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unusable
from snapshotter.base.folders import locked_folder, sweep
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural
from snapshotter.git.ref_names import named
from snapshotter.git.repository import NotWhole, Repository
from snapshotter.recover.evidence import Evidence
from snapshotter.recover.limits import ProofOutOfTime, ReplayTime, out_of_time
from snapshotter.recover.outline import Outline
from snapshotter.recover.verdict import Problem
from snapshotter.store.objects import Store

_PREFIX: Final = "snapshotter-verify-"


@dataclass(frozen=True)
class Replayed:
    """What the replay of its chain showed of one snapshot. `seconds` is what its own link took.

    `unchecked` says why the replay did not come to it.
    """

    problems: tuple[Problem, ...] = ()
    fsck: list[str] | None = None
    seconds: float = 0.0
    unchecked: SnapshotterError | None = None


@dataclass(frozen=True)
class Replayer:
    """Replays chains. `temp` is where (None: the system's folder); `fsck` asks for what `git fsck --strict` finds;
    `limit` is how long they may take."""

    store: Store
    evidence: Evidence
    observer: Observer
    cancel: Cancel
    temp: Path | None = None
    fsck: bool = False
    limit: ReplayTime = field(default_factory=ReplayTime)

    def replay(self, group: Sequence[Outline]) -> dict[RunKey, Replayed]:
        """Replay the longest chain of a group from `sharing`, and judge each snapshot at the link where it ends.

        Damage of a run is noted in the evidence. Those that it did not come to in time are unchecked. Raises
        Unavailable if the store, git or the machine is in trouble.
        """
        longest = max(group, key=lambda outline: len(outline.chain))
        # The base's format is the chain's: a snapshot that mixes two is at fault itself, and no good base for it.
        base = self.evidence.outline(longest.base) or longest
        bundles = {key: self.evidence.history_bytes(key) for key in longest.chain}
        self.observer.stage(f"replaying {plural(len(longest.chain), 'bundle')}", sum(bundles.values()))
        place = self.temp or Path(tempfile.gettempdir())
        sweep(place, _PREFIX)
        results: dict[RunKey, Replayed] = {}
        what = f"the replay of the chain up to {longest.key.run_id}"
        try:
            with (
                self.limit.replay(bundles) as seconds,
                self.cancel.limited(seconds, out_of_time(what, seconds)) as cancel,
                locked_folder(place, _PREFIX, cancel=cancel) as temp,
            ):
                try:
                    repository = Repository.create(temp / "replay.git", base.object_format, cancel)
                    results.update(_Replay(self, cancel, repository, group).judged(longest.chain))
                except OSError:
                    cancel.check()  # a cancellation takes the folder away under whatever is at work in it
                    raise
        except ProofOutOfTime as error:
            return results | {
                outline.key: Replayed(unchecked=error) for outline in group if outline.key not in results
            }
        # A link that failed ends the replay; what else is wrong from there on is told all the same.
        for outline in group:
            if outline.key not in results:
                results[outline.key] = Replayed(self._unreplayed(outline))
        return results

    def _unreplayed(self, outline: Outline) -> tuple[Problem, ...]:
        for key in outline.chain:
            self.evidence.check_objects(key, segments=True)
        return tuple(known(self.evidence, outline))


class _Replay:
    """One replay of a chain into `repository`, which ends with `cancel`."""

    def __init__(
        self, how: Replayer, cancel: Cancel, repository: Repository, group: Sequence[Outline]
    ) -> None:
        self._how, self._evidence, self._cancel, self._repository = how, how.evidence, cancel, repository
        self._ending: dict[RunKey, list[Outline]] = {}  # snapshots of the group, by the link where they end
        for outline in group:
            self._ending.setdefault(outline.chain[-1], []).append(outline)

    def judged(self, chain: Sequence[RunKey]) -> Iterator[tuple[RunKey, Replayed]]:
        """The snapshots that end before the first link that failed, as soon as they are judged."""
        links = replay_links(
            self._how.store,
            self._links(chain),
            self._repository,
            observer=self._how.observer,
            cancel=self._cancel,
        )
        for key in chain:
            started = time.monotonic()
            link = self._next(links, key)
            if link is None:
                return
            self._check_held(link)
            del link  # its ledger may be large
            same: dict[RefsRecord, _Judged] = {}  # an unchanged snapshot's refs are its parent's
            for outline in self._ending.get(key, []):
                if outline.refs not in same:
                    same[outline.refs] = self._judge(outline)
                judged = same[outline.refs]
                problems = (*known(self._evidence, outline), *judged.at(outline.key.folder))
                yield outline.key, Replayed(problems, judged.fsck, time.monotonic() - started)
                started = time.monotonic()

    def _links(self, chain: Sequence[RunKey]) -> Iterator[Link]:
        """The links of a chain, up to the first that is known to be damaged."""
        for key in chain:
            sealed, outline = self._evidence.manifest(key), self._evidence.outline(key)
            ledger = self._evidence.ledger(outline) if outline else None
            if sealed is None or ledger is None or self._evidence.problems(key):
                return
            yield Link(sealed.manifest, ledger)

    def _next(self, links: Iterator[Link], key: RunKey) -> Link | None:
        """The next link once it is replayed, or None if it cannot be; the evidence has the problem."""
        try:
            return next(links, None)
        except Unusable as error:
            self._evidence.note(key, Problem.of(error, key.folder))
            return None

    def _check_held(self, link: Link) -> None:
        try:
            self._repository.check_held(link.ledger)
        except NotWhole as error:
            self._evidence.note(link.manifest.key, _sent(link.manifest.key.folder, error.message))

    def _judge(self, outline: Outline) -> _Judged:
        """What git says of a snapshot's refs in the repository as it is now."""
        ledger, place, repository = self._evidence.ledger(outline), outline.key.folder, self._repository
        if ledger is None:  # an unchanged snapshot's, which no link has
            return _Judged()
        problems: list[Problem] = []
        try:
            repository.check_held(ledger)
        except NotWhole as error:
            problems.append(_sent(place, error.message))
        repository.write_refs(ledger)
        problems += [Problem(place, what) for what in repository.differences(ledger)]
        if wrong := repository.wrongly_peeled(ledger):
            what = f"what the origin listed as peeled is not what the tag holds: {named(wrong)}"
            problems.append(Problem(place, what, sent=True))
        return _Judged(tuple(problems), repository.fsck() if self._how.fsck else None)


class _Judged(NamedTuple):
    """What is wrong with a snapshot's refs, and what `git fsck` finds."""

    problems: tuple[Problem, ...] = ()
    fsck: list[str] | None = None

    def at(self, folder: str) -> Iterator[Problem]:
        """The problems of another snapshot that has the same refs."""
        return (replace(problem, where=folder) for problem in self.problems)


def _sent(folder: str, what: str) -> Problem:
    """A problem of what the origin sent: the digests of all that it rests on have been compared before."""
    return Problem.of(sent_damaged(folder, what), folder)


def known(evidence: Evidence, outline: Outline) -> list[Problem]:
    """What is wrong with the runs of a snapshot's chain, as far as it is known."""
    return [problem for key in outline.chain for problem in evidence.problems(key)]


def sharing(outlines: Iterable[Outline]) -> list[list[Outline]]:
    """Snapshots in groups, each with one chain that all of its chains begin.

    Two runs at once, or a clock set backwards, make two chains of one base: each is replayed by itself.
    """
    groups: list[list[Outline]] = []
    beginnings: dict[tuple[RunKey, ...], list[Outline]] = {}
    for outline in sorted(outlines, key=lambda outline: len(outline.chain), reverse=True):
        chain = outline.chain
        if chain not in beginnings:
            group: list[Outline] = []
            groups.append(group)
            for length in range(1, len(chain) + 1):
                beginnings.setdefault(chain[:length], group)
        beginnings[chain].append(outline)
    return groups
