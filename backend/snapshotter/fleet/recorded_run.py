"""A fleet's run from the last result to its own: what is known is read, what is done is kept, results are written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from snapshotter.archive.layout import RunId
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.base.kept_threads import beside
from snapshotter.base.observer import Observer
from snapshotter.base.settings import Settings, parse_size, parse_span
from snapshotter.base.text import plural
from snapshotter.base.unexpected import as_error
from snapshotter.fleet import scheduler_address
from snapshotter.fleet.dispatch import Desk
from snapshotter.fleet.engines import EngineWish, get_ready, open_engine
from snapshotter.fleet.fleet_run import Fleet, RunWish, ending, unknown_now
from snapshotter.fleet.last_result import LastResult, ResultReader
from snapshotter.fleet.notifier import Notifier
from snapshotter.fleet.outcome import FleetSummary
from snapshotter.fleet.plan import FleetPlan
from snapshotter.fleet.recording import RunRows, StoreRecorder, new_run, workspace
from snapshotter.fleet.roster import Known, Roster
from snapshotter.fleet.telling import RunTelling
from snapshotter.fleet.watch import Watch
from snapshotter.store.objects import Store


@dataclass(frozen=True)
class Planner:
    """Makes the plan of an inventory, whose `name` results are kept under. It is given what the last run knew, if the
    inventory has `sources`: then it tells what was renamed or deleted since."""

    name: str
    sources: bool
    make: Callable[[Roster | None], FleetPlan]


@dataclass(frozen=True)
class RunPlace:
    """Where a run is: its store, the settings, room for its rows (None: the system's folder), and who hears of it.

    `notifier` tells those who are not here: that it starts, and, once its results are stored, how it ended.
    """

    store: Store
    settings: Settings
    temp: Path | None = None
    observer: Observer = field(default_factory=Observer)
    watch: Watch = field(default_factory=Watch)
    cancel: Cancel = field(default_factory=Cancel)
    notifier: Notifier = field(default_factory=Notifier)


def carry_out(
    planner: Planner, wish: RunWish, engine: EngineWish, place: RunPlace, resumed: RunId | None = None
) -> FleetSummary:
    """Make a plan and run it, or go on with the run `resumed`, write the results, and tell of it.

    Raises UsageError for a run that cannot be resumed, and for an engine that cannot be; otherwise as `Fleet.run`.
    """
    try:
        return _carried_out(planner, wish, engine, place, resumed)
    except Interrupted:
        raise  # nothing is asked once it is cancelled: the silence of the heartbeat tells
    except Exception as error:
        place.notifier.failed(as_error(error), place.cancel)
        raise


def _carried_out(
    planner: Planner, wish: RunWish, engine: EngineWish, place: RunPlace, resumed: RunId | None
) -> FleetSummary:
    segment = parse_size(place.settings["SNAPSHOTTER_SEGMENT_SIZE"])
    stale_after = parse_span(place.settings["SNAPSHOTTER_STALE_AFTER"])
    get_ready(engine)
    with workspace(place.temp, segment, place.cancel) as rows, ExitStack() as stack:
        place.observer.stage("reading the last result")
        last, recorder = _known(planner.name, place, rows, resumed)
        plan = planner.make(_roster(last) if planner.sources else None)
        if not resumed:
            recorder.begin()
        if resumed:
            terms = replace(wish.terms, done_since=recorder.started_at)
            wish = replace(wish, terms=terms)
        place.observer.stage(_title(plan, recorder))
        place.notifier.started(place.cancel)
        opened = open_engine(engine, lambda address: _announce(address, recorder, place))
        try:
            summary = Fleet(plan, wish, Desk(opened, last, recorder, place.watch, place.cancel)).run()
        except BaseException:
            opened.shutdown()
            raise
        stack.enter_context(beside(opened.shutdown))  # workers end while the results are written
        summary = structs.replace(summary, left_out=[*summary.left_out, *_still_left_out(plan, last)])
        place.observer.stage("writing the results")
        recorder.end(summary, kept=unknown_now(plan, iter(rows.last)))
        place.watch.stored(lambda: rows.done.not_good_since(summary.finished_at - stale_after))
        telling = RunTelling(place.notifier, place.store, stale_after)
        telling.ended(recorder, rows, summary, ending(summary), place.cancel)
        return summary


def _known(
    name: str, place: RunPlace, rows: RunRows, resumed: RunId | None
) -> tuple[LastResult, StoreRecorder]:
    """The last result, and the record of this run, which is not begun yet unless it is resumed."""
    now = datetime.now(UTC)
    reader = ResultReader(place.store, rows.tables, place.observer, place.cancel)
    if resumed:
        recorder = StoreRecorder(place.store, name, resumed, rows, cancel=place.cancel)
        recorder.resume(reader, now)
        return reader.load(name, rows.last, now), recorder
    last = reader.load(name, rows.last, now)
    return last, StoreRecorder(place.store, name, new_run(now, last), rows, cancel=place.cancel)


def _roster(last: LastResult) -> Roster | None:
    """What the last run knew of what sources list. Returns None if there was none."""
    if last.summary is None:
        return None
    repos = [Known(row.source, row.path, row.id, row.optional) for row in last.store if row.source]
    return Roster(repos, [Known(*each) for each in last.summary.left_out])


def _still_left_out(plan: FleetPlan, last: LastResult) -> list[tuple[str, str, str]]:
    """What the last run knew to be left out, of the sources that gave no list now."""
    silent = {state.title for state in plan.sources if state.error is not None}
    return [each for each in last.summary.left_out if each[0] in silent] if last.summary else []


def _announce(address: str, recorder: StoreRecorder, place: RunPlace) -> None:
    scheduler_address.announce(place.store, RunId(recorder.run_id), address, datetime.now(UTC))
    place.observer.stage(f"workers are expected at {address}")


def _title(plan: FleetPlan, recorder: StoreRecorder) -> str:
    return f"run {recorder.run_id}: {plural(len(plan.entries), 'repository', 'repositories')} of {plan.name}"
