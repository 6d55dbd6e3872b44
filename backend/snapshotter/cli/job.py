"""`snapshotter job`: one JSON document in, one result document out. What the container runs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snapshotter.base.errors import UsageError
from snapshotter.base.urls import redact
from snapshotter.cli import documents, flags
from snapshotter.cli.command import run
from snapshotter.cli.flags import Flags
from snapshotter.cli.job_report import JobReport
from snapshotter.cli.jsonlog import JsonLog
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

if TYPE_CHECKING:
    from snapshotter.archive.catalog import Catalog
    from snapshotter.fleet.document import Job


def job(
    stdin: Annotated[
        str | None, typer.Argument(metavar="[-]", help="Give - to read the document from stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="PATH", help="Read the document from this file.")
    ] = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json", show_default=False, help="Allowed, and without effect: a job's result is always JSON."
        ),
    ] = True,
    quiet: flags.QuietOption = False,
    verbose: flags.VerboseOption = False,
) -> None:
    """Carry out one job: a JSON document from a file, stdin, or SNAPSHOTTER_JOB.

    Logs and metrics are JSON lines on stderr; stdout gets one result document, on
    one line. docs/job.schema.json says what a job may hold.

    \b
    Examples:
      SNAPSHOTTER_JOB='{"origin": "https://host/x.git"}' snapshotter job
      snapshotter job --file job.json
      echo '{"verb": "verify", "newest": true}' | snapshotter job -
      echo '{"verb": "prove"}' | snapshotter job -
    """
    log = JsonLog(quiet=quiet)
    report = JobReport(log, verbose=verbose)
    run(
        Flags(json=json, quiet=quiet, verbose=verbose),
        lambda session: _carry_out(session, report, read_document(session, stdin, file), file),
        observer=log,
        report=report.finish,
    )


def read_document(session: Session, stdin: str | None, file: Path | None) -> bytes:
    """The document's bytes: from the file or stdin if one is named, else from the variable.

    At most one byte more than a document may have, which is then refused. Raises UsageError.
    """
    from snapshotter.fleet.document import MAX_DOCUMENT, VARIABLE

    if stdin not in (None, "-") or (stdin and file):
        raise UsageError(
            "`job` takes one document: --file PATH, or - for stdin",
            hint="`snapshotter job --help` shows the ways",
        )
    if stdin or str(file) == "-":
        return sys.stdin.buffer.read(MAX_DOCUMENT + 1)
    if file:
        try:
            with file.open("rb") as opened:
                return opened.read(MAX_DOCUMENT + 1)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}", hint="check the path") from error
    if text := session.settings[VARIABLE]:
        return text.encode("utf-8", "surrogateescape")  # the bytes as the environment has them
    raise UsageError("no job was given", hint=f"set {VARIABLE} to the document, or give --file PATH or -")


def _carry_out(session: Session, report: JobReport, document: bytes, file: Path | None) -> Output:
    from snapshotter.base.settings import parse_span
    from snapshotter.fleet.limit import SETTING, time_limit

    report.log.service = session.settings["SNAPSHOTTER_SERVICE"]
    of_service = session.settings["SNAPSHOTTER_SERVICE_JOB"].encode("utf-8", "surrogateescape")
    report.is_of_service = not of_service or document == of_service
    with time_limit(parse_span(session.settings[SETTING]), session.cancel):
        job = _read(session, document, file)
        report.verb, report.origins = job.verb, job.all_origins
        report.store = redact(job.store or session.settings["SNAPSHOTTER_STORE"])
        output = _VERBS[job.verb](session, report, job)
    if output.error is None:
        report.stage = "done"
    return output


def _read(session: Session, document: bytes, file: Path | None) -> Job:
    """The job that a document describes, or refers to. Raises UsageError for a `file` that lies in the job's store."""
    from snapshotter.fleet.document import read
    from snapshotter.fleet.stored_job import check_outside, read_stored, reference_in

    if file is not None:
        check_outside(file, session.store_uri)
    reference = reference_in(document)
    if reference is None:
        job = read(document)
        if file is not None and job.store is not None:
            check_outside(file, job.store)
        return job
    return read_stored(session.store(reading=True), reference, session.settings)


