"""`snapshotter diff`: the refs that differ between two snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from snapshotter.cli import describe, documents
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session


@dataclass(frozen=True)
class DiffFlags:
    """What `diff` is given."""

    a: Annotated[str, typer.Argument(metavar="A", help="The older SNAPSHOT.")]
    b: Annotated[str, typer.Argument(metavar="B", help="The newer SNAPSHOT.")]


def diff(session: Session, given: DiffFlags) -> Output:
    """Compare the refs of two snapshots: created, deleted, moved, rewritten.

    Whether a branch was rewritten is read in the manifests between the two; where
    they do not say, it is listed as of unknown ancestry. No ref is listed twice.
    With --json, `moved` also holds the rewritten and the unknown ones, as it does
    in manifests.

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
