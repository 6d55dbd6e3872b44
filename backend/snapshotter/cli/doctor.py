"""`snapshotter doctor`: is everything there that a snapshot needs?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snapshotter.aws.refusal import TASK_ROLE
from snapshotter.base.urls import redact
from snapshotter.cli import options as flag
from snapshotter.cli.session import Flags, Outcome, Session, run


def doctor(
    origin: Annotated[
        str | None, typer.Argument(metavar="[ORIGIN]", help="Check that this origin can be reached, too.")
    ] = None,
    role: Annotated[
        str, typer.Option("--role", metavar="NAME", help="The role that a task is expected to be.")
    ] = TASK_ROLE,
    store: flag.StoreOption = None,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Check what a snapshot needs: endpoint, identity, one write, list and read, origin, git, disk.

    It writes one small object under _diagnostics/, which expires after a day. Whatever fails names
    its entry of docs/operations.md.

    \b
    Examples:
      snapshotter doctor
      snapshotter doctor https://github.com/psf/requests --store s3://bucket/prefix/
    """
    run(Flags(store, json, quiet, verbose, allow_http), lambda session: work(session, origin, role))


def work(session: Session, origin: str | None, role: str) -> Outcome:
    """Make the checks."""
    from snapshotter.access.proof import bucket_of
    from snapshotter.base import runbook
    from snapshotter.capture import plan
    from snapshotter.doctor.preflight import Patient, examine, verdict

    uri = session.flags.store or session.settings["SNAPSHOTTER_STORE"]
    temp = session.settings["SNAPSHOTTER_TEMP"]
    limits = plan.wire_limits(session.settings, plan.RequestedOptions())
    patient = Patient(
        bucket_of(uri),
        session.store,
        plan.connector(session.settings, limits, allow_http=session.allow_http),
        origin,
        role,
        Path(temp) if temp else None,
    )
    checks, lines = [], []
    for check in examine(patient, session.cancel):
        session.observer.stage(f"checked {check.name}")
        checks.append(check)
        mark = {"ok": "ok", "warning": "warning", "failed": "FAILED", "skipped": "skipped"}[check.state]
        lines.append(f"{mark:8} {check.name:12} {check.says}")
        if check.state in ("warning", "failed"):
            lines += [f"{'':8} hint: {check.hint}"] if check.hint else []
            lines.append(f"{'':8} see {runbook.link(check.heading)}")
    return Outcome(
        {"store": redact(uri), "checks": [check.document() for check in checks]}, lines, verdict(checks)
    )
