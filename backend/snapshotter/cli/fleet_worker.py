"""`snapshotter fleet worker`: this machine works for the runs of fleets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.fleet.meeting_place import MeetingPlace


@dataclass(frozen=True)
class FleetWorkerFlags:
    """What `fleet worker` is given."""

    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            metavar="ADDR",
            help="Work for this scheduler only, like tls://10.0.0.5:8786, until it ends; else for those that runs "
            "announce in the store.",
        ),
    ] = None
    listen: Annotated[
        str | None,
        typer.Option(
            "--listen",
            metavar="ADDR",
            help="Where the scheduler reaches this machine: tls://auto:8788 is its own address, and a port for each "
            "process from there on. By default any port, of loopback for a scheduler there.",
        ),
    ] = None
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, metavar="N", help="Processes; by default one for each processor."),
    ] = None


def fleet_worker(session: Session, given: FleetWorkerFlags) -> Output:
    """Work for the runs of fleets that have `--engine dask --listen`.

    A worker takes its credentials from its own environment or role: a run sends
    none. SNAPSHOTTER_CLUSTER_TLS has the certificates by which the two know each
    other; off loopback, nobody else is heard.

    \b
    Examples:
      snapshotter fleet worker
      snapshotter fleet worker --listen tls://auto:8788 --jobs 4
      snapshotter fleet worker --scheduler tls://10.0.0.5:8786

    Without --scheduler it works until it is stopped. Exit 0: the scheduler ended.
    4: it was never reached.
    """
    from snapshotter.fleet import meeting_place, scale_in
    from snapshotter.fleet.meeting_place import Certificates
    from snapshotter.fleet.scheduler_address import announced
    from snapshotter.fleet.working import Working

    certificates = Certificates.of(session.settings)
    jobs = given.jobs or len(os.sched_getaffinity(0))
    own = meeting_place.parse(given.listen, certificates, listening=True).own() if given.listen else None

    def serve(scheduler: MeetingPlace) -> None:
        from snapshotter.fleet import dask_worker

        at = own or _beside(scheduler)
        with scale_in.protected(os.environ, session.observer):
            dask_worker.serve(scheduler, at, certificates, jobs, session.cancel)

    if given.scheduler is not None:
        serve(meeting_place.parse(given.scheduler, certificates))
        return Output({"scheduler": given.scheduler}, [f"the scheduler at {given.scheduler} has ended"])
    store = session.store()
    Working(
        find=lambda: announced(store, certificates, datetime.now(UTC), session.observer),
        serve=serve,
        observer=session.observer,
        cancel=session.cancel,
    ).forever()
    return Output(None)


def _beside(scheduler: MeetingPlace) -> MeetingPlace:
    """Where a worker listens if nobody says: loopback for a scheduler there, else the address that reaches others."""
    from snapshotter.fleet.meeting_place import AUTO, MeetingPlace

    host = "127.0.0.1" if scheduler.is_loopback else AUTO
    return MeetingPlace(scheduler.scheme, host, 0).own()
