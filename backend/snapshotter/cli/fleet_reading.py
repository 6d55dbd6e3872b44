"""What verbs read of fleets' results, in room of their own that is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.fleet.last_result import ResultReader
    from snapshotter.fleet.standing import Confirmed
    from snapshotter.store.objects import Store


@contextmanager
def reading(session: Session, store: Store) -> Iterator[ResultReader]:
    """A reader of the results in a store."""
    from snapshotter.base.settings import parse_size
    from snapshotter.fleet.last_result import ResultReader
    from snapshotter.fleet.recording import workspace

    segment = parse_size(session.settings["SNAPSHOTTER_SEGMENT_SIZE"])
    with workspace(session.temp, segment, session.cancel) as rows:
        yield ResultReader(store, rows.tables, session.observer, session.cancel)


def confirmed(session: Session, store: Store, max_age: timedelta, now: datetime) -> Confirmed:
    """Tells of snapshots that are older than `max_age` whether a fleet's run found since that nothing is newer."""
    from snapshotter.fleet.confirmations import confirmed_since

    # A run may take days, and what it found first is as old as its start: no younger run confirms what is too old.
    since = now - min(max_age, timedelta(days=3650)) - timedelta(days=1)
    return confirmed_since(lambda: reading(session, store), since, now)
