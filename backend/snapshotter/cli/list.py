"""`snapshotter list`: what the store holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from snapshotter.cli import describe, documents
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session


@dataclass(frozen=True)
class ListFlags:
    """What `list` is given."""

    repo: Annotated[
        str | None,
        typer.Argument(
            metavar="[REPO]", help="List all snapshots of this repository, named by its origin or repo name."
        ),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="List only snapshots from this time on, like 2026-11-01 or 2026-11-01T12:00 (UTC).",
        ),
    ] = None


def list_snapshots(session: Session, given: ListFlags) -> Output:
    """List the repositories with their newest snapshot, or one repository's snapshots.

    \b
    Examples:
      snapshotter list
      snapshotter list github.com/psf/requests --since 2026-11-01

    Exit 0: the whole list. 3: the list, but some of it could not be read.
    """
    from snapshotter.archive import snapshot_list
    from snapshotter.archive.catalog import Catalog

    catalog = Catalog(session.store(reading=True))
    since = _instant(given.since) if given.since is not None else None
    if given.repo is None:
        snapshots = snapshot_list.newest_of_each(catalog, since=since)
    else:
        snapshots = snapshot_list.of_repo(catalog, given.repo, since=since)
    where = catalog.store.place.uri
    return Output(
        documents.listing(snapshots, where),
        describe.listing(snapshots, where, datetime.now(UTC)),
        snapshots.ending,
    )


def _instant(time: str) -> datetime:
    """The first instant, UTC, of the span that a time means. Raises UsageError for text that is no time."""
    from snapshotter.archive.layout import not_a_time, time_span

    if (span := time_span(time)) is None:
        raise not_a_time(time)
    return span[0]
