"""`snapshotter diff`: the refs that differ between two snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from snapshotter.cli import describe, documents, flags
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session


@dataclass(frozen=True)
class DiffFlags:
    """What `diff` is given."""

    a: Annotated[str, typer.Argument(metavar="A", help=f"The older snapshot. {flags.SNAPSHOT_NAMES}")]
    b: Annotated[str, typer.Argument(metavar="B", help="The newer snapshot, named in the same ways.")]


def diff(session: Session, given: DiffFlags) -> Output:
    """Compare the refs of two snapshots: created, deleted, moved, rewritten.

    The manifests between the two say which branches were rewritten. A branch that
    they do not tell of is listed as of unknown ancestry. No ref is listed twice;
    but with --json, `moved` also holds the rewritten and the unknown ones, as in
    manifests.

    \b
    Example:
      snapshotter diff github.com/psf/requests@2026-11-01 github.com/psf/requests
    """
    from snapshotter.archive.catalog import Catalog
    from snapshotter.capture.changes import by_record, compare

    catalog = Catalog(session.store(reading=True))
    old = catalog.manifest(catalog.resolve(given.a).key).manifest
    new = catalog.manifest(catalog.resolve(given.b).key).manifest
    changes = compare(catalog.ledger(old), catalog.ledger(new), by_record(catalog.steps(old, new)))
    return Output(documents.diff(old, new, changes), describe.diff(old, new, changes))