def _snapshots(session: Session, report: JobReport, job: Job) -> Output:
    from snapshotter.archive.catalog import Catalog
    from snapshotter.capture import plan
    from snapshotter.fleet.at_once import AtOnce
    from snapshotter.fleet.new_secrets import gate_of_new_secrets
    from snapshotter.fleet.run import Round, verdict
    from snapshotter.fleet.token_hosts import check_tokens

    check_tokens(job.all_origins, session.settings)
    in_force = plan.make(session.settings, job.options, job.labels, allow_http=session.allow_http)
    at_once = AtOnce.of(session.settings, len(report.origins))
    report.stage = "opening the store"
    store = session.store(job.store, allow_http=job.options.allow_http)
    report.store = store.place.uri
    report.stage = "taking snapshots"
    gate = (
        (lambda sealed: gate_of_new_secrets(Catalog(store), sealed, temp=session.temp))
        if job.options.secret_gate
        else lambda _: None
    )
    with plan.keeping_workers(in_force, at_once.origins) as kept:
        taking = Round(
            store, kept, lambda origin: report.log.about(origin=origin), session.cancel, gate, at_once
        )
        for index, result in taking.take_each(report.origins):
            report.add(index, result)
    if not session.cancel.cancelled:  # a signal leaves no time for it
        _tell_freshness(session, report, Catalog(store))
    return Output(None, error=verdict(report.results))


def _tell_freshness(session: Session, report: JobReport, catalog: Catalog) -> None:
    from snapshotter.base.settings import parse_span
    from snapshotter.cli.fleet_reading import confirmed
    from snapshotter.fleet.freshness import freshness

    span, now = parse_span(session.settings["SNAPSHOTTER_STALE_AFTER"]), datetime.now(UTC)
    known = confirmed(session, catalog.store, span, now)
    report.add_freshness(freshness(catalog, report.origins, now=now, stale_after=span, confirmed=known))


def _verify(session: Session, report: JobReport, job: Job) -> Output:
    from snapshotter.archive.catalog import Catalog
    from snapshotter.base.settings import parse_span
    from snapshotter.recover.ending import ending
    from snapshotter.recover.many import verify_named
    from snapshotter.recover.verify import VerifyOptions

    report.stage = "opening the store"
    store = session.store(job.store, reading=True)
    report.store = store.place.uri
    report.stage = "verifying snapshots"
    limit = session.settings["SNAPSHOTTER_VERIFY_TIMEOUT"]
    seconds = parse_span(limit).total_seconds() if limit else None
    options = VerifyOptions(quick=job.quick, temp=session.temp, seconds=seconds, expiry=session.expiry)
    found = verify_named(
        Catalog(store), None, options, newest=job.newest, observer=session.observer, cancel=session.cancel
    )
    report.add_verification(found)
    return Output(None, error=ending(found.verdicts, found.unread))


def _prove(session: Session, report: JobReport, job: Job) -> Output:
    from snapshotter.access.proof import error_of, target
    from snapshotter.access.prove import prove
    from snapshotter.access.wire import here

    report.stage = "proving the bucket's rules"
    where = target(job.store, session.settings["SNAPSHOTTER_STORE"])
    report.store = (
        f"s3://{where.bucket}/{where.prefix}"  # what is proven, not a folder that no proof is about
    )
    report.log.stage(f"proving the rules of s3://{where.bucket}/{where.prefix}")
    connection = here(plain_endpoint=None, allow_http=session.allow_http)
    proof = prove(connection, where, only=job.only, skip=job.skip, scoped=True, check=session.cancel.check)
    report.add_proof(proof, documents.proof(proof))
    return Output(None, error=error_of(proof))


_VERBS = {"snapshot": _snapshots, "verify": _verify, "prove": _prove}
