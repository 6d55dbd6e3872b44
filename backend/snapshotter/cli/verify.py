"""`snapshotter verify`: proof that a restore would work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.base.errors import UsageError
from snapshotter.cli import describe, documents
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.recover.verify import VerifyOptions


@dataclass(frozen=True)
class VerifyFlags:
    """What `verify` is given."""

    snapshot: Annotated[
        str | None,
        typer.Argument(
            metavar="[SNAPSHOT|REPO]",
            help="A snapshot (with @RUN-ID or @TIME), or an origin or repo name, for all its snapshots.",
        ),
    ] = None
    every: Annotated[bool, typer.Option("--all", help="Verify every snapshot of every repository.")] = False
    newest: Annotated[
        bool, typer.Option("--newest", help="Verify only the newest snapshot of each repository.")
    ] = False
    quick: Annotated[bool, typer.Option("--quick", help="Check digests and manifests only, without git.")] = (
        False
    )
    fsck: Annotated[
        bool,
        typer.Option("--fsck", help="Also record what `git fsck --strict` finds; no finding is a failure."),
    ] = False
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout",
            metavar="SPAN",
            help="Let the check of one snapshot, and the replay of one chain, take this long, like 10m.",
        ),
    ] = None


def verify(session: Session, given: VerifyFlags) -> Output:
    """Prove that snapshots are whole, and leave a receipt beside each.

    The size and SHA-256 of every artifact and the manifests' hash chain are
    checked; then real git replays the chain into a temporary repository, which is
    compared with the refs ledger. After a failed verification the next snapshot
    is a base.

    \b
    Examples:
      snapshotter verify github.com/psf/requests
      snapshotter verify --all --newest
      snapshotter verify github.com/psf/requests@2026-11-23 --quick

    Exit 0: all proven. 1: something is damaged. 3: some repositories could not
    be read, the others were checked. 4: a snapshot could not be checked.
    """
    from snapshotter.archive.catalog import Catalog
    from snapshotter.recover import ending, many

    if (given.snapshot is None) is not given.every:
        raise UsageError(
            "`verify` needs a SNAPSHOT, a REPO or --all", hint="give one of them: --all goes with no name"
        )
    catalog = Catalog(session.store(reading=True))
    result = many.verify_named(
        catalog,
        given.snapshot,
        _options(session, given),
        newest=given.newest,
        observer=session.observer,
        cancel=session.cancel,
    )
    # Snapshots that were not verified, too: whatever builds on damage cannot be restored.
    affected = ending.affected_by(catalog, result.verdicts)
    return Output(
        documents.verification(result, affected, quick=given.quick),
        describe.verification(result, affected),
        ending.ending(result.verdicts, result.unread),
    )


def _options(session: Session, given: VerifyFlags) -> VerifyOptions:
    from snapshotter.base.settings import parse_span
    from snapshotter.recover.verify import VerifyOptions

    limit = given.timeout or session.settings["SNAPSHOTTER_VERIFY_TIMEOUT"]
    seconds = parse_span(limit).total_seconds() if limit else None
    return VerifyOptions(
        quick=given.quick, fsck=given.fsck, temp=session.temp, seconds=seconds, expiry=session.expiry
    )
