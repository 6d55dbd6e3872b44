"""`snapshotter fleet verify`: restore drills, of a sample of a fleet at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.cli import describe, documents
from snapshotter.cli.fleet_plan import InventoryArgument, Sha256Option, planned
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.archive.catalog import Catalog
    from snapshotter.fleet.status import FleetStatus


_ANY = timedelta(days=100_000)  # any age will do of a snapshot that is to be proven


@dataclass(frozen=True)
class FleetVerifyFlags:
    """What `fleet verify` is given."""

    inventory: InventoryArgument
    sha256: Sha256Option = None
    sample: Annotated[
        str,
        typer.Option(
            "--sample",
            metavar="SHARE",
            help="How much to prove: a share like 2%, or a number of repositories.",
        ),
    ] = "2%"
    within: Annotated[
        str,
        typer.Option(
            "--within",
            metavar="SPAN",
            help="Warn if some repository was not proven within this time, like 90d.",
        ),
    ] = "90d"
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout", metavar="SPAN", help="Let the proof of one repository take this long, like 10m."
        ),
    ] = None


def fleet_verify(session: Session, given: FleetVerifyFlags) -> Output:
    """Prove a sample of a fleet's repositories, each in its turn.

    Of the repositories that were proven longest ago, or never, the newest good
    snapshot is replayed with real git, as `verify` does, and gets a receipt. So
    2% a day proves all of them within 50 days.

    \b
    Examples:
      snapshotter fleet verify fleet.toml
      snapshotter fleet verify fleet.toml --sample 5% --within 30d
      snapshotter fleet verify fleet.toml --sample 10

    Exit 0: all that was chosen is proven. 1: something is damaged. 3: some could
    not be read. 4: a snapshot could not be checked.
    """
    from snapshotter.archive.catalog import Catalog
    from snapshotter.base.settings import parse_span
    from snapshotter.fleet import drills
    from snapshotter.recover import ending
    from snapshotter.recover.verify import VerifyOptions

    sample, within = drills.Sample.parse(given.sample), parse_span(given.within)
    limit = given.timeout or session.settings["SNAPSHOTTER_VERIFY_TIMEOUT"]
    seconds = parse_span(limit).total_seconds() if limit else None
    catalog = Catalog(session.store(reading=True))
    status = _status(session, given, catalog, within)
    drill = drills.choose(status, sample, within)
    if drill.warning:
        session.observer.warn(drill.warning)
    options = VerifyOptions(temp=session.temp, seconds=seconds, expiry=session.expiry)
    result = drills.carry_out(
        catalog, drill, status, options, observer=session.observer, cancel=session.cancel
    )
    affected = ending.affected_by(catalog, result.verdicts)
    facts = {"inventory": status.name, "total": drill.total, "late": drill.late}
    return Output(
        documents.verification(result, affected, quick=False) | facts,
        describe.verification(result, affected),
        ending.ending(result.verdicts, result.unread),
    )


def _status(session: Session, given: FleetVerifyFlags, catalog: Catalog, within: timedelta) -> FleetStatus:
    """Where the fleet stands. Older proofs than a first listing shows are in the last result; without one, they are
    looked for."""
    from snapshotter.base.settings import parse_size
    from snapshotter.fleet import status
    from snapshotter.fleet.last_result import ResultReader
    from snapshotter.fleet.recording import workspace
    from snapshotter.fleet.standing import Demand

    plan = planned(session, given.inventory, given.sha256)
    now = datetime.now(UTC)
    segment = parse_size(session.settings["SNAPSHOTTER_SEGMENT_SIZE"])
    with workspace(session.temp, segment, session.cancel) as rows:
        reader = ResultReader(catalog.store, rows.tables, session.observer, session.cancel)
        last = reader.load(plan.name, rows.last, now)
        demand = Demand(_ANY, None if last.summary else within)
        return status.look(plan, last, catalog, demand, now)
