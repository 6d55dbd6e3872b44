"""`snapshotter job`: one JSON document in, one result document out. What the container runs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snapshotter.base.errors import Defect, SnapshotterError, Unavailable, UsageError
from snapshotter.base.unexpected import as_error
from snapshotter.base.urls import redact
from snapshotter.cli import options as flag
from snapshotter.cli.jsonlog import JsonLog
from snapshotter.cli.session import Flags, Outcome, Session, run

if TYPE_CHECKING:
    from snapshotter.fleet.job import Job, Result


def job(
    stdin: Annotated[str | None, typer.Argument(metavar="[-]", help="Read the document from stdin.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="PATH", help="Read the document from this file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Always so, here.")] = True,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Carry out one job: a JSON document from a file, stdin, or SNAPSHOTTER_JOB.

    Logs and metrics are JSON lines on stderr; stdout gets one result document, on one line. The
    document's fields are in docs/job.schema.json.

    \b
    Examples:
      SNAPSHOTTER_JOB='{"origins": ["https://github.com/psf/requests"]}' snapshotter job
      snapshotter job --file job.json
      echo '{"verb": "prove"}' | snapshotter job -
    """
    log = JsonLog(quiet=quiet)
    report = Report(log, verbose=verbose)
    run(
        Flags(json=json, quiet=quiet, verbose=verbose),
        lambda session: work(session, report, stdin, file),
        observer=log,
        report=report.finish,
    )


class Report:
    """What is known so far, so that an interruption at any moment still prints it."""

    def __init__(self, log: JsonLog, *, verbose: bool = False) -> None:
        self.log = log
        self._verbose = verbose
        self.verb, self.store, self.stage = "", "", "reading the job"
        self.origins: list[str] = []
        self.results: list[Result] = []
        self.proof: Mapping[str, Any] | None = None

    def add(self, result: Result) -> None:
        """One origin is done: log it, count it."""
        self.results.append(result)
        if result.error:
            self.say(result.error, origin=result.origin, stage=result.stage)
        if result.sealed:
            manifest = result.sealed.manifest
            facts = {
                "origin": result.origin,
                "repo": manifest.repo,
                "run_id": manifest.run_id,
                "kind": manifest.kind,
            }
            self.log.say("info", "the snapshot is taken", **facts, seconds=round(result.seconds, 3))
        good = result.sealed is not None  # also where a gate tripped: the snapshot stands
        self.log.count(succeeded=int(good), failed=int(not good), origin=result.origin)

    def say(self, error: SnapshotterError, **fields: Any) -> None:
        """Log an error, with its traceback if it is a defect or if all are wanted."""
        if self._verbose or isinstance(error, Defect):
            fields["traceback"] = "".join(traceback.format_exception(error))
        self.log.say("error", error.message, **fields, error=error.as_dict())

    def finish(self, result: Outcome | BaseException) -> int:
        """Print the result document and return the exit code."""
        from snapshotter.fleet.job import not_done, summary

        error = result.error if isinstance(result, Outcome) else as_error(result)
        self.log.context = {}
        if error and not isinstance(result, Outcome):
            for missed in not_done(self.origins[len(self.results) :], error, self.stage):
                self.add(missed)
        if error and not self.results:
            self.say(error, stage=self.stage)
        document = summary(self.verb, self.store, self.stage, error, self.results)
        if self.proof is not None:
            document["proof"] = dict(self.proof)
        try:
            sys.stdout.write(redact(dumps(document, ensure_ascii=True, default=str)) + "\n")
            sys.stdout.flush()
        except OSError as lost:  # a full disk, a reader that went away
            self.log.say("error", f"the result could not be written: {lost.strerror}", stage=self.stage)
            os.dup2(
                os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
            )  # what is buffered would fail again
            return error.exit_code if error else Unavailable.exit_code
        return error.exit_code if error else 0


def work(session: Session, report: Report, stdin: str | None, file: Path | None) -> Outcome:
    """Read the job and carry it out."""
    from snapshotter.fleet.job import read

    job = read(document(session, stdin, file))
    report.verb, report.origins = job.verb, job.all_origins
    report.store = redact(job.store or session.settings["SNAPSHOTTER_STORE"])
    return _prove(session, report, job) if job.verb == "prove" else _snapshots(session, report, job)


def document(session: Session, stdin: str | None, file: Path | None) -> bytes:
    """The document's bytes: the file or stdin if one is named, else the variable. Raises UsageError."""
    from snapshotter.fleet.job import MAX_DOCUMENT, VARIABLE

    if stdin not in (None, "-") or (stdin and file):
        raise UsageError("give one document: --file PATH, or - for stdin", hint="snapshotter job --help")
    if stdin or str(file) == "-":
        return sys.stdin.buffer.read(MAX_DOCUMENT + 1)
    if file:
        try:
            with file.open("rb") as opened:
                return opened.read(MAX_DOCUMENT + 1)
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}", hint="check the path") from error
    if text := session.settings[VARIABLE]:
        return text.encode("utf-8", "surrogateescape")
    raise UsageError("there is no job", hint=f"set {VARIABLE} to the document, or give --file PATH or -")


def _snapshots(session: Session, report: Report, job: Job) -> Outcome:
    from snapshotter.capture import plan
    from snapshotter.fleet.job import shown, take_each, verdict
    from snapshotter.scan.gate import secret_gate

    made = plan.make(session.settings, job.options, job.labels, allow_http=session.allow_http)
    report.stage = "opening the store"
    store = session.store(job.store, allow_http=job.options.allow_http)
    report.store = store.place.uri
    report.stage = "taking snapshots"
    results = take_each(
        report.origins,
        store,
        made,
        observer=session.observer,
        cancel=session.cancel,
        gate=(lambda sealed: secret_gate(sealed.manifest.scan))
        if job.options.secret_gate
        else lambda _: None,
    )
    for text in report.origins:
        report.log.context = {"origin": shown(text)}
        report.add(next(results))
    error = verdict(report.results)
    if error is None:
        report.stage = "done"
    return Outcome({}, error=error)


def _prove(session: Session, report: Report, job: Job) -> Outcome:
    from dataclasses import asdict

    from snapshotter.access.proof import Status, error_of, target
    from snapshotter.access.prove import prove
    from snapshotter.access.wire import here

    report.stage = "proving the bucket's rules"
    where = target(job.store, session.settings["SNAPSHOTTER_STORE"])
    report.log.stage(f"proving the rules of s3://{where.bucket}/{where.prefix}")
    connection = here(plain_endpoint=None, allow_http=session.allow_http)
    proof = prove(connection, where, only=job.only, skip=job.skip, check=session.cancel.check)
    counts = {status.name.lower(): proof.count(status) for status in Status}
    report.proof = {**asdict(proof), "counts": counts}
    for result in proof.results:
        if result.status in (Status.FAILED, Status.UNCHECKED):
            report.log.say("error", f"{result.id}: {result.status}", row=asdict(result))
    error = error_of(proof)
    if error is None:
        report.stage = "done"
    return Outcome({}, error=error)
