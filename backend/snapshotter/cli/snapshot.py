"""`snapshotter snapshot`: an origin becomes a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.base.text import printable
from snapshotter.cli import describe, documents, flags
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.capture.plan import RequestedOptions
    from snapshotter.capture.wiki import TakenEach


LfsChoice = Literal["all", "tips"]


@dataclass(frozen=True)
class SnapshotFlags:
    """What `snapshot` is given."""

    origin: Annotated[
        str, typer.Argument(metavar="ORIGIN", help="https, ssh or git URL, user@host:path, or a local path.")
    ]
    full: Annotated[bool, typer.Option("--full", help="Take a base even if an increment would do.")] = False
    refs: Annotated[
        list[str] | None,
        typer.Option(
            "--refs", metavar="PATTERN", help="Take only these refs, like 'refs/heads/*'. Repeatable."
        ),
    ] = None
    exclude_refs: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude-refs",
            metavar="PATTERN",
            help="Leave these refs out, instead of the test merges that hosts make of pull requests; '' leaves "
            "none out. Repeatable.",
        ),
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="K=V", help="Put a label into the manifest. Repeatable."),
    ] = None
    segment_size: Annotated[
        str | None,
        typer.Option("--segment-size", metavar="SIZE", help="Store no object larger than this, like 16MiB."),
    ] = None
    max_chain_age: Annotated[
        str | None,
        typer.Option(
            "--max-chain-age",
            metavar="SPAN",
            help="Take a base when the chain's base is older than this, like 30d.",
        ),
    ] = None
    idle_timeout: Annotated[
        str | None,
        typer.Option(
            "--idle-timeout",
            metavar="SPAN",
            help="Give up on an origin that sends nothing for this long, like 90s.",
        ),
    ] = None
    max_refs: Annotated[
        int | None, typer.Option("--max-refs", min=1, help="Refuse an origin with more refs than this.")
    ] = None
    scan: Annotated[
        bool | None,
        typer.Option(
            "--scan/--no-scan",
            help="Scan the default branch too, or leave that out. It is scanned unless SNAPSHOTTER_SCAN=0.",
        ),
    ] = None
    ref: flags.ScanRefOption = None
    secret_gate: flags.SecretGateOption = False
    lfs: Annotated[
        LfsChoice | None,
        typer.Option(
            "--lfs",
            help="Take the LFS objects of all of history (the default, unless SNAPSHOTTER_LFS says otherwise), or of "
            "the tips' trees.",
        ),
    ] = None
    no_lfs: Annotated[bool, typer.Option("--no-lfs", help="Leave LFS objects out.")] = False
    wiki: Annotated[
        bool,
        typer.Option(
            "--wiki", help="Take the origin's wiki (….wiki.git), too, if it has one: a repository of its own."
        ),
    ] = False


def snapshot(session: Session, given: SnapshotFlags) -> Output:
    """Take a snapshot of ORIGIN: its refs, the history behind them, and a scan of its default branch.

    No clone is made: the origin's pack goes straight into the store, as a plain
    git bundle. The first snapshot is a base; later ones are increments with what
    is new, or `unchanged` if no ref moved. The scan finds files, symbols,
    imports, dependencies and leaked secrets, and makes a report and a digest.

    \b
    Examples:
      snapshotter snapshot https://github.com/psf/requests
      snapshotter snapshot git@github.com:psf/requests --store s3://bucket/prefix/
      snapshotter snapshot /srv/git/project.git --label team=core
    """
    from snapshotter.capture import reaching
    from snapshotter.git.origin_parsing import parse

    if given.no_lfs and given.lfs:
        raise UsageError("--lfs and --no-lfs exclude each other", hint="leave one of them out")
    origin = parse(given.origin)
    labels = parse_labels(given.label or [])
    limits = reaching.wire_limits(session.settings, idle_timeout=given.idle_timeout, max_refs=given.max_refs)
    connect = reaching.connector(session.settings, limits, allow_http=session.allow_http)
    with closing(connect.ahead(origin, session.cancel)) as transport:
        from snapshotter.capture import plan
        from snapshotter.capture.wiki import take_each

        # What can be refused is looked at before the store is opened, which makes a folder.
        in_force = plan.make(session.settings, _requested(given), labels, allow_http=session.allow_http)
        store = session.store()
        taken = take_each(
            origin, transport, store, in_force, observer=session.observer, cancel=session.cancel
        )
    return _output(taken, given, store.place.uri)


def _output(taken: TakenEach, given: SnapshotFlags, where: str) -> Output:
    document, lines = documents.snapshot(taken.sealed), describe.snapshot(taken.sealed.manifest, where)
    if given.wiki:
        document |= {"wiki_snapshot": documents.snapshot(taken.wiki) if taken.wiki else None}
        lines += describe.wiki(taken.wiki, where)
    return Output(document, lines, (_tripped(taken) if given.secret_gate else None) or taken.ending)


def _tripped(taken: TakenEach) -> SnapshotterError | None:
    """The error of a secret gate that one of the snapshots does not pass."""
    from snapshotter.scan.gate import secret_gate

    scans = [each.manifest.scan for each in (taken.sealed, taken.wiki) if each]
    return next((found for found in map(secret_gate, scans) if found), None)


def _requested(given: SnapshotFlags) -> RequestedOptions:
    from snapshotter.capture.plan import RequestedOptions

    return RequestedOptions(
        full=given.full,
        refs=given.refs,
        exclude_refs=given.exclude_refs,
        segment_size=given.segment_size,
        max_chain_age=given.max_chain_age,
        idle_timeout=given.idle_timeout,
        max_refs=given.max_refs,
        scan=given.scan,
        ref=given.ref,
        secret_gate=given.secret_gate,
        lfs="none" if given.no_lfs else given.lfs,
        wiki=given.wiki,
    )


def parse_labels(labels: Sequence[str]) -> dict[str, str]:
    """The mapping that ``K=V`` texts mean. Raises UsageError for a text without a key, and for a key given twice."""
    values: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or not key:
            raise UsageError(f"not a label: {printable(label)}", hint="write it as --label key=value")
        if key in values:
            raise UsageError(f"the label {printable(key)} is given twice", hint="give each key once")
        values[key] = value
    return values
