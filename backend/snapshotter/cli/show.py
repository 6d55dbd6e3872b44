"""`snapshotter show`: all that is recorded of one snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from snapshotter.base.errors import Unusable
from snapshotter.cli import describe, describe_list, documents, flags
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session


@dataclass(frozen=True)
class ShowFlags:
    """What `show` is given."""

    snapshot: flags.SnapshotArgument
    submodules: Annotated[
        bool,
        typer.Option(
            "--submodules",
            help="List the submodules of the scanned tree, and whether the store has a snapshot of each.",
        ),
    ] = False


def show(session: Session, given: ShowFlags) -> Output:
    """Show a snapshot: its kind, chain, artifacts, ref changes, gaps and receipts.

    Where SNAPSHOTTER_EXPIRY is set, also until when it can be restored.

    \b
    Examples:
      snapshotter show github.com/psf/requests
      snapshotter show github.com__psf__requests@2026-11-23 --json
      snapshotter show github.com/psf/requests --submodules
    """
    from snapshotter.archive.catalog import Catalog
    from snapshotter.archive.later_scans import scan_of
    from snapshotter.archive.submodule_states import states

    catalog = Catalog(session.store(reading=True))
    run = catalog.resolve(given.snapshot)
    sealed = catalog.manifest(run.key, listed=True)
    # A snapshot's own scan stays the one that counts: a later one is made only for a snapshot without.
    try:
        later = scan_of(catalog, sealed.manifest) if sealed.manifest.scan is None else None
    except Unusable as error:  # of the snapshot all is known, whatever happened to its scan
        session.observer.warn(f"{error.message}; {error.hint}")
        later = None
    folder = f"{catalog.store.place.uri.rstrip('/')}/{run.key.folder}/"
    document = documents.whole_snapshot(sealed, run, later)
    lines = describe.whole_snapshot(sealed, run, later, folder)
    if expiry := session.expiry:
        document |= documents.restorable(sealed.manifest, expiry)
        lines.append(describe_list.restorable(sealed.manifest, expiry, datetime.now(UTC)))
    if given.submodules:
        scan = sealed.manifest.scan or later
        found = states(catalog, (scan and scan.submodules) or ())
        document |= {"submodules": documents.submodules(found)}
        lines += describe.submodules(found, scanned=scan is not None)
    return Output(document, lines)
