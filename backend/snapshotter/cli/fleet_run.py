"""`snapshotter fleet run`: a snapshot of every repository of an inventory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.base.errors import UsageError
from snapshotter.base.settings import parse_span
from snapshotter.cli.fleet_plan import InventoryArgument, Sha256Option, plan_of, read_inventory
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.archive.layout import RunId
    from snapshotter.fleet.fleet_run import RunWish
    from snapshotter.fleet.watch import Watch


@dataclass(frozen=True)
class FleetRunFlags:
    """What `fleet run` is given."""

    inventory: InventoryArgument
    sha256: Sha256Option = None
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", metavar="N", min=1, help="Worker processes; by default one for each processor."
        ),
    ] = None
    engine: Annotated[
        str,
        typer.Option(
            "--engine", metavar="NAME", help="What carries the work: local, or dask for many machines."
        ),
    ] = "local"
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ADDRESS",
            help="With --engine dask, a scheduler that is there already, like tls://10.0.0.5:8786.",
        ),
    ] = None
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="ADDRESS",
            help="With --engine dask, where this run waits for `fleet worker`s, which find it by the store: "
            "tls://auto:8786 is this machine's own address.",
        ),
    ] = None
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age", metavar="SPAN", help="Leave out what was found good within this time, like 20h."
        ),
    ] = None
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with this run, which was cut short.")
    ] = None
    ledger_only: Annotated[
        bool,
        typer.Option(
            "--ledger-only",
            help="Write nothing for a repository that did not change, but its line in the results.",
        ),
    ] = False
    metrics: Annotated[
        bool,
        typer.Option(
            "--metrics",
            help="Say on stderr what the alarms of infra/fleet.yaml measure, once results are stored.",
        ),
    ] = False
    host_connections: Annotated[
        int | None,
        typer.Option(
            "--host-connections",
            metavar="N",
            min=1,
            help="Connections to one host at once; by default SNAPSHOTTER_HOST_CONNECTIONS.",
        ),
    ] = None
    host_requests: Annotated[
        float | None,
        typer.Option(
            "--host-requests",
            metavar="N",
            min=0.01,
            help="Requests a second to one host; by default SNAPSHOTTER_HOST_REQUESTS.",
        ),
    ] = None


def fleet_run(session: Session, given: FleetRunFlags) -> Output:
    """Take a snapshot of every repository of an inventory.

    Each ends in one verdict, and none that fails keeps the others from theirs.
    Hosts are asked within limits, and left alone if they are down or ask for it.
    A run that was cut short is resumed by its id, and repeats nothing. A snapshot
    with more gaps than SNAPSHOTTER_FLEET_GAPS allows (0 of refs, scans and LFS
    objects that could be had; "scan=any" lifts a limit) is partial, not good.

    \b
    Examples:
      snapshotter fleet run fleet.toml
      snapshotter fleet run fleet.toml --max-age 20h --jobs 4
      snapshotter fleet run fleet.toml --resume 20261123T120000Z-1a2b3c4d
      snapshotter fleet run fleet.toml --host-connections 4 --host-requests 10

    Exit 0: all have a good snapshot. 1: a secret gate tripped. 3: some failed.
    4: none has one.
    """
    from snapshotter.fleet.engines import get_ready, wished

    engine = wished(given.engine, given.jobs, given.scheduler, given.listen, session.settings)
    inventory = read_inventory(session, given.inventory, given.sha256)
    get_ready(engine)  # it loads while this process does

    from snapshotter.cli import describe_fleet, documents
    from snapshotter.fleet import recorded_run
    from snapshotter.fleet.fleet_run import ending
    from snapshotter.fleet.notifier import Notifier
    from snapshotter.fleet.recorded_run import Planner, RunPlace

    wish, resumed = _wish(session, given), _run_id(given.resume)
    notifier = Notifier.of(session.settings, session.observer)
    planner = Planner(
        inventory.name, bool(inventory.sources), lambda before: plan_of(session, inventory, before)
    )
    store = session.store()
    watch = _watch(session, metrics=given.metrics)
    place = RunPlace(store, session.settings, session.temp, session.observer, watch, session.cancel, notifier)
    summary = recorded_run.carry_out(planner, wish, engine, place, resumed)
    return Output(documents.fleet_run(summary), describe_fleet.run(summary, store.place.uri), ending(summary))


def _watch(session: Session, *, metrics: bool) -> Watch:
    if not metrics:
        from snapshotter.cli.fleet_line import FleetLine

        return FleetLine(session.observer)
    from snapshotter.cli.fleet_metrics import MeasuredFleet

    return MeasuredFleet(session.observer, session.settings["SNAPSHOTTER_SERVICE"])


def _wish(session: Session, given: FleetRunFlags) -> RunWish:
    from snapshotter.fleet.dispatch import Terms
    from snapshotter.fleet.fleet_run import RunWish
    from snapshotter.fleet.hosts import HostLimits
    from snapshotter.fleet.verdict import Rules
    from snapshotter.fleet.workshop import carried

    Rules.of(session.settings)  # a mistake in them is told before anybody is asked
    if session.store_uri.startswith("memory:"):
        raise UsageError(
            "a store in memory is one process's own, and a fleet's workers are several",
            hint="give a folder or s3://",
        )
    settings = session.settings
    limits = HostLimits(
        given.host_connections or settings.number("SNAPSHOTTER_HOST_CONNECTIONS"),
        given.host_requests or _rate(settings["SNAPSHOTTER_HOST_REQUESTS"]),
    )
    terms = Terms(
        carried(settings, session.store_uri, allow_http=session.allow_http), ledger_only=given.ledger_only
    )
    return RunWish(limits, terms, parse_span(given.max_age) if given.max_age else None)


def _rate(text: str) -> float | None:
    if not text:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1e6:
        raise UsageError(f"SNAPSHOTTER_HOST_REQUESTS is no number above 0: {text}")
    return rate


def _run_id(text: str | None) -> RunId | None:
    from snapshotter.archive.layout import RunId

    run_id = RunId.parse(text) if text else None
    if text and run_id is None:
        raise UsageError(
            f"not a run: {text}", hint="a run says its id when it begins, like 20261123T120000Z-1a2b3c4d"
        )
    return run_id
