"""`snapshotter scan`: the scan of a snapshot that was taken without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from snapshotter.cli import describe, documents
from snapshotter.cli import options as flag
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session


@dataclass(frozen=True)
class ScanFlags:
    """What `scan` is given."""

    snapshot: Annotated[str, typer.Argument(metavar="ORIGIN|SNAPSHOT", help=flag.SNAPSHOT_NAMES)]
    ref: flag.ScanRefOption = None
    secret_gate: flag.SecretGateOption = False


def scan(session: Session, given: ScanFlags) -> Output:
    """Scan a snapshot that was taken without one: its files, symbols, imports, dependencies and leaked secrets.

    The scan is stored as a run of its own that refers to the snapshot, which
    stays as it is. The tree comes from the origin, without a clone; if the origin
    no longer has it, it comes from the snapshot.

    \b
    Examples:
      snapshotter scan https://github.com/psf/requests
      snapshotter scan github.com__psf__requests@2026-11-23 --ref v2.31.0
    """
    from snapshotter.archive.catalog import Catalog
    from snapshotter.capture import plan
    from snapshotter.capture.later_scan import scan_snapshot
    from snapshotter.scan.gate import secret_gate

    limits = plan.wire_limits(session.settings, plan.RequestedOptions())
    catalog = Catalog(session.store(reading=True))
    scanned = scan_snapshot(
        catalog,
        catalog.resolve(given.snapshot),
        plan.scan_options(session.settings, given.ref),
        plan.connector(session.settings, limits, allow_http=session.allow_http),
        observer=session.observer,
        cancel=session.cancel,
    )
    tripped = secret_gate(scanned.scan) if given.secret_gate else None
    return Output(documents.later_scan(scanned), describe.later_scan(scanned), tripped)
