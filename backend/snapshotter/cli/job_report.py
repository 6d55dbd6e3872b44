"""What a job has done so far, kept so that it is printed even if the job is interrupted."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING

from snapshotter.base.errors import AccessDenied, Defect, OutOfTime, SnapshotterError, Unavailable
from snapshotter.base.unexpected import as_error
from snapshotter.base.urls import redact
from snapshotter.cli.jsonlog import JsonLog
from snapshotter.cli.output import Output

if TYPE_CHECKING:
    from snapshotter.access.proof import Proof
    from snapshotter.fleet.document import OriginResult
    from snapshotter.fleet.freshness import Freshness
    from snapshotter.recover.many import Verification

_MOST_TOLD = 20  # problems of one snapshot in the log; its receipt has all

_LONGEST_TRACEBACK = 8_000  # characters


class JobReport:
    """Logs and counts each result as it comes, and in the end prints the one document that holds all.

    `verb`, `store`, `stage` and `origins` are kept up to date by the code that carries out the job. The main thread
    reads them in the end, even if that code hangs.
    """

    def __init__(self, log: JsonLog, *, verbose: bool = False) -> None:
        self.log = log
        self._verbose = verbose
        self.verb, self.store, self.stage = "", "", "reading the job"
        self.origins: list[str] = []
        self.is_of_service = True  # else its origins are not the group that the alarm is about
        self._results: dict[int, OriginResult] = {}  # by the origin's place in the job
        self._proof: Mapping[str, object] | None = None
        self._verification: Mapping[str, object] | None = None

    @property
    def results(self) -> list[OriginResult]:
        """The results that there are, in the job's order."""
        return [result for _, result in sorted(self._results.items())]

    def add(self, index: int, result: OriginResult) -> None:
        """Log and count the result of one origin, whose place in the job is `index`."""
        self._results[index] = result
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
        counts = {"SnapshotsSucceeded": int(good), "SnapshotsFailed": int(not good)}
        self.log.measure(counts | {"ScansFailed": int(result.scan_failed)}, origin=result.origin)

    def add_freshness(self, fresh: Freshness) -> None:
        """Which origins lack a good snapshot that is young enough: log and count them."""
        for origin in fresh.stale:
            self.log.say("error", "no good snapshot that is young enough", origin=origin)
        if not self.is_of_service:
            return
        self.log.measure({"OriginsStale": len(fresh.stale)})
        if fresh.oldest is not None:
            self.log.measure({"OldestSnapshotAge": int(fresh.oldest.total_seconds())}, unit="Seconds")

    def add_verification(self, found: Verification) -> None:
        """What a verification found: log what is damaged or could not be checked, and count all."""
        damaged = [verdict for verdict in found.verdicts if verdict.problems]
        unchecked = [verdict for verdict in found.verdicts if verdict.unchecked]
        good = len(found.verdicts) - len(damaged) - len(unchecked)
        self._verification = {
            "ok": good,
            "damaged": [f"{verdict.run.repo}@{verdict.run.run_id}" for verdict in damaged],
            "unchecked": len(unchecked),
            "unread": [str(each) for each in found.unread],
            "expired": len(found.expired),
        }
        for verdict in damaged:
            problems = [str(problem) for problem in verdict.problems[:_MOST_TOLD]]
            run = {"repo": verdict.run.repo, "run_id": str(verdict.run.run_id)}
            self.log.say("error", "the snapshot is damaged", **run, problems=problems)
        for each in found.unread:
            self.log.say("error", each.error.message, repo=each.repo)
        counts = {"SnapshotsVerified": good, "SnapshotsUnchecked": len(unchecked) + len(found.unread)}
        if (
            damaged or not counts["SnapshotsUnchecked"]
        ):  # else none is known: a 0 would end the alarm of one found before
            counts["SnapshotsDamaged"] = len(damaged)
        self.log.measure(counts)

    def add_proof(self, proof: Proof, document: Mapping[str, object]) -> None:
        """Keep a proof and its document, and log each rule that does not hold or could not be checked."""
        from snapshotter.access.proof import Status

        self._proof = document
        for result in proof.results:
            if result.status in (Status.FAILED, Status.UNCHECKED):
                self.log.say("error", f"{result.id}: {result.status}", row=asdict(result))

    def say(self, error: SnapshotterError, **fields: object) -> None:
        """Log an error; with its traceback if it is a defect, or with --verbose."""
        if self._verbose or isinstance(error, Defect):
            # The end says most, and a longer line would be cut by the log's driver.
            fields["traceback"] = "".join(traceback.format_exception(error))[-_LONGEST_TRACEBACK:]
        self.log.say("error", error.message, **fields, error=error.as_dict())

    def finish(self, result: Output | BaseException) -> int:
        """Print the result document and return the exit code."""
        from snapshotter.fleet.document import summary
        from snapshotter.fleet.run import not_done, verdict

        error = result.error if isinstance(result, Output) else as_error(result)
        if isinstance(error, AccessDenied):  # only then: it takes a request to STS
            from snapshotter.aws.identity import with_identity

            error = with_identity(error)
        if error and not isinstance(result, Output):
            for index, text in enumerate(self.origins):
                if index not in self._results:
                    self.add(index, not_done(text, error, self.stage))
        # The job's limit is no signal: it ends as partial if some snapshots were taken before it.
        if isinstance(error, OutOfTime):
            error = verdict(self.results) or error
        if error and not self.results:
            self.say(error, stage=self.stage)
        document = summary(self.verb, self.store, self.stage, error, self.results)
        if self._proof is not None:
            document["proof"] = self._proof
        if self._verification is not None:
            document["verification"] = self._verification
        exit_code = error.exit_code if error else 0
        return exit_code if self._print(document) else exit_code or Unavailable.exit_code

    def _print(self, document: Mapping[str, object]) -> bool:
        """Print the document, as one line of a log. Returns whether stdout took it; if not, the log says why."""
        from snapshotter.fleet.result_line import within

        try:
            sys.stdout.write(within(document, _line) + "\n")
            sys.stdout.flush()
        except OSError as lost:  # a full disk, a reader that went away
            self.log.say("error", f"the result could not be written: {lost.strerror}", stage=self.stage)
            # What is buffered would fail again when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return False
        return True


def _line(document: Mapping[str, object]) -> str:
    return redact(dumps(document, ensure_ascii=True, default=str))
