"""`snapshotter restore`: from the store back to git."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from snapshotter.base.errors import UsageError
from snapshotter.cli import describe, flags
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session


@dataclass(frozen=True)
class RestoreFlags:
    """What `restore` is given."""

    snapshot: flags.SnapshotArgument
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="A folder that does not exist, or is empty.")]
    bare: Annotated[bool, typer.Option("--bare", help="Make a bare repository.")] = False
    mirror: Annotated[
        bool,
        typer.Option("--mirror", help="Make a bare repository that `git remote update` brings up to date."),
    ] = False


def restore(session: Session, given: RestoreFlags) -> Output:
    """Restore a snapshot to DEST: exactly its refs, symbolic refs and HEAD, proven whole.

    Without --bare or --mirror, HEAD is checked out, too; no hook and no filter
    runs. LFS objects are put where git-lfs looks for them; where some that the
    store should hold cannot be had, the repository is restored without them, and
    the exit code is not 0. A restore that fails otherwise leaves DEST as it was:
    absent, or an empty folder. A restore that is killed leaves a hidden folder
    beside or in DEST, which the next restore to DEST removes.

    \b
    Examples:
      snapshotter restore github.com/psf/requests ./requests
      snapshotter restore github.com/psf/requests@2026-11-23 requests.git --mirror
    """
    from snapshotter.archive.catalog import Catalog
    from snapshotter.recover import restore as recover

    if given.bare and given.mirror:
        raise UsageError(
            "--bare and --mirror exclude each other", hint="leave out --bare: a mirror is bare, too"
        )
    mode = "mirror" if given.mirror else "bare" if given.bare else "worktree"
    catalog = Catalog(session.store(reading=True))
    run = catalog.resolve(given.snapshot)
    restored = recover.restore(
        catalog, run, given.dest, mode=mode, observer=session.observer, cancel=session.cancel
    )
    document = vars(restored) | {"lfs": restored.lfs.counts}
    return Output(document, describe.restored(run, restored), restored.ending)
