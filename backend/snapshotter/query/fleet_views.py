"""The view of what became of each repository in the runs of fleets, made of those runs' results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from snapshotter.archive import fleet_runs, fleet_summary
from snapshotter.archive.every_repo import raise_if_all_denied
from snapshotter.archive.fleet_runs import ListedFleetRun
from snapshotter.archive.fleet_summary import PartRecord, SummaryHead
from snapshotter.base.errors import AccessDenied, NewerSchema, SnapshotterError, Unusable
from snapshotter.query import schema
from snapshotter.query.archive_views import create, insert
from snapshotter.query.cache import has_glob
from snapshotter.query.engine import Engine
from snapshotter.query.left_out import LeftOut
from snapshotter.query.sources import Sources
from snapshotter.query.sql_text import literal
from snapshotter.query.terms import QueryOptions
from snapshotter.query.views import FLEET_RUNS, VIEWS, ViewColumn
from snapshotter.store.backend import READS_AT_ONCE

_MAX_PART: Final = 64 * 1024 * 1024  # bytes: twice what a run writes
_RUNS: Final = f"_scans_{FLEET_RUNS}"  # an inner table, by its name
_OF_A_RUN: Final = (
    ViewColumn("inventory", "VARCHAR", ""),
    ViewColumn("fleet_run_id", "VARCHAR", ""),
    ViewColumn("fleet_started_at", "TIMESTAMP", ""),
    ViewColumn("file", "VARCHAR", ""),
)


class _Run(NamedTuple):
    """A run that ended, and where its results are."""

    listed: ListedFleetRun
    head: SummaryHead


class FleetViews:
    """Makes the view of an engine over the results of fleets' runs, and knows the files that it reads."""

    def __init__(self, engine: Engine, sources: Sources) -> None:
        self._engine, self._sources = engine, sources
        self._store = sources.catalog.store
        self._known = schema.KnownSchemas(sources.cache)
        self.files: set[Path] = set()
        self.left_out: list[LeftOut] = []

    def make(self, options: QueryOptions) -> None:
        """Make the view: of each inventory the newest run that ended, by `at` if there is one; with `history` all."""
        wanted = [(run, part) for run in self._runs(options) for part in run.head.parts]
        places = self._brought(wanted)
        fitting = self._fitting(places)
        create(self._engine, _RUNS, _OF_A_RUN)
        rows = (
            {
                "inventory": run.head.inventory,
                "fleet_run_id": run.head.run_id,
                "fleet_started_at": run.listed.key.run_id.started_at,
                "file": str(path),
            }
            for (run, _), path in places
            if path in fitting
        )
        insert(self._engine, _RUNS, _OF_A_RUN, rows, self._sources.cancel)
        self._engine.execute(_view(fitting, options.repos))
        self.files |= fitting.keys()

    def _runs(self, options: QueryOptions) -> list[_Run]:
        """The runs that the options mean, each with the head of its summary; what does not read is left out."""
        ended = [run for run in fleet_runs.every_run(self._store) if run.has_ended and run.inventory]
        if options.at is not None:
            ended = [run for run in ended if run.key.run_id.started_at <= options.at]
        if not options.history:
            ended = list(
                {run.inventory: run for run in ended}.values()
            )  # they are in order: the newest stays
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            heads = list(pool.map(self._head, ended))
        raise_if_all_denied(heads)
        runs: list[_Run] = []
        for run, head in zip(ended, heads, strict=True):
            if isinstance(head, SnapshotterError):
                self.left_out.append(LeftOut(run.key, FLEET_RUNS, head.message))
            elif head.inventory != run.inventory:
                self.left_out.append(LeftOut(run.key, FLEET_RUNS, "its summary is another inventory's"))
            else:
                runs.append(_Run(run, head))
        return runs

    def _head(self, run: ListedFleetRun) -> SummaryHead | SnapshotterError:
        self._sources.cancel.check()
        try:
            return fleet_summary.read(self._store, run.key)[0]
        except (Unusable, NewerSchema, AccessDenied) as error:
            return error

    def _brought(
        self, wanted: Sequence[tuple[_Run, PartRecord]]
    ) -> list[tuple[tuple[_Run, PartRecord], Path]]:
        """The parts with the files that hold them; one that is missing or damaged is left out."""
        self._sources.observer.stage(f"reading {FLEET_RUNS}", sum(part.bytes for _, part in wanted))
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            answers = list(pool.map(lambda each: self._bring(*each), wanted))
        raise_if_all_denied(answers)
        places = []
        for each, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, SnapshotterError):
                self.left_out.append(LeftOut(each[0].listed.key, FLEET_RUNS, answer.message))
            else:
                places.append((each, answer))
        return places

    def _bring(self, run: _Run, part: PartRecord) -> Path | SnapshotterError:
        self._sources.cancel.check()
        key, cache = run.listed.key.key(part.name), self._sources.cache
        try:
            if part.name not in run.listed.files:
                return Unusable(f"{key}: it is missing")
            if kept := cache.find(part.sha256):
                return kept
            data = self._store.get(key, limit=_MAX_PART)
            if hashlib.sha256(data).hexdigest() != part.sha256:
                return Unusable(f"{key}: its bytes are not what was written (SHA-256 differs)")
            folder = self._store.place.folder
            if folder is not None and not has_glob(folder / key):
                return folder / key
            return cache.keep(part.sha256, data)
        except (Unusable, AccessDenied) as error:
            return error
        finally:
            self._sources.observer.advance(part.bytes)

    def _fitting(self, places: Iterable[tuple[tuple[_Run, PartRecord], Path]]) -> dict[Path, schema.Schema]:
        """The files whose columns are what the view's should be, with their schemas."""
        of = {path: each for each, path in places}
        schemas = self._known.read(self._engine, {path: part.sha256 for path, (_, part) in of.items()})
        fitting: dict[Path, schema.Schema] = {}
        for path, columns in schemas.items():
            why = (
                columns.why if isinstance(columns, schema.NotParquet) else schema.misfit(FLEET_RUNS, columns)
            )
            if why:
                self.left_out.append(LeftOut(of[path][0].listed.key, FLEET_RUNS, why))
            elif not isinstance(columns, schema.NotParquet):
                fitting[path] = columns
        return fitting


def _view(files: dict[Path, schema.Schema], globs: Sequence[str]) -> str:
    """The SQL that makes the view, of the repos that the globs match."""
    columns = [f'{_SOURCES.get(column.name, "p")}."{column.name}"' for column in VIEWS[FLEET_RUNS]]
    # The start of the run is in its id: of a row that anybody wrote, it may be none.
    columns[2] = "try_strptime(left(p.run_id, 16), '%Y%m%dT%H%M%SZ') AS taken_at"
    named = [glob.removeprefix("https://").replace("/", "__") for glob in globs]  # as people paste them
    where = " OR ".join(f"p.repo GLOB {literal(glob)}" for glob in named) or "true"
    return (
        f"CREATE VIEW {FLEET_RUNS} AS SELECT {', '.join(columns)} "  # noqa: S608 - names are ours, texts quoted
        f"FROM {schema.rows(FLEET_RUNS, files)} AS p "
        f"JOIN {_RUNS} AS s ON p.{schema.place_of(FLEET_RUNS)} = s.file WHERE {where}"
    )


_SOURCES: Final = {column.name: "s" for column in _OF_A_RUN}
