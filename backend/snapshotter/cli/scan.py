"""`snapshotter scan`, and how a scan reads for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer

from snapshotter.archive.manifest import Scan
from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable
from snapshotter.cli import options as flag
from snapshotter.cli.session import Flags, Outcome, Session, run

if TYPE_CHECKING:
    from snapshotter.capture.later_scan import SnapshotScan

_ROWS: Final = {
    "files": "file",
    "symbols": "symbol",
    "imports": "import",
    "dependencies": "dependency",
    "secrets": "secret",
}


def scan(
    snapshot: Annotated[
        str,
        typer.Argument(
            metavar="ORIGIN|SNAPSHOT",
            help="ORIGIN or REPO (its newest snapshot), …@RUN-ID, …@2026-11-23, …@2026-11-23T12:00Z, or a full key.",
        ),
    ],
    store: flag.StoreOption = None,
    ref: flag.ScanRefOption = None,
    secret_gate: flag.SecretGateOption = False,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Scan a snapshot that was taken without one: its files, symbols, imports, dependencies and leaked secrets.

    The scan is stored as a run of its own that refers to the snapshot, which
    stays as it is. The tree is asked of the origin, without a clone; where the
    origin no longer has it, it is read from the snapshot.

    \b
    Examples:
      snapshotter scan https://github.com/psf/requests
      snapshotter scan github.com__psf__requests@2026-11-23 --ref v2.31.0
    """
    flags = Flags(store, json, quiet, verbose, allow_http)
    run(flags, lambda session: work(session, snapshot, ref, secret_gate=secret_gate))


def work(session: Session, name: str, ref: str | None, *, secret_gate: bool) -> Outcome:
    """Make the scan that was asked for, unless the snapshot has one."""
    from snapshotter.archive.catalog import Catalog
    from snapshotter.capture import plan
    from snapshotter.capture.later_scan import scan_snapshot
    from snapshotter.scan import gate

    limits = plan.wire_limits(session.settings, plan.RequestedOptions())
    connect = plan.connector(session.settings, limits, allow_http=session.allow_http)
    catalog = Catalog(session.store(reading=True))
    done = scan_snapshot(
        catalog,
        catalog.resolve(name),
        plan.scan_options(session.settings, ref),
        connect,
        observer=session.observer,
        cancel=session.cancel,
    )
    if ref and done.scan.ref not in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}"):
        raise UsageError(
            f"{done.snapshot.repo}@{done.snapshot.run_id} has a scan already, and it is of {printable(done.scan.ref)}",
            hint="a snapshot has one scan; `snapshotter snapshot ORIGIN --ref REF` takes one whose scan is of another",
        )
    return Outcome(document(done), describe(done), gate.secret_gate(done.scan) if secret_gate else None)


def document(done: SnapshotScan) -> dict[str, Any]:
    """A later scan as `--json` prints it: the scan's own fields, and the snapshot that it is of."""
    plain: dict[str, Any] = msgspec.to_builtins(done.scan)
    return plain | {"snapshot": done.snapshot.key.folder, "made": done.made}


def describe(done: SnapshotScan) -> list[str]:
    """A later scan in a few lines for people."""
    title = f"{done.snapshot.repo}@{done.snapshot.run_id}"
    if not done.made:
        return [f"{title} has a scan already, by run {done.scan.run_id}", *lines(done.scan)]
    return [title, *lines(done.scan)]


def lines(made: Scan) -> list[str]:
    """A scan in lines for people: rows, licences, gaps."""
    counts = [(made.tables.get(many, 0), one, many) for many, one in _ROWS.items()]
    rows = ", ".join(f"{count:,} {one if count == 1 else many}" for count, one, many in counts)
    known = sorted({spdx for licence in made.licences for spdx in licence.spdx})
    told = [f"  scan of {made.ref}: {rows}" + (f"; {', '.join(known)}" if known else "")]
    return told + [
        f"  gap: {gap.kind}, {gap.count:,} (like {', '.join(gap.sample[:2])})" for gap in made.gaps
    ]
