"""Where workers find the scheduler of a run that is under way: its address, as an object in the run's folder.

Every role can write to the store, so an address in it is a stranger's word: it is followed by TLS only, and whoever
answers there must have a certificate of the cluster's own CA. A run that was killed leaves its address behind; nobody
answers there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from snapshotter.archive import fleet_runs
from snapshotter.archive.layout import RunId
from snapshotter.base.errors import AccessDenied, Unusable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.fleet.meeting_place import Certificates, MeetingPlace, parse
from snapshotter.store.objects import Store

_NAME: Final = re.compile(r"scheduler\.(?P<id>[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8})\.json\Z")
_LONGEST: Final = 1000  # bytes
_MOST: Final = 20  # schedulers that a worker considers


class _Document(msgspec.Struct):
    schema_version: int
    address: str


_DECODER: Final = msgspec.json.Decoder(_Document)


def announce(store: Store, run_id: RunId, address: str, now: datetime) -> None:
    """Tell workers that the scheduler of a run is at `address`, from now on. Raises as `Store.put_new` does."""
    key = fleet_runs.run_key(run_id).key(f"scheduler.{RunId.new(now)}.json")
    data = msgspec.json.encode(_Document(schema_version=1, address=address))
    store.put_new(key, data, content_type="application/json")


def announced(
    store: Store, certificates: Certificates | None, now: datetime, observer: Observer
) -> Sequence[MeetingPlace]:
    """The schedulers of runs that have not ended, as far as the last week's listing tells; the newest first.

    Warns of what cannot be meant. Raises as `Store.list` does.
    """
    names = [
        (match["id"], run.key.key(name))
        for run in fleet_runs.every_run(store, since=now - fleet_runs.RECENT)
        if not run.has_ended
        for name in run.files
        if (match := _NAME.match(name)) and RunId.parse(match["id"])
    ]
    found: list[MeetingPlace] = []
    for _, key in sorted(names, reverse=True)[:_MOST]:
        try:
            address = _DECODER.decode(store.get(key, limit=_LONGEST)).address
            place = parse(address, certificates)
        except (Unusable, UsageError, AccessDenied, msgspec.DecodeError):
            observer.warn(f"no address of a scheduler is in {key}")
            continue
        if place.scheme == "tls" and place not in found:
            found.append(place)
    return found
