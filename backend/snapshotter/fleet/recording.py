"""The record of a fleet's run while it runs: checkpoints, then its results, and its summary last.

Every object is created under a name that nothing has, and a run's folder is its own: so two runs at once never meet.
What a killed run had recorded is in its checkpoints, and whoever resumes it goes on in its folder.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from snapshotter.archive import fleet_runs, fleet_summary
from snapshotter.archive.canonical import canonical
from snapshotter.archive.fleet_runs import ListedFleetRun
from snapshotter.archive.fleet_summary import PartRecord
from snapshotter.archive.fleet_table import ResultRow
from snapshotter.archive.layout import RunId
from snapshotter.archive.transfer import JSON, RunFolder
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.folders import locked_folder, sweep
from snapshotter.base.text import printable
from snapshotter.fleet import notices, result_rows, stored_summary
from snapshotter.fleet.last_result import LastResult, ResultReader
from snapshotter.fleet.outcome import TAKEN, FleetSummary, RepoOutcome, Verdict
from snapshotter.fleet.result_tables import Part, ResultTables
from snapshotter.fleet.row_store import RowStore
from snapshotter.fleet.stored_summary import StoredSummary
from snapshotter.store.objects import Store

PARQUET: Final = "application/vnd.apache.parquet"
CHECKPOINT_ROWS: Final = 2_000  # outcomes that a kill may lose
CHECKPOINT_SECONDS: Final = 60.0
_PREFIX: Final = "snapshotter-fleet-"
_TRIES: Final = 100  # names for one checkpoint: another process may have resumed the same run


@dataclass(frozen=True)
class RunRows:
    """Where rows are on this machine: those of the `last` result, and those of the run that is `done`."""

    tables: ResultTables
    last: RowStore
    done: RowStore


class StoreRecorder:
    """Keeps the record of a run in a store; a Recorder. For one thread."""

    def __init__(
        self,
        store: Store,
        inventory: str,
        run_id: RunId,
        rows: RunRows,
        *,
        cancel: Cancel | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`begin` or `resume` it first."""
        self._folder = RunFolder(store, fleet_runs.run_key(run_id), "fleet", cancel or Cancel())
        self._inventory, self._rows, self._clock = inventory, rows, clock
        self._listed = ListedFleetRun(self._folder.key)
        self._number = 1
        self._waiting: list[ResultRow] = []
        self._since = clock()

    @property
    def run_id(self) -> str:
        """See Recorder."""
        return self._folder.key.run_id.text

    @property
    def started_at(self) -> datetime:
        """See Recorder."""
        return self._folder.key.run_id.started_at

    def begin(self) -> None:
        """Tell that the run began, and whose it is. Raises as the store does."""
        record = stored_summary.started(self.run_id, self._inventory, self.started_at)
        self._folder.put(fleet_runs.started_name(self._inventory), canonical(record), JSON)

    def resume(self, reader: ResultReader, now: datetime) -> int:
        """Go on with a run that was cut short; returns how many repositories it had recorded.

        Raises UsageError if there is no such run of this inventory, or if it has ended; and as the store does.
        """
        run = fleet_runs.folder(self._folder.store, self._folder.key.run_id)
        if run.inventory != self._inventory:
            raise UsageError(
                f"no run {self.run_id} of {printable(self._inventory)} to resume",
                code="resume",
                hint="the run says its id when it begins; without --resume a run begins anew, and is as safe",
            )
        if run.has_ended:
            raise UsageError(
                f"the run {self.run_id} has ended: there is nothing to resume",
                code="resume",
                hint="begin another, without --resume",
            )
        self._listed, self._number = run, max(run.checkpoints, default=0) + 1
        self._rows.done.put(reader.checkpoints(run, now))
        return len(self._rows.done)

    def taken(self, repos: Sequence[str]) -> Sequence[Verdict | None]:
        """See Recorder."""
        rows = self._rows.done.get(repos)
        return [row.verdict if row and row.verdict in TAKEN else None for row in rows]

    def record(self, outcomes: Sequence[RepoOutcome]) -> None:
        """See Recorder."""
        before = self._rows.last.get([outcome.repo for outcome in outcomes])
        self._waiting += map(result_rows.row, outcomes, before)
        if len(self._waiting) >= CHECKPOINT_ROWS or self._clock() - self._since >= CHECKPOINT_SECONDS:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write what was recorded since the last checkpoint, if that is anything."""
        self._rows.done.put(self._waiting)
        for part in self._rows.tables.parts(self._waiting):
            self._put_checkpoint(part)
        self._waiting.clear()
        self._since = self._clock()

    def finish(self, summary: FleetSummary) -> None:
        """See Recorder."""
        self.end(summary)

    def end(self, summary: FleetSummary, *, kept: Iterable[ResultRow] = ()) -> StoredSummary:
        """Write the results, and the summary last; `kept` are rows of the last result that go on unchanged.

        Raises as the store does; Unavailable (code `exists`) if another process has ended the run meanwhile.
        """
        self._rows.done.put(kept)
        self._rows.done.put(self._waiting)
        self._waiting.clear()
        whole = stored_summary.stored(summary, self._put_parts())
        data = fleet_summary.sealed(whole)
        self._folder.put(fleet_runs.SUMMARY, data, JSON)
        return whole

    def mark_digest(self, at: datetime) -> None:
        """Keep that a digest was sent, for `notices.digest_is_due`. Raises as the store does."""
        self._folder.put(notices.SENT, canonical({"sent_at": at}), JSON)

    def _put_checkpoint(self, part: Part) -> None:
        for _ in range(_TRIES):
            name = fleet_runs.checkpoint_name(self._number)
            self._number += 1
            try:
                self._folder.put(name, part.data, PARQUET)
            except Unavailable as error:
                if error.code != "exists":
                    raise
            else:
                return
        raise Unavailable(
            f"no name is left for a checkpoint of the run {self.run_id}",
            code="exists",
            hint="several processes have resumed the same run; leave it to one of them",
        )

    def _put_parts(self) -> list[PartRecord]:
        """Put the results. A run that was killed while it did may have left some, whose names are taken."""
        there = sum(map(fleet_runs.is_part, self._listed.files))
        records: list[PartRecord] = []
        held: Part | None = None
        for part in self._rows.tables.parts(self._rows.done):
            if held is not None:
                records.append(self._put_part(held, there + len(records), only=False))
            held = part
        if held is not None:
            records.append(self._put_part(held, there + len(records), only=not records and not there))
        return records

    def _put_part(self, part: Part, index: int, *, only: bool) -> PartRecord:
        name = fleet_runs.part_name(index, only=only)
        put = self._folder.put(name, part.data, PARQUET)
        return PartRecord(name=name, bytes=put.bytes, sha256=put.sha256, rows=part.rows)


@contextmanager
def workspace(temp: Path | None, segment_bytes: int, cancel: Cancel) -> Iterator[RunRows]:
    """Room for a run's rows in `temp` (None: the system's folder), gone at the end.

    No object that is made of them is larger than `segment_bytes`. Raises Unavailable (code `disk`) if there is none.
    """
    parent = temp or Path(tempfile.gettempdir())
    sweep(parent, _PREFIX)
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(locked_folder(parent, _PREFIX, cancel=cancel))
        except OSError as error:
            raise Unavailable(
                f"no room for the rows of the fleet in {parent}: {error.strerror}",
                code="disk",
                hint="free space there, or name another folder in SNAPSHOTTER_TEMP",
            ) from error
        tables = stack.enter_context(ResultTables(folder, segment_bytes))
        last, done = (stack.enter_context(RowStore(folder / name)) for name in ("last", "done"))
        yield RunRows(tables, last, done)


def new_run(now: datetime, last: LastResult) -> RunId:
    """The id of a run that starts now, and sorts after the last ones: two may begin in one second."""
    run_id = RunId.new(now.astimezone(UTC))
    if last.summary:
        run_id = run_id.or_after(RunId(last.summary.run_id))
    return run_id.or_after(last.unended[0].key.run_id) if last.unended else run_id
