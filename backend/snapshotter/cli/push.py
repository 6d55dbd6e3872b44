"""`snapshotter push`: from the store back into a host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from snapshotter.base.errors import UsageError
from snapshotter.cli import flags
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session


@dataclass(frozen=True)
class PushFlags:
    """What `push` is given."""

    snapshot: flags.SnapshotArgument
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="The repository: a URL (https, ssh, git), user@host:path, or the path of a bare one.",
        ),
    ]
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change there, and what would be lost.")
    ] = False
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Rewrite and delete refs there, too, so that only the snapshot's are left."
        ),
    ] = False
    digest: Annotated[
        str | None,
        typer.Option("--digest", metavar="HEX", help="With --prune: what --prune --dry-run printed last."),
    ] = None
    batch_size: Annotated[
        str,
        typer.Option(
            "--batch-size",
            metavar="SIZE",
            help="What one push weighs at most, about. Hosts refuse larger ones than 2 GB.",
        ),
    ] = "1536MiB"


def push(session: Session, given: PushFlags) -> Output:
    """Push a snapshot back into a host: its branches, tags and other refs into the repository at URL.

    The snapshot is restored into a temporary folder first, which proves it whole;
    nothing of it is left. Into a repository that holds something else, it pushes
    only with --prune and the digest of a dry run, and each ref only if it is
    still what the dry run showed. LFS objects go along. A push that was cut goes
    on: run it again. Refs that hosts make (pull requests) are left out.

    \b
    Examples:
      snapshotter push github.com/psf/requests https://git.example.org/requests
      snapshotter push github.com/psf/requests git@host:x --prune --dry-run
      snapshotter push github.com/psf/requests git@host:x --prune --digest HEX
    """
    from snapshotter.archive.catalog import Catalog
    from snapshotter.base.settings import parse_size
    from snapshotter.capture.reaching import connector, wire_limits
    from snapshotter.cli import describe_push
    from snapshotter.git.origin_parsing import parse
    from snapshotter.recover.push import PushOptions
    from snapshotter.recover.push import push as push_back

    if given.digest and not given.prune:
        raise UsageError("--digest goes with --prune", hint="leave it out, or add --prune")
    target = parse(given.url)
    options = PushOptions(
        given.dry_run, given.prune, given.digest, parse_size(given.batch_size), session.temp
    )
    limits = wire_limits(session.settings)
    connect = connector(session.settings, limits, allow_http=session.allow_http)
    catalog = Catalog(session.store(reading=True))
    run = catalog.resolve(given.snapshot)
    host = connect.pusher(target, session.cancel)
    pushed = push_back(catalog, run, host, options, observer=session.observer, cancel=session.cancel)
    lines = describe_push.planned(pushed) if given.dry_run else describe_push.pushed(pushed)
    return Output(describe_push.document(pushed, dry_run=given.dry_run), lines, pushed.ending)
