"""Where one proof writes: the names in its probes, what they need made first, and what they leave behind."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Any

from snapshotter.access.answer import Kind, S3Answer
from snapshotter.access.probe import Actor, Probe
from snapshotter.access.proof import LeftBehind, Target
from snapshotter.access.wire import S3Wire

BODY = b"Written by `snapshotter prove` to test this bucket's rules. It may be deleted.\n"
TESTS = "policy-tests/"  # under the prefix; expires after a day
_LAWFUL = {"ServerSideEncryption": "AES256", "IfNoneMatch": "*"}


class NotMade(Exception):
    """What a row is about could not be made first. `answer` is the refusal."""

    def __init__(self, answer: S3Answer) -> None:
        super().__init__(str(answer))
        self.answer = answer


@dataclass
class ProbeFolder:
    """The folder of one proof in the target's bucket, and the requests that its probes make."""

    wire: S3Wire
    target: Target
    random: str = field(default_factory=lambda: secrets.token_hex(8))
    leftovers: list[LeftBehind] = field(default_factory=list)
    _made: dict[str, S3Answer] = field(default_factory=dict)
    _uploads: list[tuple[str, str]] = field(default_factory=list)  # key and id of each that was started

    @property
    def path(self) -> str:
        """The folder's key, with its closing slash."""
        return f"{self.target.prefix}{TESTS}{self.random}/"

    @property
    def object_key(self) -> str:
        """The key of the object that other rows are about, as deep as a run's: writing once is enforced from there."""
        return f"{self.path}year/month/day/object"

    def probe(self, probe: Probe) -> tuple[str | None, S3Answer]:
        """Send one probe; its key and the answer. Raises NotMade if what it is about could not be made."""
        key = None if probe.key is None else self._filled(probe, probe.key)
        params = {name: self._filled_in(probe, value) for name, value in probe.params.items()}
        answer = self.send(probe.operation, key, params, probe.actor, plain=probe.plain)
        self._remember(probe, key, answer)
        return key, answer

    def key(self, probe: Probe) -> str | None:
        """The key of a probe that is not sent; nothing is made for it."""
        if probe.key is None:
            return None
        known = {**self._names(probe), "object": self.object_key}
        return re.sub(r"\{(\w+)\}", lambda match: known[match[1]], probe.key)

    def send(
        self,
        operation: str,
        key: str | None,
        params: Mapping[str, Any],
        actor: Actor = Actor.SELF,
        *,
        plain: bool = False,
    ) -> S3Answer:
        """One request about the target's bucket. `key` is a prefix for lists, None for neither."""
        given: dict[str, Any] = {} if operation == "ListBuckets" else {"Bucket": self.target.bucket}
        if operation.startswith("List") and operation != "ListParts":
            given |= {} if key is None else {"Prefix": key}
        elif key is not None:
            given["Key"] = key
        if operation in ("PutObject", "UploadPart"):
            given["Body"] = BODY
        answer = self.wire.send(operation, {**given, **params}, actor, plain=plain)
        if operation == "GetObject" and answer.response:
            answer.response["Body"].close()
        return answer

    def object(self) -> S3Answer:
        """The answer to a lawful write, which is made once: the object that other rows are about."""
        if "object" not in self._made:
            self._made["object"] = self.send("PutObject", self.object_key, _LAWFUL)
        return self._made["object"]

    def retention(self) -> S3Answer:
        """The answer to until when the object that locks are tried on was locked when it was written."""
        return self._made["retention"]

    def clean_up(self) -> None:
        """Give up the multipart uploads that were started, and note those that stay. Nothing can be deleted."""
        for key, upload in self._uploads:
            answer = self.send("AbortMultipartUpload", key, {"UploadId": upload})
            if answer.kind is not Kind.ALLOWED and answer.code != "NoSuchUpload":
                command = (
                    f"aws s3api abort-multipart-upload --bucket {self.target.bucket} --key {quote(key)} "
                    f"--upload-id {quote(upload)}"
                )
                self.leftovers.append(LeftBehind(self.target.bucket, key, command))

    def _upload(self) -> S3Answer:
        """The answer to the start of a multipart upload, which is made once and given up at the end."""
        if "upload" not in self._made:
            key = f"{self.path}upload"
            answer = self.send("CreateMultipartUpload", key, {"ServerSideEncryption": "AES256"})
            self._made["upload"] = answer
            if answer.kind is Kind.ALLOWED:
                self._uploads.append((key, answer.response["UploadId"]))
        return self._made["upload"]

    def _kept(self) -> S3Answer:
        """The answer to a lawful write, which is made once: the object that locks are tried on."""
        if "kept" not in self._made:
            key = f"{self.path}kept"
            self._made["kept"] = written = self.send("PutObject", key, _LAWFUL)
            version = {"VersionId": written.response.get("VersionId", "null")} if written.response else {}
            self._made["retention"] = self.send("GetObjectRetention", key, version)
        return self._made["kept"]

    def _remember(self, probe: Probe, key: str | None, answer: S3Answer) -> None:
        """Note what a probe made that has to be given up or removed."""
        if answer.kind is not Kind.ALLOWED or key is None:
            return
        if probe.operation == "CreateMultipartUpload":
            self._uploads.append((key, answer.response["UploadId"]))
        if probe.operation == "PutObject" and not key.startswith(self.path):
            # Without it, a delete would only hide the object. With `=`, since it may begin with a dash.
            version = answer.response.get("VersionId")
            command = (
                f"aws s3api delete-object --bucket {self.target.bucket} --key {quote(key)}"
                f"{f' --version-id={quote(version)}' if version else ''}  # as an administrator"
            )
            self.leftovers.append(LeftBehind(self.target.bucket, key, command))

    def _names(self, probe: Probe) -> dict[str, str]:
        prefix = self.target.prefix
        return {
            "id": probe.id,
            "bucket": self.target.bucket,
            "prefix": prefix,
            "unslashed": prefix.rstrip("/"),
            "parent": "/".join([*prefix.split("/")[:-2], ""]),
            "run": self.path,
            "random": self.random,
            "kept": f"{self.path}kept",
            "soon": (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds"),
        }

    def _name(self, probe: Probe, name: str) -> str:
        """What a name in a probe stands for; what it is about is made if it is not there yet."""
        if name in ("object", "version"):
            if (written := self.object()).kind is not Kind.ALLOWED:
                raise NotMade(written)
            if name == "object":
                return self.object_key
            return str(written.response.get("VersionId", "null"))
        if name == "kept_version":
            if (written := self._kept()).kind is not Kind.ALLOWED:
                raise NotMade(written)
            if (retention := self.retention()).kind is Kind.UNCHECKED:
                raise NotMade(retention)
            return str(written.response.get("VersionId", "null"))
        if name == "upload":
            if (started := self._upload()).kind is not Kind.ALLOWED:
                raise NotMade(started)
            return str(started.response["UploadId"])
        return self._names(probe)[name]

    def _filled(self, probe: Probe, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: self._name(probe, match[1]), text)

    def _filled_in(self, probe: Probe, value: Any) -> Any:
        if isinstance(value, str):
            return self._filled(probe, value)
        if isinstance(value, list):
            return [self._filled_in(probe, item) for item in value]
        if isinstance(value, Mapping):
            return {name: self._filled_in(probe, item) for name, item in value.items()}
        return value
