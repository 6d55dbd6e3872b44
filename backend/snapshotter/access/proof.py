"""What a proof is: rows with what was expected and what came, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from snapshotter.access.answer import Kind, S3Answer
from snapshotter.access.configuration import GROUP
from snapshotter.access.probe import Probe
from snapshotter.aws.diagnosis import diagnose
from snapshotter.aws.endpoint import check_bucket
from snapshotter.aws.error_document import named_policy
from snapshotter.aws.refused_request import Refused
from snapshotter.aws.scope import PRODUCTION, SCOPE
from snapshotter.base import runbook
from snapshotter.base.errors import Finding, SnapshotterError, Unavailable, UsageError
from snapshotter.base.urls import redact


class Status(StrEnum):
    """How a row came out. Only `passed` is a pass."""

    PASSED = "passed"
    FAILED = "FAILED"
    UNCHECKED = "could not check"
    NOT_SENT = "not sent"  # a change, as an owner or administrator
    SCOPED = "for the scoped identity"  # a refusal that an owner's or administrator's own powers lift
    NOT_JUDGED = "cannot be judged here"


@dataclass(frozen=True)
class Target:
    """The bucket, and the prefix (with its closing slash) that the access policy scopes."""

    bucket: str
    prefix: str


def bucket_of(store: str) -> str | None:
    """The bucket of an S3 store, None for another. Raises UsageError for a name that no bucket can have."""
    if not store.startswith("s3://"):
        return None
    name = store.removeprefix("s3://").partition("/")[0]
    check_bucket(name)
    return name


def target(named: str | None, setting: str, bucket: str | None = None, prefix: str | None = None) -> Target:
    """What to prove. `bucket` and `prefix` win; else those of the S3 store `named`, or of the one in `setting`;
    else production's.

    Raises UsageError for a name that no bucket can have, and for a named store that is not in S3.
    """
    store = named or setting
    its_bucket = bucket_of(store)
    if named and not its_bucket and bucket is None:
        raise UsageError(
            f"no bucket to prove: {redact(named)}", hint="give --bucket, or a store like s3://bucket/prefix/"
        )
    if bucket is not None:
        check_bucket(bucket)
    if prefix is None:
        prefix = (store.removeprefix("s3://").partition("/")[2].strip("/") if its_bucket else "") or SCOPE
    return Target(bucket or its_bucket or PRODUCTION, f"{prefix.strip('/')}/")


@dataclass(frozen=True)
class Result:
    """One row: what was asked, what the rules promise, what S3 answered, and what to do if they differ."""

    id: str
    group: str
    actor: str
    operation: str
    key: str | None
    condition: str
    expected: str
    got: str
    status: Status
    rule: str
    statement: str
    fix: str
    note: str = ""  # why, where the answer alone does not say
    sentence: str | None = None  # S3's own, of a refusal
    request_id: str | None = None

    @classmethod
    def of(cls, probe: Probe, key: str | None, got: str, status: Status, note: str = "") -> Result:
        """The row of a probe that was about `key` and brought `got`."""
        actor, expected = str(probe.actor), str(probe.expected)
        what = (probe.id, probe.group, actor, probe.operation, key, probe.condition, expected)
        return cls(*what, got, status, *probe.rule, note)

    def refused(self, answer: S3Answer, fix: str | None) -> Result:
        """The row with S3's own words, if the answer is a refusal, and with `fix` for its own if there is one."""
        if answer.kind is not Kind.DENIED:
            return self
        return replace(
            self,
            sentence=answer.message or None,
            request_id=answer.request_id,
            fix=fix if fix and self.status is Status.FAILED else self.fix,
        )


@dataclass(frozen=True)
class LeftBehind:
    """Something that a probe wrote where nothing may be written, and the command that removes it."""

    bucket: str
    key: str
    remove: str


@dataclass(frozen=True)
class Proof:
    """What was proven, as whom, and where it wrote. `seconds` is the wall time."""

    bucket: str
    prefix: str
    folder: str
    identity: str | None
    server: str
    owner: bool
    results: tuple[Result, ...]
    leftovers: tuple[LeftBehind, ...]
    seconds: float

    def count(self, status: Status) -> int:
        """How many rows came out so."""
        return sum(result.status is status for result in self.results)

    @property
    def failed(self) -> bool:
        """Whether a rule does not hold."""
        return self.count(Status.FAILED) > 0

    @property
    def shut_out(self) -> bool:
        """Whether nothing is allowed that must be. Then the caller or the target is wrong more likely than a rule."""
        lawful = {result.status for result in self.results if result.expected == "allowed"}
        return Status.FAILED in lawful and Status.PASSED not in lawful

    @property
    def unchecked(self) -> bool:
        """Whether something was left open, so that this is no proof.

        An owner proves the configuration and what holds for everybody: the rows that are about the scoped identity's
        rights are open to another proof, as that identity.
        """
        return self.open > 0 or self.count(Status.PASSED) == 0

    @property
    def open(self) -> int:
        """How many rows were left open."""
        return self.count(Status.UNCHECKED) + (0 if self.owner else self.count(Status.NOT_SENT))


def error_of(proof: Proof) -> SnapshotterError | None:
    """The error that a proof ends with: a finding, "could not check", or none."""
    failed, total = proof.count(Status.FAILED), len(proof.results)
    if failed:
        hint = "see the fix of each row; docs/operations.md says how to check"
        if proof.shut_out:
            hint = _shut_out(proof)
        return Finding(f"{failed} of {total} rules do not hold", code="rules-broken", hint=hint)
    if proof.unchecked:
        hint = "this is no proof: see the rows, and run again"
        if not proof.owner and {row.group for row in proof.results} == {GROUP}:
            hint = "only the bucket's owner may read its settings: run it with those credentials"
        return Unavailable(
            f"{proof.open or total} of {total} rules could not be checked", code="unchecked", hint=hint
        )
    return None


def _shut_out(proof: Proof) -> str:
    """What to do where nothing is allowed that must be. Where S3 named the policy, that row's own fix says it."""
    refused = [row for row in proof.results if row.expected == "allowed" and row.status is Status.FAILED]
    if named := next((row for row in refused if named_policy(row.sentence)), None):
        return f"nothing is allowed here: {named.fix}"
    request = ("PutObject", proof.bucket, proof.folder)
    likely = diagnose(Refused(*request, encryption="AES256", identity=proof.identity, scope=proof.prefix))
    return (
        "nothing is allowed here, so it may be another's bucket, a prefix that the access policy is not "
        f"for, or the identity: {likely.hint} {runbook.see(likely.heading)}"
    )
