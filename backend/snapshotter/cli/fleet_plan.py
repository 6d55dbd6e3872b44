"""`snapshotter fleet plan`: what a fleet's run would take, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.base.errors import UsageError
from snapshotter.cli import documents
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.fleet.inventory import Inventory
    from snapshotter.fleet.plan import FleetPlan
    from snapshotter.fleet.roster import Roster


InventoryArgument = Annotated[
    str,
    typer.Argument(
        metavar="INVENTORY",
        help="A fleet.toml; or one below _jobs/ of the store, like s3://bucket/prefix/_jobs/x.toml.",
    ),
]
Sha256Option = Annotated[
    str | None,
    typer.Option(
        "--sha256",
        metavar="HEX",
        help="The SHA-256 of an inventory in the store, without which it is not read.",
    ),
]


@dataclass(frozen=True)
class FleetPlanFlags:
    """What `fleet plan` is given."""

    inventory: InventoryArgument
    sha256: Sha256Option = None
    since: Annotated[
        Path | None,
        typer.Option(
            "--since",
            metavar="FILE",
            help="Tell what was renamed, transferred, replaced or deleted since this plan, a file that --json wrote.",
        ),
    ] = None
    with_submodules: Annotated[
        bool,
        typer.Option(
            "--with-submodules",
            help="Offer the submodules that the store's newest scans name, and that the inventory has not.",
        ),
    ] = False


def fleet_plan(session: Session, given: FleetPlanFlags) -> Output:
    """Show what would be taken of an inventory's repositories, and why.

    Sources (GitHub, GitLab, folders) are asked for what they have now; nothing is
    fetched and nothing written. The docs' "Fleets" explains the inventory.

    \b
    Examples:
      snapshotter fleet plan fleet.toml
      snapshotter fleet plan fleet.toml --json > plan.json
      snapshotter fleet plan fleet.toml --since plan.json

    Exit 0: every source answered. 3: some did not. 4 or 5: none did.
    """
    from snapshotter.cli import describe_fleet
    from snapshotter.fleet import roster

    before = roster.read(_bytes(given.since)) if given.since else None
    made = planned(session, given.inventory, given.sha256, before)
    document, lines = documents.fleet_plan(made), describe_fleet.plan(made)
    if given.with_submodules:
        from snapshotter.archive.catalog import Catalog
        from snapshotter.fleet.submodules import offered

        found = offered(Catalog(session.store(reading=True)), made)
        document |= {
            "submodules": [asdict(each) for each in found.origins],
            "submodules_unknown": [*found.unknown],
        }
        lines += describe_fleet.submodules(found)
    return Output(document, lines, made.ending)


def planned(session: Session, place: str, sha256: str | None, before: Roster | None = None) -> FleetPlan:
    """The plan of the inventory at a path, or in the store in force; its sources are asked. With `before`, it tells
    what changed since. Raises UsageError for an inventory that cannot be meant."""
    return plan_of(session, read_inventory(session, place, sha256), before)


def plan_of(session: Session, inventory: Inventory, before: Roster | None = None) -> FleetPlan:
    """The plan of an inventory; see `planned`."""
    from snapshotter.capture.reaching import wire_limits
    from snapshotter.fleet import plan
    from snapshotter.fleet.sources.opening import Reach, check_hosts, opened

    check_hosts(inventory, session.settings)
    limits = wire_limits(session.settings)
    reach = Reach.of(session.settings, limits, allow_http=session.allow_http)
    sources = opened(inventory, reach, session.cancel, session.observer)
    return plan.make(inventory, sources, session.observer, before)


def read_inventory(session: Session, place: str, sha256: str | None) -> Inventory:
    """The inventory at a path, or in the store in force. Raises UsageError if it cannot be meant."""
    from snapshotter.fleet.inventory_reading import read
    from snapshotter.fleet.stored_inventory import read_stored_inventory, stored_place

    if stored := stored_place(place, session.store_uri):
        return read_stored_inventory(session.store(reading=True), stored, sha256, session.settings)
    if sha256 is not None:
        raise UsageError("--sha256 is for an inventory in the store", hint="leave it out for a file")
    return read(_bytes(Path(place)), place, Path(place).absolute().parent)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
