"""What to do about a request that S3 refused though the rules allow it: S3's own sentence, read as everywhere else."""

from __future__ import annotations

from snapshotter.access.answer import S3Answer
from snapshotter.access.probe import Expected, Probe
from snapshotter.access.proof import Target
from snapshotter.aws.diagnosis import diagnose
from snapshotter.aws.error_document import named_policy
from snapshotter.aws.refused_request import Refused
from snapshotter.base import runbook

# The permission of each operation that has another name, as IAM has it.
_PERMISSIONS = {"ListObjectsV2": "ListBucket", "ListParts": "ListMultipartUploadParts"}
_UPLOAD = ("CreateMultipartUpload", "UploadPart")  # s3:PutObject covers them
# A refusal of what the rules let pass; one of anything else is what they promise.
_LET_PASS = (Expected.ALLOWED, Expected.CONFLICT, Expected.DIGEST)


def fix(probe: Probe, key: str | None, answer: S3Answer, target: Target, identity: str | None) -> str | None:
    """What mends a refusal of a probe that the rules let pass, where S3 names the policy; None where it names none.

    `key` is the probe's with its names filled in, `identity` the caller's ARN.
    """
    if probe.expected not in _LET_PASS or not named_policy(answer.message):
        return None
    upload = probe.operation in _UPLOAD
    likely = diagnose(
        Refused(
            "PutObject" if upload else _PERMISSIONS.get(probe.operation, probe.operation),
            target.bucket,
            key or "",
            # A multipart upload's parts carry neither header, and its start cannot say If-None-Match.
            encryption="AES256" if upload else probe.params.get("ServerSideEncryption"),
            create_only=upload or probe.params.get("IfNoneMatch") == "*",
            identity=identity,
            secure=not probe.plain,
            scope=target.prefix,
            sentence=answer.message,
        )
    )
    return f"{likely.hint} {runbook.see(likely.heading)}"
