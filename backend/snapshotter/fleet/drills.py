"""Restore drills: of a fleet's repositories a sample is proven, and in turn each of them.

Whichever was proven longest ago comes first, and what never was before all others: so drills at a steady pace prove
every repository within the time that one round of them takes.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.every_repo import Unread, of_each
from snapshotter.archive.layout import RunKey
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.base.text import human_span, noun, plural, printable
from snapshotter.fleet.status import FleetStatus, RepoStatus
from snapshotter.recover.many import Verification
from snapshotter.recover.verify import VerifyOptions, verify

_SAMPLE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(%?)")


@dataclass(frozen=True)
class Sample:
    """How much of a fleet one drill proves: a `share` from 0 to 1, or a `count` of repositories."""

    share: float | None = None
    count: int | None = None

    @classmethod
    def parse(cls, text: str) -> Sample:
        """What ``2%`` or ``50`` means. Raises UsageError for anything else."""
        match = _SAMPLE.fullmatch(text.strip())
        if match and match[2] and 0 < float(match[1]) <= 100:
            return cls(share=float(match[1]) / 100)
        if match and not match[2] and match[1].isdigit() and int(match[1]) > 0:
            return cls(count=int(match[1]))
        raise UsageError(f"not a sample: {printable(text)[:100]}", hint="write it like 2%, or 50 for so many")

    def of(self, total: int) -> int:
        """How many of so many repositories that is, and at least one if there is any."""
        wanted = self.count if self.share is None else math.ceil(self.share * total)
        return min(wanted or 0, total)


@dataclass(frozen=True)
class Drill:
    """What a drill proves: the newest good snapshots of the repositories whose turn it is, of `total` that have one.

    `late` of these will still not have been proven within the time that was asked for.
    """

    chosen: Sequence[RunKey]
    total: int
    late: int
    within: timedelta

    @property
    def warning(self) -> str | None:
        """What to say of a drill that leaves some unproven for too long. Returns None for one that does not."""
        if not self.late:
            return None
        rounds = math.ceil(self.total / max(1, len(self.chosen)))
        pace = human_span(timedelta(seconds=int(self.within.total_seconds() / rounds)))
        return (
            f"{plural(self.late, 'repository', 'repositories')} {noun(self.late, 'was', 'were')} not proven within "
            f"{human_span(self.within)}; by samples of this size, all are if there is a drill every {pace}"
        )


def choose(status: FleetStatus, sample: Sample, within: timedelta) -> Drill:
    """Whose turn it is. Raises Unavailable (code `no-snapshot`) if no repository has a good snapshot."""
    able = [each for each in status.repos if each.place is not None and each.place.good is not None]
    if not able:
        raise Unavailable(
            f"no repository of {status.name} has a good snapshot that could be proven",
            code="no-snapshot",
            hint="`snapshotter fleet status` says what there is",
        )
    able.sort(key=lambda each: _turn(each, status.now))
    count = sample.of(len(able))
    late = sum(_is_late(each, status.now, within) for each in able[count:])
    chosen = [
        each.place.good for each in able[:count] if each.place is not None and each.place.good is not None
    ]
    return Drill(chosen, len(able), late, within)


def carry_out(
    catalog: Catalog,
    drill: Drill,
    status: FleetStatus,
    options: VerifyOptions,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
) -> Verification:
    """Prove what a drill has chosen, and leave receipts. What the status could not look up is unread here, too.

    Raises Unavailable or AccessDenied if nothing could be checked.
    """
    keys = {key.repo: key for key in drill.chosen}
    # One at a time: each replays a chain with git, which takes the disk, and the processors, of the whole machine.
    found = of_each(
        keys,
        lambda repo: verify(
            catalog, repo, [catalog.folder(keys[repo])], options, observer=observer, cancel=cancel
        ),
        at_once=1,
    )
    verdicts = [verdict for verdicts in found.results.values() for verdict in verdicts]
    unknown = [Unread(each.wanted.repo, each.error) for each in status.repos if each.error is not None]
    return Verification(verdicts, [*found.unread, *unknown])


def _turn(each: RepoStatus, now: datetime) -> tuple[float, str]:
    """What orders repositories by whose turn it is: the last proof; among those of one moment, as those that never were
    proven, another order each day, so that one that cannot be checked does not hold up the others."""
    proven = each.place.proven_at if each.place else None
    of_the_day = hashlib.sha256(f"{now:%Y-%m-%d} {each.wanted.repo}".encode()).hexdigest()
    return (proven.timestamp() if proven else 0.0), of_the_day


def _is_late(each: RepoStatus, now: datetime, within: timedelta) -> bool:
    proven = each.place.proven_at if each.place else None
    return proven is None or now - proven > within
