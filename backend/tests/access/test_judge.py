"""How answers are judged that no test server gives: AWS's own words, and trouble on the way."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError

from snapshotter.access.answer import Kind, S3Answer, ask, from_error, unavailable
from snapshotter.access.bucket_probes import PROBES
from snapshotter.access.judge import judge
from snapshotter.access.probe import Actor, Expected, Probe
from snapshotter.access.probe_folder import ProbeFolder
from snapshotter.access.probe_run import look, result
from snapshotter.access.proof import Proof, Result, Status, Target, error_of
from snapshotter.access.servers import AWS, MINISTACK, OTHER, RGW, recognise
from snapshotter.access.wire import Connection, connect, here
from snapshotter.base import runbook
from snapshotter.base.errors import Unavailable, UsageError
from tests.support.httpservers import Scripted, reply

SESSION = boto3.session.Session("key", "secret", region_name="eu-west-1")
ROWS = {probe.id: probe for probe in PROBES}
TROUBLE = (
    ("SlowDown", 503),
    ("NoSuchBucket", 404),
    ("ExpiredToken", 400),
    ("InvalidAccessKeyId", 403),
    ("301", 301),
    ("SignatureDoesNotMatch", 403),
    ("RequestTimeTooSkewed", 403),
    ("PermanentRedirect", 301),
    ("", 0),
    ("InternalError", 500),
    ("NotImplemented", 501),
    ("403", 403),
    ("", 403),
    ("404", 404),  # a proxy's, perhaps
)
DENIED = S3Answer(Kind.DENIED, "AccessDenied", 403)
ALLOWED = S3Answer(Kind.ALLOWED, "", 200)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.id)
def test_no_trouble_is_ever_a_pass(probe: Probe) -> None:
    for code, status in TROUBLE:
        assert judge(probe, from_error(code, status, ""))[0] is Status.UNCHECKED, code
    assert judge(probe, from_error("InvalidRequest", 400, ""))[0] is Status.FAILED


def test_a_head_has_no_code_so_403_stands_for_access_denied() -> None:
    assert judge(ROWS["head-bucket"], from_error("403", 403, "Forbidden", head=True))[0] is Status.PASSED
    assert from_error("404", 404, "Not Found", head=True).code == "NoSuchBucket"


def test_on_aws_reading_an_absent_key_outside_shows_that_reading_is_allowed() -> None:
    message = (
        "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: s3:ListBucket on resource: …"
    )
    assert judge(ROWS["get-outside"], from_error("AccessDenied", 403, message))[0] is Status.FAILED
    assert judge(ROWS["get-missing"], from_error("AccessDenied", 403, message))[0] is Status.PASSED


def test_a_refusal_by_the_key_service_is_not_the_buckets() -> None:
    message = "User: … is not authorized to perform: kms:GenerateDataKey on this resource"
    assert judge(ROWS["put-kms"], from_error("AccessDenied", 403, message))[0] is Status.FAILED


def test_acls_that_are_off_are_a_refusal_of_acls_only() -> None:
    answer = from_error("AccessControlListNotSupported", 400, "")
    assert judge(ROWS["acl-write"], answer)[0] is Status.PASSED
    assert judge(ROWS["tag-read"], answer)[0] is Status.FAILED


def test_a_change_that_got_past_the_rules_fails_though_nothing_changed() -> None:
    for row, code in (
        ("settings-change-policy", "MalformedPolicy"),
        ("settings-change-cors", "MalformedXML"),
        ("settings-read-cors", "NoSuchCORSConfiguration"),
        ("delete-one", "PreconditionFailed"),
    ):
        assert judge(ROWS[row], from_error(code, 400, ""))[0] is Status.FAILED


def test_create_only_must_be_refused_as_taken_and_overwriting_is_reported() -> None:
    conflict = from_error("PreconditionFailed", 412, "")
    assert [judge(ROWS["create-conflict"], each)[0] for each in (conflict, ALLOWED, DENIED)] == [
        Status.PASSED,
        Status.FAILED,
        Status.FAILED,
    ]
    assert (
        judge(ROWS["create-conflict"], from_error("ConditionalRequestConflict", 409, ""))[0]
        is Status.UNCHECKED
    )
    assert [judge(ROWS["overwrite"], each)[0] for each in (ALLOWED, DENIED, conflict)] == [
        Status.PASSED,
        Status.PASSED,
        Status.FAILED,
    ]


def test_what_a_wrong_digest_alone_keeps_out_got_past_the_rules() -> None:
    digest = from_error("BadDigest", 400, "")
    assert [judge(ROWS["put-beside"], each)[0] for each in (digest, DENIED, ALLOWED)] == [
        Status.PASSED,
        Status.FAILED,
        Status.FAILED,
    ]
    assert judge(ROWS["put-beside"], from_error("BadDigest", 400, "words"))[1] == "", "a pass needs no note"
    for row in ("put-beside-no-header", "put-beside-kms", "http-beside"):
        assert [judge(ROWS[row], each)[0] for each in (digest, DENIED)] == [Status.FAILED, Status.PASSED]


class Open:
    """The wire to a bucket that takes every object."""

    is_aws = True

    def send(self, operation: str, *_: object, **__: object) -> S3Answer:
        return S3Answer(Kind.ALLOWED, response={"VersionId": "-v 1"}) if operation == "PutObject" else DENIED

    def identity(self) -> S3Answer:
        return DENIED


def test_the_command_that_removes_a_leftover_can_be_pasted_whatever_the_prefix() -> None:
    folder = ProbeFolder(Open(), Target("b", "it's $(here)/"))  # type: ignore[arg-type]
    result(folder, look(folder), ROWS["put-look-alike"])
    (left,) = folder.leftovers
    assert left.key.startswith("it's $(here)2/")
    words = shlex.split(left.remove, comments=True)
    assert words[5:] == ["--key", left.key, "--version-id=-v 1"]


class WriteOnce:
    """The wire to a bucket with EnforceWriteOnce, which no test server can judge."""

    is_aws = True

    def __init__(self, *, writable: bool = True) -> None:
        self._writable = writable

    def send(self, operation: str, params: dict[str, Any], *_: object, **__: object) -> S3Answer:
        if operation == "PutObject" and self._writable and "IfNoneMatch" in params:
            return S3Answer(Kind.ALLOWED, response={})
        return S3Answer(Kind.ALLOWED, response={}) if operation == "ListObjectsV2" else DENIED

    def identity(self) -> S3Answer:
        return DENIED


def test_where_overwriting_is_refused_it_is_reported_unless_every_write_is() -> None:
    folder = ProbeFolder(WriteOnce(), Target("b", "p/"))  # type: ignore[arg-type]
    row = result(folder, look(folder), ROWS["overwrite"])
    assert (row.status, row.got) == (Status.PASSED, "denied (AccessDenied)")
    assert "EnforceWriteOnce is in force" in row.note
    folder = ProbeFolder(WriteOnce(writable=False), Target("b", "p/"))  # type: ignore[arg-type]
    row = result(folder, look(folder), ROWS["overwrite"])
    assert row.status is Status.FAILED


def test_a_closed_port_is_no_answer() -> None:
    def closed(**_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="http://s3.eu-central-1.amazonaws.com")

    answer = ask(closed)
    assert (answer.kind, answer.code, answer.status) == (Kind.UNCHECKED, "ConnectTimeoutError", 0)
    assert "s3.eu-central-1.amazonaws.com: it does not answer in time" in unavailable(answer, "b").message
    assert judge(ROWS["http-get"], answer)[0] is Status.UNCHECKED


@pytest.mark.parametrize("operation", ["list_objects_v2", "head_bucket"])
@pytest.mark.parametrize("body", [b"", b"Forbidden", b"<html><body>Forbidden</body></html>"])
def test_a_proxys_refusal_is_not_the_buckets(operation: str, body: bytes) -> None:
    def answer(_: object) -> list[bytes]:
        return [reply(403, {"Content-Type": "text/html"}, body)]

    with Scripted(answer) as host:
        wire = connect(Connection(SESSION, f"http://127.0.0.1:{host.port}", allow_http=True))
        found = wire.send("HeadBucket" if "head" in operation else "ListObjectsV2", {"Bucket": "bucket"})
    assert (found.kind, found.status) == (Kind.UNCHECKED, 403)


def test_plain_http_is_asked_by_plain_http_whatever_the_settings_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.eu-west-1.amazonaws.com")
    wire = connect(Connection(SESSION))
    assert wire.is_aws
    assert wire.plain_endpoint == "http://s3.eu-west-1.amazonaws.com"


def test_a_presigned_link_goes_by_the_proxy_as_every_request_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_: object) -> list[bytes]:
        return [reply(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")]

    with Scripted(answer) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        wire = connect(Connection(SESSION, "https://s3.invalid", "http://s3.invalid"))
        for actor in (Actor.SELF, Actor.LINK):
            found = wire.send("GetObject", {"Bucket": "bucket", "Key": "key"}, actor, plain=True)
            assert (found.kind, found.code) == (Kind.DENIED, "AccessDenied"), actor


def test_credentials_that_are_renewed_too_late_are_no_answer() -> None:
    def late(**_: object) -> None:
        raise RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired.")

    assert ask(late).kind is Kind.UNCHECKED


def test_what_cannot_be_had_from_the_settings_is_said_before_any_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value, kind in (
        ("AWS_PROFILE", "nope", UsageError),
        ("AWS_ENDPOINT_URL", "https//nowhere", UsageError),
        ("AWS_CONFIG_FILE", __file__, UsageError),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/x", Unavailable),
        ("AWS_ACCESS_KEY_ID", "half", Unavailable),
    ):
        with monkeypatch.context() as env:
            for each in [each for each in os.environ if each.startswith("AWS_")]:
                env.delenv(each)
            env.setenv("AWS_EC2_METADATA_DISABLED", "true")
            env.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
            if kind is UsageError:
                env.setenv("AWS_ACCESS_KEY_ID", "key")
                env.setenv("AWS_SECRET_ACCESS_KEY", "secret")
            env.setenv(name, value)
            with pytest.raises(kind) as raised:
                _ = connect(here()).endpoint
            assert raised.value.hint, name


def test_where_nothing_is_allowed_the_hint_is_who_asks_before_the_rules() -> None:
    lawful = [row for row in PROBES if row.expected is Expected.ALLOWED]
    results = tuple(Result.of(row, None, "denied", Status.FAILED) for row in lawful)
    execution = "arn:aws:sts::1:assumed-role/fruitful-repo-snapshotter-execution-role/s"
    proof = Proof("b", "p/", "p/policy-tests/0/", execution, "Amazon S3", False, results, (), 0.0)
    error = error_of(proof)
    assert error and "taskRoleArn" in error.hint and runbook.see(runbook.ROLES) in error.hint
    one_right = Result.of(lawful[0], None, "allowed", Status.PASSED)
    error = error_of(replace(proof, results=(*results, one_right)))
    assert error and "the fix of each row" in error.hint


@pytest.mark.parametrize(
    ("policy", "why", "status"),
    [
        ("DenyObjectsToOutsiders", "Access Denied", Status.SCOPED),
        ("DenyObjectsToOutsiders", "with an explicit deny in a resource-based policy", Status.SCOPED),
        ("DenyObjectsToOutsiders", "with an explicit deny in a service control policy", Status.FAILED),
        ("DenyOverwrite", "with an explicit deny in a resource-based policy", Status.FAILED),
    ],
)
def test_an_owner_outside_a_closed_circle_is_no_incident(policy: str, why: str, status: Status) -> None:
    refusal = from_error("AccessDenied", 403, why)
    settings = S3Answer(Kind.ALLOWED, "", 200, response={"Policy": f'{{"Sid": "{policy}"}}'}, metadata={})

    class Outside:
        is_aws = True

        def send(self, operation: str, *_: Any, **__: Any) -> S3Answer:
            if "List" in operation:
                return ALLOWED
            return refusal if "Object" in operation else settings

        def identity(self) -> S3Answer:
            return refusal

    wire: Any = Outside()
    folder = ProbeFolder(wire, Target("b", "p/"))
    caller = look(folder)
    assert caller.owner
    for row in ("put-aes256", "get-inside", "overwrite"):
        found = result(folder, caller, ROWS[row]).status
        assert found is status or (status is Status.FAILED and found is Status.UNCHECKED), row


def test_servers_are_told_apart_and_aws_by_its_host() -> None:
    rgw = {"HTTPHeaders": {"x-amz-request-id": "tx000005495ec0aab20f7e4-006b061368-1010-default"}}
    emulator = {"HTTPHeaders": {"x-amz-request-id": "u", "x-amzn-requestid": "u", "x-amz-id-2": "v"}}
    assert recognise([None, {}, rgw], is_aws=False) is RGW
    assert recognise([{}, emulator], is_aws=False) is MINISTACK
    assert recognise([{"HTTPHeaders": {"x-amz-request-id": "ABC", "x-amz-id-2": "v"}}], is_aws=False) is OTHER
    assert recognise([rgw], is_aws=True) is AWS
