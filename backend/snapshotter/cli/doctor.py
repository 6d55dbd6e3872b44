"""`snapshotter doctor`: is everything there that a snapshot needs?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.aws.scope import TASK_ROLE
from snapshotter.base.errors import UsageError
from snapshotter.base.urls import redact
from snapshotter.cli import describe
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.doctor.check import Check


@dataclass(frozen=True)
class DoctorFlags:
    """What `doctor` is given."""

    origin: Annotated[
        str | None, typer.Argument(metavar="[ORIGIN]", help="Also check that this origin can be reached.")
    ] = None
    role: Annotated[
        str, typer.Option("--role", metavar="NAME", help="The role that a task is expected to have.")
    ] = TASK_ROLE
    adopt: Annotated[
        Path | None,
        typer.Option(
            "--adopt",
            metavar="TEMPLATE",
            help="Instead, look at a bucket in use and its role: what would applying this template, infra/storage.yaml "
            "or one made of it, take away?",
        ),
    ] = None
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter", metavar="NAME=VALUE", help="With --adopt: a parameter of the template. Repeatable."
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="With --adopt: write the template, with all that is to stay merged into it, to this new file.",
        ),
    ] = None


def doctor(session: Session, given: DoctorFlags) -> Output:
    """Check what a snapshot needs: endpoint, identity, one write, list and read, origin, git, disk, retention.

    One small object is written under _diagnostics/; it expires after a day.
    Every check that fails names its entry in docs/operations.md.

    With --adopt nothing is written or checked: a bucket in use and its role are
    read as they are, and all that a deployment of the template would take away is
    named and counted. Exit 0: nothing would go. 1: something would. 4: something
    could not be read.

    \b
    Examples:
      snapshotter doctor
      snapshotter doctor https://github.com/psf/requests --store s3://bucket/path/
      snapshotter doctor --adopt infra/storage.yaml -o adopted.yaml
    """
    if given.adopt is None:
        if given.parameter or given.output:
            raise UsageError("--parameter and -o are for --adopt", hint="add --adopt infra/storage.yaml")
        return _preflight(session, given)
    if given.origin is not None:
        raise UsageError("--adopt looks at a bucket, and at no origin", hint="leave the origin out")
    from snapshotter.cli.adoption import adoption

    role = [f"TaskRoleName={given.role}"] if given.role != TASK_ROLE else []
    return adoption(session, given.adopt, [*role, *(given.parameter or [])], given.output)


def _preflight(session: Session, given: DoctorFlags) -> Output:
    from snapshotter.access.proof import bucket_of
    from snapshotter.base.settings import parse_span
    from snapshotter.capture import reaching
    from snapshotter.doctor.check import Setup
    from snapshotter.doctor.preflight import examine, verdict

    limits = reaching.wire_limits(session.settings)
    # The store is opened by a check, so that a store that does not open is a row among the others.
    setup = Setup(
        bucket_of(session.store_uri),
        session.store,
        reaching.connector(session.settings, limits, allow_http=session.allow_http),
        given.origin,
        given.role,
        session.temp,
        session.env,
        session.allow_http,
        session.expiry,
        parse_span(age) if (age := session.settings["SNAPSHOTTER_MAX_CHAIN_AGE"]) else None,
    )
    checks: list[Check] = []
    for check in examine(setup, session.cancel):
        session.observer.stage(f"checked {check.name}")
        checks.append(check)
    document = {"store": redact(session.store_uri), "checks": [check.document() for check in checks]}
    lines = [line for check in checks for line in describe.check(check)]
    return Output(document, lines, verdict(checks))
