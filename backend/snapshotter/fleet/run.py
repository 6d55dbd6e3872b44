"""A job's run: a snapshot of each origin, some at a time, and the error that the job ends with.

An origin that fails never keeps the others from their snapshots.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
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
from snapshotter.base.kept_threads import crew
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural, printable
from snapshotter.base.unexpected import as_error
from snapshotter.base.urls import redact
from snapshotter.capture.plan import Plan
from snapshotter.capture.wiki import TakenEach, take_each
from snapshotter.fleet.at_once import IN_TURN, AtOnce, SharedPlan
from snapshotter.fleet.document import OriginResult
from snapshotter.git.origin import Origin
from snapshotter.git.origin_parsing import MAX_ORIGIN, parse
from snapshotter.store.objects import Store

_BY_CODE = {kind.exit_code: kind for kind in (Finding, UsageError, PartialFailure, Unavailable, AccessDenied)}
_SEE_EACH = "each origin's own error says why"

Gate = Callable[[Sealed], SnapshotterError | None]
"""Judges a snapshot that was taken: the error that its origin ends with, or None. The snapshot stands either way."""


@dataclass(frozen=True)
class Round:
    """Snapshots of any number of origins, some of them `at_once`, into one store and by one plan.

    `told` gives whom to tell of an origin, by its name as `shown` makes it; it hears from one thread at a time.
    """

    store: Store
    plan: Plan
    told: Callable[[str], Observer]
    cancel: Cancel
    gate: Gate = lambda _: None
    at_once: AtOnce = IN_TURN

    def take_each(self, origins: Sequence[str]) -> Iterator[tuple[int, OriginResult]]:
        """Take a snapshot of each origin. Yields its index and its result, in which the gate's judgement is, as soon as
        that is there; they are begun in their order.

        Never raises, unless the system lets no thread be: after a cancellation, the origins whose turn had not come
        have its error.
        """
        plan, known = SharedPlan(self.plan, self.at_once, self.cancel), _parsed(origins)
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[int, OriginResult] | BaseException] = queue.SimpleQueue()
        for index in range(len(known)):
            waiting.put(index)

        def work() -> None:
            try:
                while True:
                    index = waiting.get_nowait()
                    done.put((index, self._result(origins[index], known[index], plan)))
            except queue.Empty:
                pass
            except BaseException as fault:  # noqa: BLE001 - carried to the thread that waits
                done.put(fault)

        # A pool would lose the origin for which the system refuses it a thread.
        threads = crew(work, min(self.at_once.origins, len(known)))
        try:
            for _ in known:
                came = done.get()
                if isinstance(came, BaseException):
                    raise came
                yield came
        finally:
            wait(threads)

    def _result(self, text: str, origin: Origin | SnapshotterError, plan: SharedPlan) -> OriginResult:
        watch, began = _LastStage(self.told(shown(text))), time.monotonic()
        try:
            taken = self._take(origin, plan, watch)
        except Exception as error:  # noqa: BLE001 - one origin's trouble is that origin's result
            known = with_identity(as_error(error))
            return OriginResult(shown(text), watch.stage_name, None, known, time.monotonic() - began)
        sealed, seconds = taken.sealed, time.monotonic() - began
        return OriginResult(sealed.manifest.origin, "done", sealed, self._judged(taken), seconds)

    def _judged(self, taken: TakenEach) -> SnapshotterError | None:
        try:
            return self.gate(taken.sealed) or (taken.wiki and self.gate(taken.wiki)) or taken.ending
        except Exception as error:  # noqa: BLE001 - the snapshot stands, and the others are taken
            return with_identity(as_error(error))

    def _take(self, origin: Origin | SnapshotterError, shared: SharedPlan, observer: Observer) -> TakenEach:
        self.cancel.check()  # first: after a cancellation nobody is asked anything
        if isinstance(origin, SnapshotterError):
            raise origin
        plan = shared.of(origin)
        # Several at once fill one another's waits, and a host's connections are theirs together.
        connect = plan.connect if self.at_once.origins > 1 else plan.connect.ahead
        with closing(connect(origin, self.cancel)) as transport:
            return take_each(origin, transport, self.store, plan, observer=observer, cancel=self.cancel)


def _parsed(origins: Sequence[str]) -> list[Origin | SnapshotterError]:
    """Each origin, or why it is none: not to be understood, or named before."""
    known: list[Origin | SnapshotterError] = []
    seen: dict[str, str] = {}  # the URLs of the origins before, by canonical origin
    for text in origins:
        try:
            origin = parse(text)
        except Exception as error:  # noqa: BLE001 - one origin's trouble is that origin's result
            known.append(as_error(error))
            continue
        if before := seen.get(origin.canonical):
            known.append(_named_twice(before))
            continue
        seen[origin.canonical] = origin.url
        known.append(origin)
    return known


def _named_twice(before: str) -> UsageError:
    message = f"the job names this origin twice; the first time as {before}"
    return UsageError(message, code="job", hint="name it once")


def shown(origin: str) -> str:
    """An origin as the job wrote it, made safe to show: without credentials, in one line."""
    return printable(redact(origin))[:MAX_ORIGIN]


def not_done(origin: str, error: SnapshotterError, stage: str) -> OriginResult:
    """The result of an origin whose turn never came, or never ended."""
    return OriginResult(shown(origin), stage, error=error)


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
