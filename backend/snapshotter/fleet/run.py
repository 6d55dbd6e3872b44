"""A job's run: a snapshot of one origin after the other, and the error that the job ends with.

An origin that fails never keeps the others from their snapshots.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from snapshotter.archive.sealed import Sealed
from snapshotter.aws.identity import with_identity
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import (
    AccessDenied,
    Finding,
    Interrupted,
    OutOfTime,
    PartialFailure,
    SnapshotterError,
    Unavailable,
    UsageError,
)
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural, printable
from snapshotter.base.unexpected import as_error
from snapshotter.base.urls import redact
from snapshotter.capture.plan import Plan
from snapshotter.capture.wiki import TakenEach, take_each
from snapshotter.fleet.document import OriginResult
from snapshotter.git.origin_parsing import MAX_ORIGIN, parse
from snapshotter.store.objects import Store

_BY_CODE = {kind.exit_code: kind for kind in (Finding, UsageError, PartialFailure, Unavailable, AccessDenied)}
_SEE_EACH = "each origin's own error says why"

Gate = Callable[[Sealed], SnapshotterError | None]
"""Judges a snapshot that was taken: the error that its origin ends with, or None. The snapshot stands either way."""


@dataclass(frozen=True)
class Round:
    """Snapshots of any number of origins, taken in turn, into one store and by one plan."""

    store: Store
    plan: Plan
    observer: Observer
    cancel: Cancel
    gate: Gate = lambda _: None

    def take_each(self, origins: Sequence[str]) -> Iterator[OriginResult]:
        """Take a snapshot of each origin, and yield its result, in which the gate's judgement is.

        Never raises: after a cancellation, the origins whose turn had not come have its error.
        """
        seen: dict[str, str] = {}
        for text in origins:
            watch = _LastStage(self.observer)
            began = time.monotonic()
            try:
                taken = self._take(text, seen, watch)
            except Exception as error:  # noqa: BLE001 - one origin's trouble is that origin's result
                known = with_identity(as_error(error))
                yield OriginResult(shown(text), watch.stage_name, None, known, time.monotonic() - began)
            else:
                sealed, seconds = taken.sealed, time.monotonic() - began
                tripped = self.gate(sealed) or (taken.wiki and self.gate(taken.wiki)) or taken.ending
                yield OriginResult(sealed.manifest.origin, "done", sealed, tripped, seconds)

    def _take(self, text: str, seen: dict[str, str], observer: Observer) -> TakenEach:
        """Take one snapshot. `seen` holds the URLs of the origins before it, by canonical origin."""
        self.cancel.check()  # first: after a cancellation nobody is asked anything
        origin = parse(text)
        if before := seen.get(origin.canonical):
            raise UsageError(
                f"the job names this origin twice; the first time as {before}",
                code="job",
                hint="name it once",
            )
        seen[origin.canonical] = origin.url
        with closing(self.plan.connect(origin, self.cancel)) as transport:
            return take_each(origin, transport, self.store, self.plan, observer=observer, cancel=self.cancel)


def shown(origin: str) -> str:
    """An origin as the job wrote it, made safe to show: without credentials, in one line."""
    return printable(redact(origin))[:MAX_ORIGIN]


def not_done(origins: Sequence[str], error: SnapshotterError, stage: str) -> list[OriginResult]:
    """The results of origins whose turn never came."""
    return [OriginResult(shown(text), stage, error=error) for text in origins]


def verdict(results: Sequence[OriginResult]) -> SnapshotterError | None:
    """The error that the whole job ends with; None if every snapshot was taken and no gate tripped.

    It is the signal's if there was one, else the error of the only origin, else one that counts the failures.
    """
    failed = [result.error for result in results if result.error is not None and result.sealed is None]
    if not failed:
        return _tripped([result.error for result in results if result.error is not None])
    for error in failed:
        if isinstance(error, Interrupted) and not isinstance(error, OutOfTime):
            return error
    if len(results) == 1:
        return failed[0]
    message = f"{len(failed)} of {plural(len(results), 'snapshot')} failed"
    if len(failed) < len(results):
        return PartialFailure(message, hint=_SEE_EACH)
    # If all failed in one way, the job ends with its exit code; if in several, with that of "could not".
    alike = len({error.exit_code for error in failed}) == 1
    ending = _BY_CODE[failed[0].exit_code] if alike else Unavailable
    return ending(
        message, hint=failed[0].hint or _SEE_EACH, code=failed[0].code, details=(failed[0].message,)
    )


def _tripped(errors: Sequence[SnapshotterError]) -> SnapshotterError | None:
    """The error of a job whose snapshots were all taken: a finding if a gate has one, else that one could not judge, or
    that wikis were not taken."""
    if len(errors) <= 1:
        return next(iter(errors), None)
    if all(isinstance(error, PartialFailure) for error in errors):
        return PartialFailure(f"the wikis of {plural(len(errors), 'origin')} were not taken", hint=_SEE_EACH)
    ending = Finding if any(isinstance(error, Finding) for error in errors) else Unavailable
    return ending(
        f"{plural(len(errors), 'origin')} did not pass the gate", code=errors[0].code, hint=_SEE_EACH
    )


class _LastStage(Observer):
    """Passes on what it is told, and remembers the stage for a result that ends in an error."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.stage_name = "reading the origin"

    def stage(self, what: str, total: int | None = None) -> None:
        """See Observer."""
        self.stage_name = what
        self._observer.stage(what, total)

    def advance(self, count: int) -> None:
        """See Observer."""
        self._observer.advance(count)

    def warn(self, what: str) -> None:
        """See Observer."""
        self._observer.warn(what)
