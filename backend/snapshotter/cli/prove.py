"""`snapshotter prove`: what the bucket's rules promise, shown by trying it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from snapshotter.cli import documents
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session


@dataclass(frozen=True)
class ProveFlags:
    """What `prove` is given."""

    bucket: Annotated[
        str | None,
        typer.Option(
            "--bucket",
            metavar="NAME",
            help="The bucket; by default the store's, or fruitful-lab-snapshots-prod if it has none.",
        ),
    ] = None
    prefix: Annotated[
        str | None,
        typer.Option(
            "--prefix",
            metavar="PREFIX",
            help="The prefix that the access policy covers; by default the store's, or repo-scans/snapshotter/.",
        ),
    ] = None
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="PATTERN",
            help="Try only these rows, by id or group, like put or 'list-*'. Repeatable.",
        ),
    ] = None
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip",
            metavar="PATTERN",
            help="Leave these rows out, like http where port 80 is closed. Repeatable.",
        ),
    ] = None
    scoped: Annotated[
        bool,
        typer.Option(
            "--scoped",
            help="These credentials are meant to be the task role's or an operator's: what only an owner may do is a "
            "broken rule. A job proves so.",
        ),
    ] = False
    http_endpoint: Annotated[
        str | None,
        typer.Option(
            "--http-endpoint", metavar="URL", help="Where an S3 server that is not AWS answers plain HTTP."
        ),
    ] = None


def prove(session: Session, given: ProveFlags) -> Output:
    """Prove what the bucket allows and refuses, by trying it with the credentials in force.

    Some seventy requests are sent, and each answer is compared with the one that
    the rules promise. No request does harm, even one that is wrongly allowed. A
    few hundred bytes are written under policy-tests/ of the prefix; they expire
    after a day. With the owner's credentials, the bucket's settings are checked,
    too, and what only the task role and operators must not do is left out: give
    --scoped where the credentials are meant to be theirs. To check only the
    settings, give --only configuration.

    \b
    Examples:
      snapshotter prove
      snapshotter prove --bucket my-bucket --prefix repo-scans/snapshotter/ --json
      snapshotter prove --only put --only 'list-*'

    Exit 0: every rule holds. 1: a rule does not hold. 4: could not check.
    """
    from snapshotter.access import prove as access
    from snapshotter.access.proof import error_of, target
    from snapshotter.access.wire import here
    from snapshotter.cli import describe_proof

    where = target(session.flags.store, session.settings["SNAPSHOTTER_STORE"], given.bucket, given.prefix)
    proof = access.prove(
        here(plain_endpoint=given.http_endpoint, allow_http=session.allow_http),
        where,
        only=given.only or [],
        skip=given.skip or [],
        scoped=given.scoped,
        check=session.cancel.check,
    )
    return Output(documents.proof(proof), describe_proof.proof(proof), error_of(proof))
