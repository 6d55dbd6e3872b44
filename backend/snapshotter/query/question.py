"""One question to a store: SQL in, rows out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snapshotter.archive.catalog import Catalog
from snapshotter.base.cancel import Cancel
from snapshotter.base.observer import Observer
from snapshotter.query import cache
from snapshotter.query.archive_views import ArchiveViews
from snapshotter.query.engine import ROWS, Engine, EngineFailed, Late
from snapshotter.query.fleet_views import FleetViews
from snapshotter.query.left_out import LeftOut
from snapshotter.query.query_result import QueryResult
from snapshotter.query.refusals import too_large, too_slow, unreadable
from snapshotter.query.running import Running
from snapshotter.query.scan_views import ScanViews
from snapshotter.query.snapshot_choice import ChosenSnapshots, choose
from snapshotter.query.sources import Sources
from snapshotter.query.terms import QueryOptions
from snapshotter.query.views import FLEET_RUNS, SCANNED
from snapshotter.store.objects import Store


@contextmanager
def ask(
    store: Store,
    sql: str,
    options: QueryOptions,
    *,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
) -> Iterator[QueryResult]:
    """Ask `sql` of the snapshots that the options mean. Only what it names is read.

    Raises UsageError (code `sql`) for SQL that cannot be run, Unavailable (codes `query-time`, `query-memory`,
    `query-data`, and the store's own), and Interrupted when cancelled.
    A snapshot or table that is missing, damaged or not what it says is left out, and is in `QueryResult.left_out`.
    """
    observer, cancel = observer or Observer(), cancel or Cancel()
    with Engine(options.memory, cancel) as engine:
        try:
            select = engine.read(sql, seconds=options.seconds)
        except Late:
            raise too_slow(options.seconds) from None
        with cache.opened(options.cache, options.cache_bytes) as kept:
            sources = Sources(Catalog(store), kept, observer, cancel)
            prepared = _prepare(engine, sources, options, select.views)
            scans = prepared.scans
            engine.lock([*scans.files, *prepared.files, *([options.output] if options.output else [])])
            running = Running(engine, options.seconds, select.views, scans.unchecked)
            columns = _describe(running, select.sql)
            count, left_out = prepared.snapshots, prepared.left_out
            yield QueryResult(columns, count, left_out, running, select.sql, scans.partials)


@dataclass(frozen=True)
class _Prepared:
    """What the views of an engine are made of."""

    snapshots: int
    scans: ScanViews
    files: set[Path]
    left_out: list[LeftOut]


def _prepare(engine: Engine, sources: Sources, options: QueryOptions, views: frozenset[str]) -> _Prepared:
    """Make the views that one SELECT names, and note what could not be among their rows."""
    chosen = ChosenSnapshots([], [])
    if views != {FLEET_RUNS}:  # which are about no snapshot
        chosen = choose(sources, options, scans=not views.isdisjoint(("snapshots", *SCANNED)))
    archive, scans = ArchiveViews(engine, sources), ScanViews(engine, sources, options.whole)
    fleets = FleetViews(engine, sources)
    try:
        for view in sorted(views):
            if view in SCANNED:
                scans.make(view, chosen.snapshots)
            elif view == FLEET_RUNS:
                fleets.make(options)
            else:
                archive.make(view, chosen.snapshots)
    except EngineFailed as error:
        if error.kind == "memory":
            raise too_large(options.memory) from error
        raise unreadable("a table", str(error)) from error
    except Late:  # by the processor's time alone: a table of a store may be made to take for ever
        raise too_slow(options.seconds) from None
    left_out = chosen.left_out + archive.left_out + scans.left_out + fleets.left_out
    return _Prepared(len(chosen.snapshots), scans, fleets.files, left_out)


def _describe(running: Running, sql: str) -> list[tuple[str, str]]:
    """The name and the DuckDB type of each column."""
    running.execute(f"DESCRIBE SELECT * FROM (\n{sql}\n) AS t")  # noqa: S608 - guarded
    columns: list[tuple[str, str]] = []
    while rows := running.fetch(ROWS):
        columns += [(str(name), str(kind)) for name, kind, *_ in rows]
    return columns
