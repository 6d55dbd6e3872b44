"""`snapshotter list`: what the store holds."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.base.errors import UsageError
from snapshotter.cli import describe_list, documents
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.archive.catalog import Catalog


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
    origins: Annotated[
        str | None,
        typer.Option(
            "--origins",
            metavar="FILE",
            help="Tell instead which of the origins in FILE (one a line, or a job document; - for stdin) lack a good "
            "snapshot.",
        ),
    ] = None
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age",
            metavar="SPAN",
            help="With --origins: the age that a newest good snapshot may have, like 24h; by default "
            "SNAPSHOTTER_STALE_AFTER.",
        ),
    ] = None
    max_verify_age: Annotated[
        str | None,
        typer.Option(
            "--max-verify-age",
            metavar="SPAN",
            help="With --origins: also tell which were not verified for so long, like 7d.",
        ),
    ] = None


def list_snapshots(session: Session, given: ListFlags) -> Output:
    """List the repositories with their newest snapshot, or one repository's snapshots.

    With --origins, an origin lacks a good snapshot if none was ever taken, if its
    newest are known to be damaged, or if the newest good one is too old.

    \b
    Examples:
      snapshotter list
      snapshotter list github.com/psf/requests --since 2026-11-01
      snapshotter list --origins origins.txt --max-age 24h --max-verify-age 7d

    Exit 0: the whole list, and no origin lacks anything. 1: an origin does.
    3: some of it could not be read.
    """
    from snapshotter.archive import snapshot_list
    from snapshotter.archive.catalog import Catalog

    _check(given)
    catalog = Catalog(session.store(reading=True))
    if given.origins is not None:
        return _standings(session, given, catalog, given.origins)
    since = _instant(given.since) if given.since is not None else None
    if given.repo is None:
        snapshots = snapshot_list.newest_of_each(catalog, since=since)
    else:
        snapshots = snapshot_list.of_repo(catalog, given.repo, since=since)
    where, expiry = catalog.store.place.uri, session.expiry
    return Output(
        documents.listing(snapshots, where, expiry),
        describe_list.listing(snapshots, where, datetime.now(UTC), expiry),
        snapshots.ending,
    )


def _check(given: ListFlags) -> None:
    """Raises UsageError for flags that exclude or miss each other."""
    if given.origins is not None and (given.repo is not None or given.since is not None):
        raise UsageError("--origins goes with no REPO and no --since", hint="leave one of them out")
    if given.origins is None and (given.max_age is not None or given.max_verify_age is not None):
        raise UsageError(
            "--max-age and --max-verify-age are about --origins", hint="add --origins FILE, or - for stdin"
        )


def _standings(session: Session, given: ListFlags, catalog: Catalog, file: str) -> Output:
    """Where the origins of a list stand."""
    from snapshotter.base.settings import parse_span
    from snapshotter.cli.fleet_reading import confirmed
    from snapshotter.fleet import standing

    proof = given.max_verify_age
    demand = standing.Demand(
        parse_span(given.max_age or session.settings["SNAPSHOTTER_STALE_AFTER"]),
        parse_span(proof) if proof is not None else None,
    )
    repos = standing.named(_listed_origins(file), catalog.repo_of)
    now = datetime.now(UTC)
    known = confirmed(session, catalog.store, demand.max_age, now)
    found = standing.look_up(catalog, repos, demand, now, known)
    return Output(
        documents.standings(found, catalog.store.place.uri), describe_list.standings(found, now), found.ending
    )


def _listed_origins(file: str) -> list[str]:
    """The lines of a file or of stdin, or the origins of a job document there. Raises UsageError if there are none."""
    from snapshotter.fleet import document

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", hint="check the path") from error
    if data.lstrip().startswith(b"{"):  # as no origin does
        return document.read(data).all_origins
    return data.decode("utf-8", "surrogateescape").splitlines()


def _instant(time: str) -> datetime:
    """The first instant, UTC, of the span that a time means. Raises UsageError for text that is no time."""
    from snapshotter.archive.layout import not_a_time, time_span

    if (span := time_span(time)) is None:
        raise not_a_time(time)
    return span[0]
