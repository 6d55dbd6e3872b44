"""`snapshotter fleet status`: which repository of a fleet lacks a good snapshot, and which is well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.cli import describe_fleet, documents
from snapshotter.cli.flags import OutputOption
from snapshotter.cli.fleet_plan import InventoryArgument, Sha256Option, planned
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.fleet.status import FleetStatus
    from snapshotter.store.objects import Store


@dataclass(frozen=True)
class FleetStatusFlags:
    """What `fleet status` is given."""

    inventory: InventoryArgument
    sha256: Sha256Option = None
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="SPAN",
            help="The age that a newest good snapshot may have, like 24h; by default SNAPSHOTTER_STALE_AFTER.",
        ),
    ] = None
    max_verify_age: Annotated[
        str | None,
        typer.Option(
            "--max-verify-age", metavar="SPAN", help="Ask for a verification within this time too, like 90d."
        ),
    ] = None
    ledger_only: Annotated[
        bool,
        typer.Option(
            "--ledger-only", help="Go by the last result alone: nothing of each repository is listed."
        ),
    ] = False
    html: Annotated[
        bool, typer.Option("--html", help="Print a page of HTML, complete in itself, instead of text.")
    ] = False
    output: OutputOption = None


def fleet_status(session: Session, given: FleetStatusFlags) -> Output:
    """Show where every repository of an inventory stands, the worst first.

    For each: the age of the newest good snapshot, the last verification, the
    verdict of the last run, and how the last ten went (= with nothing new, + with
    something, ~ with a flaw, x badly). What was never taken is in the list, too.

    \b
    Examples:
      snapshotter fleet status fleet.toml
      snapshotter fleet status fleet.toml --max-age 24h --max-verify-age 90d
      snapshotter fleet status fleet.toml --html -o status.html

    Exit 0: none lacks anything. 3: some do, or could not be looked up. 4: the
    inventory has no repository.
    """
    from snapshotter.archive.catalog import Catalog
    from snapshotter.base.settings import parse_size, parse_span
    from snapshotter.fleet import status
    from snapshotter.fleet.last_result import ResultReader
    from snapshotter.fleet.recording import workspace
    from snapshotter.fleet.standing import Demand

    _check(session, given)
    demand = Demand(
        parse_span(given.max_age or session.settings["SNAPSHOTTER_STALE_AFTER"]),
        parse_span(given.max_verify_age) if given.max_verify_age is not None else None,
    )
    store = _store(session)
    plan = planned(session, given.inventory, given.sha256)
    now = datetime.now(UTC)
    segment = parse_size(session.settings["SNAPSHOTTER_SEGMENT_SIZE"])
    with workspace(session.temp, segment, session.cancel) as rows:
        reader = ResultReader(store, rows.tables, session.observer, session.cancel)
        last = reader.load(plan.name, rows.last, now)
        found = status.look(plan, last, None if given.ledger_only else Catalog(store), demand, now)
    if given.html:
        return _page(given, found)
    return Output(documents.fleet_status(found), describe_fleet.status(found), found.ending)


def _check(session: Session, given: FleetStatusFlags) -> None:
    """Raises UsageError for flags that exclude or miss each other."""
    if given.html and session.flags.json:
        raise UsageError("--html and --json are two answers", hint="give one of them")
    if given.output is not None and not given.html:
        raise UsageError("-o is for the page of --html", hint="add --html, or leave it out")


def _store(session: Session) -> Store:
    """The store in force; an empty one where its folder is not there, since before the first run there is none."""
    try:
        return session.store(reading=True)
    except Unavailable as error:
        if error.code != "no-store":
            raise
        session.observer.warn(
            f"{error.message}, so nothing is known of any repository; the first `snapshotter fleet run` makes it, "
            "unless --store should name another"
        )
        return session.store("memory:")


def _page(given: FleetStatusFlags, found: FleetStatus) -> Output:
    from snapshotter.cli.new_file import write_new
    from snapshotter.fleet.status_page import html

    page = html(found)
    if given.output is None:
        return Output(None, page.splitlines(), found.ending)
    write_new(given.output, page.encode())
    return Output(None, (f"written to {given.output}",), found.ending)
