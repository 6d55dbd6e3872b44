"""One run of the probes: fills in their keys, sends them, judges the answers, and knows what it left behind."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from snapshotter.access.answer import Kind, S3Answer, unavailable
from snapshotter.access.bucket_probes import OWNERS_READS, PROBES
from snapshotter.access.probe import Actor, Expected, Harm, Probe
from snapshotter.access.proof import Leftover, Result, Status, Target
from snapshotter.access.servers import AWS, WRITE_ONCE, recognise
from snapshotter.access.wire import Wire

BODY = b"Written by `snapshotter prove` to test this bucket's rules. It may be deleted.\n"
TESTS = "policy-tests/"  # under the prefix; expires after a day


class _NotMadeError(Exception):
    """What a row is about could not be made first."""

    def __init__(self, answer: S3Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


@dataclass
class ProbeRun:
    """One run's state: names filled in so far, what the caller turned out to be, what was left behind.

    Raises Unavailable if nothing can be asked: no network, no such bucket.
    """

    wire: Wire
    target: Target
    leftovers: list[Leftover] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = secrets.token_hex(8)
        prefix = self.target.prefix
        self.folder = f"{prefix}{TESTS}{random}/"
        self._uploads: list[tuple[str, str]] = []
        self._made: dict[str, S3Answer] = {}
        self._names = {
            "bucket": self.target.bucket,
            "prefix": prefix,
            "unslashed": prefix.rstrip("/"),
            "parent": "/".join([*prefix.split("/")[:-2], ""]),
            "run": self.folder,
            "random": random,
        }
        first = self._send("ListObjectsV2", prefix, {})
        if first.kind is Kind.UNCHECKED:
            raise unavailable(first, self.target.bucket)
        if first.kind is Kind.DENIED and (write := self._object()).kind is Kind.UNCHECKED:
            raise unavailable(write, self.target.bucket)  # a server may refuse before it looks for the bucket
        reads = [self._send(probe.operation, None, {}) for probe in PROBES if probe.id in OWNERS_READS]
        self.may_be_owner = any(read.kind is not Kind.DENIED for read in reads)
        who = self.wire.identity()
        self.identity = str(who.response["Arn"]) if who.kind is Kind.ALLOWED else ""
        self.server = recognise((each.metadata for each in (first, *reads, who)), is_aws=self.wire.is_aws)
        self.owner = all(read.kind in (Kind.ALLOWED, Kind.OTHER) for read in reads)

    def result(self, probe: Probe) -> Result:
        """Send one probe, unless it must not be sent or cannot be judged, and judge the answer."""
        if reason := self.server.cannot.get(probe.id):
            return _result(probe, self._shown(probe), "–", Status.NOT_JUDGED, reason)
        if self.may_be_owner and probe.harm is not Harm.NONE:
            reason = "these credentials can see the bucket's settings, as only owners and administrators can"
            return _result(probe, self._shown(probe), "–", Status.NOT_SENT, reason)
        try:
            key = None if probe.key is None else self._fill(probe.key)
            params = {name: self._fill_in(value) for name, value in probe.params.items()}
        except _NotMadeError as error:
            return _not_made(probe, self._shown(probe), error.answer)
        answer = self._send(probe.operation, key, params, probe.actor, plain=probe.plain)
        self._remember(probe, key, answer)
        return self._judged(probe, key, answer)

    def clean_up(self) -> None:
        """Give up the multipart uploads that were started, and name those that stay. There is no delete."""
        for key, upload in self._uploads:
            answer = self._send("AbortMultipartUpload", key, {"UploadId": upload})
            if answer.kind is not Kind.ALLOWED and answer.code != "NoSuchUpload":
                command = (
                    f"aws s3api abort-multipart-upload --bucket {self.target.bucket} --key {quote(key)} "
                    f"--upload-id {quote(upload)}"
                )
                self.leftovers.append(Leftover(self.target.bucket, key, command))

    def _judged(self, probe: Probe, key: str | None, answer: S3Answer) -> Result:
        status, note = judge(probe, answer)
        if probe.expected is Expected.REPORTED and answer.kind is Kind.DENIED:
            note = "EnforceWriteOnce is in force: create-only writes pass, this one does not"
        elif probe.expected is Expected.REPORTED and answer.kind is Kind.ALLOWED:
            note = "EnforceWriteOnce is not in force: only versioning keeps what was there"
            if self.server is not AWS:
                note = f"whether EnforceWriteOnce is in force cannot be judged here: {WRITE_ONCE}"
        return _result(probe, key, str(answer), status, note)

    def _send(
        self,
        operation: str,
        key: str | None,
        params: Mapping[str, Any],
        actor: Actor = Actor.SELF,
        *,
        plain: bool = False,
    ) -> S3Answer:
        given: dict[str, Any] = {} if operation == "ListBuckets" else {"Bucket": self.target.bucket}
        if operation.startswith("List") and operation != "ListParts":
            given |= {} if key is None else {"Prefix": key}
        elif key is not None:
            given["Key"] = key
        if operation == "PutObject":
            given["Body"] = BODY
        answer = self.wire.send(operation, {**given, **params}, actor, plain=plain)
        if operation == "GetObject" and answer.response:
            answer.response["Body"].close()
        return answer

    def _remember(self, probe: Probe, key: str | None, answer: S3Answer) -> None:
        if answer.kind is not Kind.ALLOWED or key is None:
            return
        if probe.operation == "CreateMultipartUpload":
            self._uploads.append((key, answer.response["UploadId"]))
        if probe.operation == "PutObject" and not key.startswith(self.folder):
            version = answer.response.get("VersionId")  # without it, a delete would only hide the object
            command = (
                f"aws s3api delete-object --bucket {self.target.bucket} --key {quote(key)}"
                f"{f' --version-id {quote(version)}' if version else ''}  # as an administrator"
            )
            self.leftovers.append(Leftover(self.target.bucket, key, command))

    def _fill(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self._name(match[1]), text)

    def _fill_in(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._fill(value)
        if isinstance(value, list):
            return [self._fill_in(item) for item in value]
        if isinstance(value, Mapping):
            return {name: self._fill_in(item) for name, item in value.items()}
        return value

    def _name(self, name: str) -> str:
        if name in ("object", "version"):
            if (made := self._object()).kind is not Kind.ALLOWED:
                raise _NotMadeError(made)
            return f"{self.folder}object" if name == "object" else str(made.response.get("VersionId", "null"))
        if name == "upload":
            if (made := self._upload()).kind is not Kind.ALLOWED:
                raise _NotMadeError(made)
            return str(made.response["UploadId"])
        return self._names[name]

    def _object(self) -> S3Answer:
        """The answer to a lawful write, which is made once: the object that other rows are about."""
        params = {"ServerSideEncryption": "AES256", "IfNoneMatch": "*"}
        if "object" not in self._made:
            self._made["object"] = self._send("PutObject", f"{self.folder}object", params)
        return self._made["object"]

    def _upload(self) -> S3Answer:
        """The answer to the start of a multipart upload, which is made once and given up at the end."""
        if "upload" not in self._made:
            key = f"{self.folder}upload"
            answer = self._send("CreateMultipartUpload", key, {"ServerSideEncryption": "AES256"})
            self._made["upload"] = answer
            if answer.kind is Kind.ALLOWED:
                self._uploads.append((key, answer.response["UploadId"]))
        return self._made["upload"]

    def _shown(self, probe: Probe) -> str | None:
        """The key of a row that is not sent, without making anything."""
        known = {**self._names, "object": f"{self.folder}object"}
        return None if probe.key is None else re.sub(r"\{(\w+)\}", lambda match: known[match[1]], probe.key)


def judge(probe: Probe, answer: S3Answer) -> tuple[Status, str]:
    """Whether an answer is the one that the rules promise, and a note where it needs one."""
    if answer.kind is Kind.UNCHECKED:
        return Status.UNCHECKED, answer.message[:200]
    wanted, allowed, denied = probe.expected, answer.kind is Kind.ALLOWED, answer.kind is Kind.DENIED
    if wanted is Expected.ALLOWED:
        return (Status.PASSED if allowed else Status.FAILED), ("" if allowed else answer.message[:300])
    if wanted is Expected.CONFLICT:
        return (Status.PASSED if answer.code == "PreconditionFailed" else Status.FAILED), ""
    if wanted is Expected.DIGEST:
        if answer.code == "BadDigest":
            return Status.PASSED, ""
        return Status.FAILED, (
            "the server does not compare the digest: do not store snapshots in it"
            if allowed
            else answer.message[:300]
        )
    if wanted is Expected.REPORTED:
        return (Status.PASSED if allowed or denied else Status.FAILED), ""
    if (
        denied
        and probe.operation == "GetObject"
        and probe.id != "get-missing"
        and "s3:ListBucket" in answer.message
    ):
        # AWS says which right was missing: the object is absent, and only the right to list kept that secret.
        return Status.FAILED, "reading is allowed there: S3 refused only to tell that the key does not exist"
    if denied or answer.code in probe.tolerated:
        return Status.PASSED, ""
    return Status.FAILED, (
        "" if allowed else f"S3 passed it on and failed later: {answer.message[:200]}".rstrip(": ")
    )


def _not_made(probe: Probe, key: str | None, answer: S3Answer) -> Result:
    if probe.expected is Expected.REPORTED and answer.kind is Kind.DENIED:
        return _result(
            probe, key, str(answer), Status.FAILED, "the create-only write before it was refused too"
        )
    reason = f"what it is about could not be made first: {answer}"
    return _result(probe, key, "–", Status.UNCHECKED, reason)


def _result(probe: Probe, key: str | None, got: str, status: Status, note: str = "") -> Result:
    return Result(
        probe.id,
        probe.group,
        str(probe.actor),
        probe.operation,
        key,
        probe.condition,
        str(probe.expected),
        got,
        status,
        probe.rule,
        probe.statement,
        probe.fix,
        note,
    )
