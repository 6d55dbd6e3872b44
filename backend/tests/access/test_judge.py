"""How answers are judged that no test server gives: AWS's own words, and trouble on the way."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError

from snapshotter.access.answer import Answer, Kind, ask, from_error, unavailable
from snapshotter.access.bucket import PROBES
from snapshotter.access.probe import Probe
from snapshotter.access.proof import Status, Target
from snapshotter.access.run import Run, judge
from snapshotter.access.servers import AWS, MINISTACK, OTHER, RGW, recognise

ROWS = {probe.id: probe for probe in PROBES}
TROUBLE = (
    ("SlowDown", 503), ("NoSuchBucket", 404), ("ExpiredToken", 400), ("InvalidAccessKeyId", 403), ("301", 301),
    ("SignatureDoesNotMatch", 403), ("RequestTimeTooSkewed", 403), ("PermanentRedirect", 301), ("", 0),
    ("InternalError", 500), ("NotImplemented", 501),
)  # fmt: skip
DENIED = Answer(Kind.DENIED, "AccessDenied", 403)
ALLOWED = Answer(Kind.ALLOWED, "", 200)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.id)
def test_no_trouble_is_ever_a_pass(probe: Probe) -> None:
    for code, status in TROUBLE:
        assert judge(probe, from_error(code, status, ""))[0] is Status.UNCHECKED, code
    assert judge(probe, from_error("InvalidRequest", 400, ""))[0] is Status.FAILED


def test_a_head_has_no_code_so_403_stands_for_access_denied() -> None:
    assert judge(ROWS["head-bucket"], from_error("403", 403, "Forbidden"))[0] is Status.PASSED
    assert judge(ROWS["head-bucket"], from_error("404", 404, "Not Found"))[0] is Status.UNCHECKED


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
        ("settings-change-policy", "MalformedPolicy"), ("settings-change-cors", "MalformedXML"),
        ("settings-read-cors", "NoSuchCORSConfiguration"), ("delete-one", "PreconditionFailed"),
    ):  # fmt: skip
        assert judge(ROWS[row], from_error(code, 400, ""))[0] is Status.FAILED


def test_create_only_must_be_refused_as_taken_and_overwriting_is_reported() -> None:
    conflict = from_error("PreconditionFailed", 412, "")
    assert [judge(ROWS["create-conflict"], each)[0] for each in (conflict, ALLOWED, DENIED)] == [
        Status.PASSED, Status.FAILED, Status.FAILED,
    ]  # fmt: skip
    assert (
        judge(ROWS["create-conflict"], from_error("ConditionalRequestConflict", 409, ""))[0]
        is Status.UNCHECKED
    )
    assert [judge(ROWS["overwrite"], each)[0] for each in (ALLOWED, DENIED, conflict)] == [
        Status.PASSED, Status.PASSED, Status.FAILED,
    ]  # fmt: skip


class WriteOnce:
    """The wire to a bucket with EnforceWriteOnce, which no test server can judge."""

    is_aws = True

    def __init__(self, *, writable: bool = True) -> None:
        self._writable = writable

    def send(self, operation: str, params: dict[str, Any], *_: object, **__: object) -> Answer:
        if operation == "PutObject" and self._writable and "IfNoneMatch" in params:
            return Answer(Kind.ALLOWED, response={})
        return Answer(Kind.ALLOWED, response={}) if operation == "ListObjectsV2" else DENIED

    def identity(self) -> Answer:
        return DENIED


def test_where_overwriting_is_refused_it_is_reported_unless_every_write_is() -> None:
    row = Run(WriteOnce(), Target("b", "p/")).result(ROWS["overwrite"])  # type: ignore[arg-type]
    assert (row.status, row.got) == (Status.PASSED, "denied (AccessDenied)")
    assert "EnforceWriteOnce is in force" in row.note
    row = Run(WriteOnce(writable=False), Target("b", "p/")).result(ROWS["overwrite"])  # type: ignore[arg-type]
    assert row.status is Status.FAILED


def test_a_closed_port_is_no_answer() -> None:
    def closed(**_: object) -> None:
        raise ConnectTimeoutError(endpoint_url="http://s3.eu-central-1.amazonaws.com")

    answer = ask(closed)
    assert (answer.kind, answer.code, answer.status) == (Kind.UNCHECKED, "ConnectTimeoutError", 0)
    assert unavailable(answer, "b").code == "network"
    assert judge(ROWS["http-get"], answer)[0] is Status.UNCHECKED


def test_servers_are_told_apart_and_aws_by_its_host() -> None:
    rgw = {"HTTPHeaders": {"x-amz-request-id": "tx000005495ec0aab20f7e4-006b061368-1010-default"}}
    emulator = {"HTTPHeaders": {"x-amz-request-id": "u", "x-amzn-requestid": "u", "x-amz-id-2": "v"}}
    assert recognise([None, {}, rgw], is_aws=False) is RGW
    assert recognise([{}, emulator], is_aws=False) is MINISTACK
    assert recognise([{"HTTPHeaders": {"x-amz-request-id": "ABC", "x-amz-id-2": "v"}}], is_aws=False) is OTHER
    assert recognise([rgw], is_aws=True) is AWS
