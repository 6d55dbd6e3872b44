"""Run the table of probes as whoever the credentials are, and compare what S3 answers with what it must."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from snapshotter.access import configuration
from snapshotter.access.answer import Answer, Kind, unavailable
from snapshotter.access.bucket import OWNERS_READS, PROBES
from snapshotter.access.probe import Actor, Expected, Harm, Probe
from snapshotter.access.servers import recognise
from snapshotter.access.wire import Connection, Wire
from snapshotter.denial import SCOPE
from snapshotter.errors import SnapshotterError, Unavailable, UsageError

BODY = b"Written by `snapshotter prove` to test this bucket's rules. It may be deleted.\n"
PRODUCTION = "fruitful-lab-snapshots-prod"
TESTS = "policy-tests/"  # under the prefix; expires after a day


class Status(StrEnum):
    """How a row came out. Only `passed` is a pass."""

    PASSED = "passed"
    FAILED = "FAILED"
    UNCHECKED = "could not check"
    NOT_SENT = "not sent"  # a change, as an owner or administrator
    NOT_JUDGED = "cannot be judged here"


@dataclass(frozen=True)
class Target:
    """The bucket, and the prefix (with its closing slash) that the access policy scopes."""

    bucket: str
    prefix: str


def target(store: str, bucket: str | None = None, prefix: str | None = None) -> Target:
    """What to prove: `bucket` and `prefix` where given, else an S3 store's, else production's."""
    found = re.fullmatch(r"s3://([^/]+)/*(.*)", store)
    bucket = bucket or (found[1] if found else PRODUCTION)
    prefix = prefix if prefix is not None else (found[2] if found and found[2] else SCOPE)
    return Target(bucket, f"{prefix.strip('/')}/")


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


@dataclass(frozen=True)
class Leftover:
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
    identity: str
    server: str
    owner: bool
    results: tuple[Result, ...]
    leftovers: tuple[Leftover, ...]
    seconds: float

    def count(self, status: Status) -> int:
        """How many rows came out so."""
        return sum(result.status is status for result in self.results)

    @property
    def failed(self) -> bool:
        """Whether a rule does not hold."""
        return self.count(Status.FAILED) > 0

    @property
    def unchecked(self) -> bool:
        """Whether something was left open, so that this is no proof."""
        open_ = self.count(Status.UNCHECKED) + self.count(Status.NOT_SENT)
        return open_ > 0 or self.count(Status.PASSED) == 0


def select(only: Sequence[str], skip: Sequence[str] = ()) -> tuple[tuple[Probe, ...], bool]:
    """The rows whose id or group matches a pattern (`put-*`, `delete`), and whether to read the settings
    as their owner (group `configuration`) by all means. Raises UsageError for a pattern that matches none."""
    ids = {name for probe in PROBES for name in (probe.id, probe.group)} | configuration.NAMES
    for pattern in (*only, *skip):
        if not any(fnmatchcase(name, pattern) for name in ids):
            groups = sorted({probe.group for probe in PROBES} | {configuration.GROUP})
            raise UsageError(
                f"no row is called {pattern}",
                hint=f"groups: {', '.join(groups)}; rows: see `snapshotter prove --json`",
            )

    def chosen(*names: str) -> bool:
        wanted = not only or any(fnmatchcase(name, pattern) for name in names for pattern in only)
        return wanted and not any(fnmatchcase(name, pattern) for name in names for pattern in skip)

    rows = tuple(probe for probe in PROBES if chosen(probe.id, probe.group))
    return rows, bool(only) and any(chosen(name, configuration.GROUP) for name in configuration.NAMES)


def prove(
    connection: Connection,
    target: Target,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    check: Callable[[], None] = lambda: None,
) -> Proof:
    """Send the probes and judge the answers; `check` is called before each and may raise to stop.

    Raises UsageError for a prefix or a pattern that cannot be meant, and Unavailable if nothing can be
    asked at all: no credentials, no network, no such bucket.
    """
    if not re.fullmatch(r"(?:[^/]+/)+", target.prefix) or ".." in target.prefix.split("/"):
        raise UsageError(f"not a prefix: {target.prefix}", hint="give one like repo-scans/snapshotter/")
    probes, settings = select(only, skip)
    start = time.monotonic()
    wire = Wire(connection)
    run = _Run(wire, target)
    results = [run.result(probe) for probe in _each(probes, check)]
    if run.owner if not only else settings:
        results += [_setting(found) for found in configuration.read(wire.send, target.bucket, target.prefix)]
        results = [result for result in results if not _left_out(result, skip)]
    run.clean_up()
    return Proof(
        target.bucket, target.prefix, run.folder, run.identity, run.server.name, run.owner, tuple(results),
        tuple(run.leftovers), time.monotonic() - start,
    )  # fmt: skip


def _each(probes: Sequence[Probe], check: Callable[[], None]) -> Iterator[Probe]:
    for probe in probes:
        check()
        yield probe


def _left_out(result: Result, skip: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in (result.id, result.group) for pattern in skip)


class _NotMadeError(Exception):
    """What a row is about could not be made first."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


