"""`snapshotter prove`: what the bucket's rules promise, shown by trying it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.cli import options as flag
from snapshotter.cli.session import Flags, Outcome, Session
from snapshotter.cli.session import run as run_verb

if TYPE_CHECKING:
    from snapshotter.access.proof import Proof, Result


BucketOption = Annotated[
    str | None,
    typer.Option(
        "--bucket", help="The bucket [default: the store's, if it is S3, else fruitful-lab-snapshots-prod]."
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix", help="What the access policy is for [default: the store's, else repo-scans/snapshotter/]."
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="PATTERN", help="Only these rows, by id or group: put, 'list-*'. Repeatable."
    ),
]
SkipOption = Annotated[
    list[str] | None,
    typer.Option(
        "--skip", metavar="PATTERN", help="Not these rows, like http where port 80 is closed. Repeatable."
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option("--http-endpoint", metavar="URL", help="Where an S3 that is not AWS listens to plain HTTP."),
]


def prove(
    bucket: BucketOption = None,
    prefix: PrefixOption = None,
    only: OnlyOption = None,
    skip: SkipOption = None,
    http_endpoint: EndpointOption = None,
    store: flag.StoreOption = None,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Prove, by trying it, what the bucket allows and refuses to whoever the credentials are.

    Some seventy requests, each with the answer that the rules promise. No request can do harm if it is
    allowed. It writes a few hundred bytes under policy-tests/ of the prefix, which expire after a day.
    With the owner's credentials it also checks the bucket's settings (--only configuration: nothing else).

    \b
    Examples:
      snapshotter prove
      snapshotter prove --bucket my-bucket --prefix repo-scans/snapshotter/ --json
      snapshotter prove --only put --only 'list-*'

    Exit 0: every rule holds. 1: a rule does not hold. 4: could not check.
    """
    run_verb(
        Flags(store, json, quiet, verbose, allow_http),
        lambda session: _prove(session, bucket, prefix, only or [], skip or [], http_endpoint),
    )


def _prove(
    session: Session,
    bucket: str | None,
    prefix: str | None,
    only: list[str],
    skip: list[str],
    http_endpoint: str | None,
) -> Outcome:
    from snapshotter.access.proof import Status, error_of, target
    from snapshotter.access.prove import prove as run
    from snapshotter.access.wire import here

    where = target(session.flags.store, session.settings["SNAPSHOTTER_STORE"], bucket, prefix)
    connection = here(plain_endpoint=http_endpoint, allow_http=session.allow_http)
    proof = run(connection, where, only=only, skip=skip, check=session.cancel.check)
    counts = {status.name.lower(): proof.count(status) for status in Status}
    return Outcome({**asdict(proof), "counts": counts}, _lines(proof), error_of(proof))


def _lines(proof: Proof) -> list[str]:
    from snapshotter.access.proof import Status

    lines = [
        f"s3://{proof.bucket}/{proof.prefix} on {proof.server}",
        f"as {proof.identity or 'an identity that STS does not name'}",
        "",
    ]
    for result in proof.results:
        lines += _row(result)
    lines += ["", ", ".join(f"{proof.count(status)} {status}" for status in Status if proof.count(status))]
    lines[-1] += f"; {proof.seconds:.1f} s"
    lines.append(f"written under {proof.folder}, which expires after a day")
    if not proof.owner:
        lines.append("the bucket's settings were not read: that takes its owner's credentials")
    for leftover in proof.leftovers:
        lines += [f"LEFT BEHIND: {leftover.key}", f"  remove it: {leftover.remove}"]
    return lines


def _row(result: Result) -> list[str]:
    from snapshotter.access.proof import Status

    what = f"{result.operation} ({result.condition})" if result.condition != "–" else result.operation
    who = "" if result.actor == "you" else f", {result.actor}"
    line = f"{result.status:<8} {result.id:<26} {what}{who}: expected {result.expected}"
    if result.status is Status.PASSED:
        return [f"{line}, got {result.got}" + (f"; {result.note}" if result.note else "")]
    if result.status in (Status.NOT_JUDGED, Status.NOT_SENT):
        return [f"{line}; {result.note}"]
    facts = [
        f"rule: {result.rule}",
        f"statement that should answer: {result.statement or 'none; no statement grants it'}",
        *([f"key: {result.key}"] if result.key else []),
        *([f"note: {result.note}"] if result.note else []),
        *([f"fix: {result.fix}"] if result.status is Status.FAILED else []),
    ]
    return [f"{line}, got {result.got}", *(f"           {fact}" for fact in facts)]
