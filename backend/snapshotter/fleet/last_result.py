"""The last result of an inventory: what earlier runs found, for the next one and for whoever asks where a fleet stands.

It is the result of the newest run that ended, and over it the checkpoints of those that began since and did not end, or
whose summary is not what was written: what they took stands. Anybody who can write to the store may have written it. So
what does not read is warned of and counts as not there, which costs requests and no snapshot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from snapshotter.archive import fleet_runs
from snapshotter.archive.fleet_runs import AHEAD, ListedFleetRun
from snapshotter.archive.fleet_summary import PartRecord
from snapshotter.archive.fleet_table import ResultRow
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, NewerSchema, Unusable
from snapshotter.base.observer import Observer
from snapshotter.base.text import plural
from snapshotter.fleet import stored_summary
from snapshotter.fleet.ledger import Head
from snapshotter.fleet.outcome import LedgerRow
from snapshotter.fleet.result_rows import ledger_row
from snapshotter.fleet.result_tables import MAX_PART, ResultTables
from snapshotter.fleet.row_store import RowStore
from snapshotter.fleet.stored_summary import StoredSummary
from snapshotter.store.objects import Store

_UNENDED: Final = 50  # runs that did not end, or whose summary is damaged, of which the checkpoints are read
_DAMAGED: Final = 10  # summaries of one inventory that are passed over, to the one before


@dataclass(frozen=True)
class LastResult:
    """What earlier runs of an inventory found; a Ledger. `summary` is that of the newest run that ended, None without
    one that can be read; `unended` are the runs since then that did not, the newest first."""

    store: RowStore
    summary: StoredSummary | None = None
    unended: Sequence[ListedFleetRun] = field(default=())

    def heads(self, repos: Sequence[str]) -> Sequence[Head | None]:
        """See Ledger."""
        return self.store.heads(repos)

    def rows(self, repos: Sequence[str]) -> Sequence[LedgerRow | None]:
        """See Ledger."""
        return [ledger_row(row) if row else None for row in self.store.get(repos)]


@dataclass(frozen=True)
class ResultReader:
    """Reads the results of fleets in one store. `tables` makes rows of what lies there."""

    store: Store
    tables: ResultTables
    observer: Observer = field(default_factory=Observer)
    cancel: Cancel = field(default_factory=Cancel)

    def load(self, inventory: str, rows: RowStore, now: datetime) -> LastResult:
        """Read the last result of an inventory into `rows`, which is empty.

        Raises as the store does when it cannot be listed or asked at all.
        """
        since: list[ListedFleetRun] = []
        summary: StoredSummary | None = None
        for run in fleet_runs.newest_first(self.store, now):
            self.cancel.check()
            if run.inventory != inventory:
                continue
            if run.has_ended and (summary := self._ended(run, rows, now)):
                break
            since.append(run)
            if sum(each.has_ended for each in since) >= _DAMAGED:
                break
        for run in reversed(since[:_UNENDED]):
            rows.put(self.checkpoints(run, now))
        return LastResult(rows, summary, [run for run in since if not run.has_ended])

    def newest_of_each(self, since: datetime, now: datetime) -> Iterator[ResultRow]:
        """The rows of the newest run of each inventory that started since then and has ended. Raises as `load`."""
        read: set[str | None] = set()
        damaged: Counter[str | None] = Counter()
        for run in reversed(fleet_runs.every_run(self.store, since=since)):
            known = run.inventory in read or damaged[run.inventory] >= _DAMAGED
            if known or not run.has_ended or run.key.run_id.started_at > now + AHEAD:
                continue
            if summary := self._summary(run):
                read.add(run.inventory)
                yield from self.results(run, summary.parts, now)
            else:
                damaged[run.inventory] += 1

    def checkpoints(self, run: ListedFleetRun, now: datetime) -> Iterator[ResultRow]:
        """The rows of a run's checkpoints, oldest first."""
        for name in run.checkpoints.values():
            yield from self._rows(run, name, None, now)

    def results(self, run: ListedFleetRun, parts: Sequence[PartRecord], now: datetime) -> Iterator[ResultRow]:
        """The rows of a run that ended; `parts` are its summary's."""
        for part in parts:
            yield from self._rows(run, part.name, part, now)

    def _ended(self, run: ListedFleetRun, rows: RowStore, now: datetime) -> StoredSummary | None:
        summary = self._summary(run)
        if summary is not None:
            rows.put(self.results(run, summary.parts, now))
        return summary

    def _summary(self, run: ListedFleetRun) -> StoredSummary | None:
        """The summary of a run that ended. Returns None, and warns, if it is not what was written."""
        try:
            summary = stored_summary.read(self.store, run.key)
        except (Unusable, AccessDenied, NewerSchema) as error:
            self.observer.warn(f"the last result of the fleet is not used: {error.message}")
            return None
        if summary.inventory != run.inventory:
            self.observer.warn(
                f"the last result of the fleet is not used: {run.key.folder} is another inventory's"
            )
            return None
        return summary

    def _rows(
        self, run: ListedFleetRun, name: str, part: PartRecord | None, now: datetime
    ) -> Iterator[ResultRow]:
        """The rows of one object that a listing showed; what is wrong with it is warned of, and costs its rows."""
        self.cancel.check()
        key = run.key.key(name)
        odd = 0
        try:
            for row in self.tables.read(self._bytes(run, name, part), key):
                if row is None or _is_ahead(row, now):
                    odd += 1
                else:
                    yield row
        except (Unusable, AccessDenied) as error:
            self.observer.warn(f"a part of the last result of the fleet is not used: {error.message}")
        if odd:
            self.observer.warn(f"{key}: {plural(odd, 'row')} that no run writes, passed over")

    def _bytes(self, run: ListedFleetRun, name: str, part: PartRecord | None) -> bytes:
        key = run.key.key(name)
        if name not in run.files:
            raise Unusable(f"{key}: it is missing")
        data = self.store.get(key, limit=MAX_PART)
        if part is not None and ResultTables.digest(data) != part.sha256:
            raise Unusable(f"{key}: its bytes are not what was written (SHA-256 differs)")
        return data


def _is_ahead(row: ResultRow, now: datetime) -> bool:
    """Whether a row is from the future: its repository would count as fresh until that has come."""
    bound = now + AHEAD
    return any(
        at is not None and at > bound for at in (row.finished_at, row.good_at, row.receipt_at, row.base_at)
    )