@dataclass
class _Run:
    """One run's state: names filled in so far, what the caller turned out to be, what was left behind."""

    wire: Wire
    target: Target
    leftovers: list[Leftover] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = secrets.token_hex(8)
        prefix = self.target.prefix
        self.folder = f"{prefix}{TESTS}{random}/"
        self._uploads: list[tuple[str, str]] = []
        self._made: dict[str, Answer] = {}
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
                    f"aws s3api abort-multipart-upload --bucket {self.target.bucket} --key {key} "
                    f"--upload-id {upload}"
                )
                self.leftovers.append(Leftover(self.target.bucket, key, command))

    def _judged(self, probe: Probe, key: str | None, answer: Answer) -> Result:
        status, note = judge(probe, answer)
        if probe.expected is Expected.REPORTED and answer.kind is Kind.DENIED:
            note = "EnforceWriteOnce is in force: create-only writes pass, this one does not"
        elif probe.expected is Expected.REPORTED and answer.kind is Kind.ALLOWED:
            note = "EnforceWriteOnce is not in force: only versioning keeps what was there"
        return _result(probe, key, str(answer), status, note)

    def _send(
        self,
        operation: str,
        key: str | None,
        params: Mapping[str, Any],
        actor: Actor = Actor.SELF,
        *,
        plain: bool = False,
    ) -> Answer:
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

    def _remember(self, probe: Probe, key: str | None, answer: Answer) -> None:
        if answer.kind is not Kind.ALLOWED or key is None:
            return
        if probe.operation == "CreateMultipartUpload":
            self._uploads.append((key, answer.response["UploadId"]))
        if probe.operation == "PutObject" and not key.startswith(self.folder):
            command = (
                f"aws s3api delete-object --bucket {self.target.bucket} --key '{key}'  # as an administrator"
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
            key = f"{self.folder}object"
            made = self._make(
                "object", "PutObject", key, {"ServerSideEncryption": "AES256", "IfNoneMatch": "*"}
            )
            return key if name == "object" else str(made.response.get("VersionId", "null"))
        if name == "upload":
            if (made := self._upload()).kind is not Kind.ALLOWED:
                raise _NotMadeError(made)
            return str(made.response["UploadId"])
        return self._names[name]

    def _object(self) -> Answer:
        """The answer to a lawful write, which is made once: the object that other rows are about."""
        params = {"ServerSideEncryption": "AES256", "IfNoneMatch": "*"}
        if "object" not in self._made:
            self._made["object"] = self._send("PutObject", f"{self.folder}object", params)
        return self._made["object"]

    def _upload(self) -> Answer:
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


def judge(probe: Probe, answer: Answer) -> tuple[Status, str]:
    """Whether an answer is the one that the rules promise, and a note where it needs one."""
    if answer.kind is Kind.UNCHECKED:
        return Status.UNCHECKED, answer.message[:200]
    wanted, allowed, denied = probe.expected, answer.kind is Kind.ALLOWED, answer.kind is Kind.DENIED
    if wanted is Expected.ALLOWED:
        return (Status.PASSED if allowed else Status.FAILED), ("" if allowed else answer.message[:300])
    if wanted is Expected.CONFLICT:
        return (Status.PASSED if answer.code == "PreconditionFailed" else Status.FAILED), ""
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


def _not_made(probe: Probe, key: str | None, answer: Answer) -> Result:
    if probe.expected is Expected.REPORTED and answer.kind is Kind.DENIED:
        return _result(
            probe, key, str(answer), Status.FAILED, "the create-only write before it was refused too"
        )
    reason = f"what it is about could not be made first: {answer}"
    return _result(probe, key, "–", Status.UNCHECKED, reason)


def _result(probe: Probe, key: str | None, got: str, status: Status, note: str = "") -> Result:
    return Result(
        probe.id, probe.group, str(probe.actor), probe.operation, key, probe.condition, str(probe.expected),
        got, status,
        probe.rule, probe.statement, probe.fix, note,
    )  # fmt: skip


def _setting(found: configuration.Found) -> Result:
    status = {True: Status.PASSED, False: Status.FAILED, None: Status.UNCHECKED}[found.holds]
    setting = found.setting
    return Result(
        setting.id, configuration.GROUP, str(Actor.OWNER), setting.operation, None, "–", setting.expected,
        found.got, status,
        setting.rule, "", setting.fix,
    )  # fmt: skip


def error_of(proof: Proof) -> SnapshotterError | None:
    """The error that a proof ends with: a finding, "could not check", or none."""
    from snapshotter.errors import Finding

    failed, total = proof.count(Status.FAILED), len(proof.results)
    if failed:
        hint = "see the fix of each row; docs/operations.md says how to check"
        if proof.owner:
            hint = (
                "an owner or administrator may do what these rules deny to others: prove them as the task role "
                "or an operator, and the settings with --only configuration"
            )
        return Finding(f"{failed} of {total} rules do not hold", code="rules-broken", hint=hint)
    if proof.unchecked:
        open_ = total - proof.count(Status.PASSED) - proof.count(Status.NOT_JUDGED)
        return Unavailable(
            f"{open_ or total} of {total} rules could not be checked", code="unchecked",
            hint="this is no proof: see the rows, and run again",
        )  # fmt: skip
    return None
