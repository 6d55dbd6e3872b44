"""The summary of a fleet's run as it is kept: written last, so that a run has ended when it exists."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from snapshotter import __version__
from snapshotter.archive import fleet_summary
from snapshotter.archive.fleet_summary import SCHEMA_VERSION, PartRecord
from snapshotter.archive.layout import RunKey
from snapshotter.base.errors import Damaged
from snapshotter.fleet.outcome import FleetSummary
from snapshotter.store.objects import Store


class StoredSummary(FleetSummary, frozen=True, kw_only=True):
    """A run's summary with what finds its results."""

    schema_version: int
    tool_version: str
    parts: list[PartRecord]
    self_sha256: str = ""


class StartRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a run writes first: whose it is, and since when."""

    schema_version: int
    tool_version: str
    run_id: str
    inventory: str
    started_at: datetime


_SUMMARIES: Final = msgspec.json.Decoder(StoredSummary)  # made by one thread, as a manifest's is


def started(run_id: str, inventory: str, at: datetime) -> StartRecord:
    """The record that a run begins with."""
    return StartRecord(
        schema_version=SCHEMA_VERSION,
        tool_version=__version__,
        run_id=run_id,
        inventory=inventory,
        started_at=at,
    )


def stored(summary: FleetSummary, parts: list[PartRecord]) -> StoredSummary:
    """A summary with where its results are."""
    facts = {name: getattr(summary, name) for name in FleetSummary.__struct_fields__}
    return StoredSummary(**facts, schema_version=SCHEMA_VERSION, tool_version=__version__, parts=parts)


def read(store: Store, key: RunKey) -> StoredSummary:
    """The summary of a fleet's run that has ended. Raises as `fleet_summary.read` does."""
    _, data = fleet_summary.read(store, key)
    try:
        return _SUMMARIES.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(
            f"{key.folder}: its summary does not read ({error})",
            code="fleet-results",
            hint="the next run of the fleet writes a whole result",
        ) from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a stored summary, as kept in docs/fleet-summary.schema.json."""
    (root,), schemas = msgspec.json.schema_components((StoredSummary,), ref_template="#/$defs/{name}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": schemas}
