"""The required policy test: three writes, of which the bucket must refuse two.

    no header -> AccessDenied · AES256 -> stored · aws:kms -> AccessDenied

Each is create-only under a key of its own, so that it works with `EnforceWriteOnce` too.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from snapshotter.access.answer import Kind, S3Answer, arn_of, unavailable
from snapshotter.access.proof import Status
from snapshotter.access.wire import Connection, S3Wire, connect
from snapshotter.aws.diagnosis import diagnose
from snapshotter.aws.endpoint import check_bucket
from snapshotter.aws.error_document import ErrorDocument, named_policy
from snapshotter.aws.refusal import not_accepted
from snapshotter.aws.refused_request import Refused
from snapshotter.aws.scope import SCOPE
from snapshotter.base.errors import UsageError

BODY = b"Written by s3_policy_test.py to test this bucket's rules. It may be deleted.\n"


@dataclass(frozen=True)
class Write:
    """One write of the test: its name, the encryption header's value or None, and whether it must succeed."""

    name: str
    header: str | None
    must_succeed: bool


@dataclass(frozen=True)
class Outcome:
    """What became of one write; `meaning` says what an unexpected answer most likely means."""

    write: Write
    key: str
    status: Status
    answer: S3Answer
    meaning: str = ""

    @property
    def line(self) -> str:
        """The outcome as one line for people."""
        code = self.answer.code
        if self.status is Status.PASSED:
            words = "✅ SUCCESS" if self.write.must_succeed else f"✅ EXPECTED FAILURE ({code})"
        elif self.status is Status.UNCHECKED:
            words = f"❌ COULD NOT CHECK ({code}): {self.meaning}"
        elif self.answer.kind is Kind.ALLOWED:
            words = f"❌ UNEXPECTED SUCCESS: {self.meaning}"
        else:
            words = f"❌ UNEXPECTED FAILURE ({code}): {self.meaning}"
        return f"{self.write.name} → {words}"


WRITES = (
    Write("no_sse_header_should_fail", None, must_succeed=False),
    Write("sse_aes256_should_succeed", "AES256", must_succeed=True),
    Write("sse_aws_kms_should_fail", "aws:kms", must_succeed=False),
)


def inside(prefix: str, scope: str = SCOPE) -> bool:
    """Whether a prefix is the scoped one or below it."""
    parts = prefix.split("/")
    return f"{prefix.rstrip('/')}/".startswith(scope) and not {".", ".."} & set(parts)


def run(
    connection: Connection, bucket: str, prefix: str, *, scope: str = SCOPE, anywhere: bool = False
) -> tuple[Outcome, ...]:
    """Make the three writes under `prefix` and a random folder. `scope` is what the access policy covers.

    Raises UsageError for a prefix outside the scope, unless `anywhere`, and for a name that no bucket can have,
    before any request; Unavailable without credentials.
    """
    check_bucket(bucket)
    if not anywhere and not inside(prefix, scope):
        raise UsageError(
            f"the prefix is outside {scope}: {prefix}",
            hint=f"give {scope}policy-tests, or --allow-any-prefix for a bucket that is laid out otherwise",
        )
    wire = connect(connection)
    folder = f"{prefix.strip('/')}/{secrets.token_hex(8)}".lstrip("/")
    return tuple(outcome_of(wire, bucket, f"{folder}/{write.name}", write, scope) for write in WRITES)


def exit_code(outcomes: tuple[Outcome, ...]) -> int:
    """0 if all three behave, 1 if one misbehaves, 4 if one could not be checked and none misbehaves."""
    statuses = {outcome.status for outcome in outcomes}
    if Status.FAILED in statuses:
        return 1
    return 4 if Status.UNCHECKED in statuses else 0


def outcome_of(wire: S3Wire, bucket: str, key: str, write: Write, scope: str = SCOPE) -> Outcome:
    """Make one write and judge the answer."""
    header = {"ServerSideEncryption": write.header} if write.header else {}
    request = {
        "Bucket": bucket,
        "Key": key,
        "Body": BODY,
        "ContentType": "text/plain",
        "IfNoneMatch": "*",
        **header,
    }
    answer = wire.send("PutObject", request)
    if answer.kind is Kind.UNCHECKED:
        error = unavailable(answer, bucket)
        return Outcome(write, key, Status.UNCHECKED, answer, f"{error.message}; {error.hint}")
    if answer.kind is (Kind.ALLOWED if write.must_succeed else Kind.DENIED):
        return Outcome(write, key, Status.PASSED, answer)
    meaning = _meaning(write, answer)
    if answer.kind is Kind.DENIED:
        refused = Refused(
            "PutObject",
            bucket,
            key,
            encryption=write.header,
            identity=arn_of(wire.identity()),
            scope=scope,
            sentence=answer.message or None,
            request_id=answer.request_id,
        )
        meaning = _refusal(refused)
    return Outcome(write, key, Status.FAILED, answer, meaning)


def _refusal(refused: Refused) -> str:
    """What a refusal of the write that must succeed means, with S3's own words."""
    words = ErrorDocument(message=refused.sentence, request_id=refused.request_id).facts
    guess = "the wrong bucket or prefix, an identity without s3:PutObject there, or a changed bucket policy"
    guesses = () if named_policy(refused.sentence) else (guess,)
    return "; ".join((*guesses, diagnose(refused).hint, *words))


def _meaning(write: Write, answer: S3Answer) -> str:
    if answer.kind is Kind.ALLOWED:
        return (
            "the bucket policy was changed or is missing: it must deny PutObject "
            + (f"with x-amz-server-side-encryption: {write.header}" if write.header else "without the header")
            + "; put the bucket policy of infra/storage.yaml back"
        )
    if not_accepted(answer.code):
        return "the credentials are not valid"
    if answer.code.startswith("KMS."):
        return (
            "the bucket policy let aws:kms pass, and the key refused it: put the bucket policy of "
            "infra/storage.yaml back"
        )
    if answer.code == "PreconditionFailed":
        return "a random key is taken: something else writes here, or an earlier write was stored"
    if not write.must_succeed:
        return (
            "the bucket policy let it pass, and S3 refused it later for another reason: put the bucket policy of "
            "infra/storage.yaml back"
        )
    return (
        "refused for another reason than the bucket policy: not the bucket that it should be, or the request "
        "was altered on its way"
    )
