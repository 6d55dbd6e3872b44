"""The S3 servers that other tests stand on enforce the bucket's rules (design, section 3), as each can.

The policies are the template's own. Where a server departs from AWS, the departure is a test too, so that
nobody builds on what is not there.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.infra.template import access_policy, bucket_policy
from tests.servers import Keys, Server, assume_role, client, ministack, put_bucket_with_policy, rgw

BUCKET = "snapshots-under-test"
PREFIX = "repo-scans/snapshotter/"
AES256 = {"ServerSideEncryption": "AES256"}

START = {"rgw": rgw, "ministack": ministack}


@pytest.fixture(scope="module", params=START)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with START[request.param]() as server:
        put_bucket_with_policy(
            server, BUCKET, bucket_policy(BucketName=BUCKET), access_policy(BucketName=BUCKET)
        )
        put_object = client(server, server.user).put_object
        put_object(Bucket=BUCKET, Key=f"{PREFIX}there", Body=b"bytes", **AES256)
        yield server


@pytest.fixture(scope="module")
def role(server: Server) -> Keys:
    return assume_role(server, access_policy(BucketName=BUCKET))


@pytest.fixture(params=["user", "role"])
def s3(request: pytest.FixtureRequest, server: Server) -> Any:
    """A client of the least-privileged user, then of the role with the same rights."""
    return client(server, server.user if request.param == "user" else request.getfixturevalue("role"))


def answer(call: Callable[..., Any], **kwargs: Any) -> tuple[int, str]:
    """The status and S3's error code (for HEAD, which has no body, the status again); "" for success."""
    try:
        return call(Bucket=BUCKET, **kwargs)["ResponseMetadata"]["HTTPStatusCode"], ""
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


DENIED = (403, "AccessDenied")
NEW = iter(range(1_000_000))


def new_key() -> str:
    return f"{PREFIX}{next(NEW)}"


def test_a_put_with_the_encryption_header_under_the_prefix_passes(s3: Any) -> None:
    key = new_key()
    assert answer(s3.put_object, Key=key, Body=b"1", **AES256) == (200, "")
    assert answer(s3.put_object, Key=new_key(), Body=b"1", Tagging="kind=base&repo=x", **AES256) == (200, "")
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"1"


def test_a_put_without_the_header_or_with_another_value_is_denied(s3: Any) -> None:
    assert answer(s3.put_object, Key=new_key(), Body=b"1") == DENIED
    assert answer(s3.put_object, Key=new_key(), Body=b"1", ServerSideEncryption="aws:kms") == DENIED


@pytest.mark.parametrize("key", ["x", "repo-scans/x", "repo-scans/snapshotter", "repo-scans/snapshotter-2/x"])
def test_outside_the_prefix_everything_is_denied(s3: Any, key: str) -> None:
    assert answer(s3.put_object, Key=key, Body=b"1", **AES256) == DENIED
    assert answer(s3.get_object, Key=key) == DENIED


def test_lists_need_the_prefix(s3: Any) -> None:
    assert answer(s3.list_objects_v2, Prefix=PREFIX) == (200, "")
    assert answer(s3.list_objects_v2, Prefix=f"{PREFIX}some-repo/2026/") == (200, "")
    assert answer(s3.list_objects_v2) == DENIED
    for prefix in ("", "repo-scans/", "repo-scans/snapshotter", "other/"):
        assert answer(s3.list_objects_v2, Prefix=prefix) == DENIED


def test_nothing_else_is_allowed(s3: Any) -> None:
    there = f"{PREFIX}there"
    assert answer(s3.delete_object, Key=there) == DENIED
    assert answer(s3.get_object_tagging, Key=f"{PREFIX}of-nobody") == DENIED
    assert answer(s3.get_bucket_location) == DENIED
    assert answer(s3.get_bucket_policy) == DENIED
    assert answer(s3.head_bucket) == (403, "403")
    assert s3.get_object(Bucket=BUCKET, Key=there)["Body"].read() == b"bytes"


def test_a_second_create_only_put_is_refused(s3: Any) -> None:
    key = new_key()
    assert answer(s3.put_object, Key=key, Body=b"1", IfNoneMatch="*", **AES256) == (200, "")
    assert answer(s3.put_object, Key=key, Body=b"2", IfNoneMatch="*", **AES256) == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"1"


def test_a_missing_key_is_403_on_rgw_as_on_aws_and_404_on_ministack(server: Server, s3: Any) -> None:
    expected = {"rgw": [DENIED, (403, "403")], "ministack": [(404, "NoSuchKey"), (404, "404")]}
    found = [answer(s3.get_object, Key=f"{PREFIX}none"), answer(s3.head_object, Key=f"{PREFIX}none")]
    assert found == expected[server.kind]


def test_plain_http_is_denied_on_ministack_and_passes_on_rgw(server: Server) -> None:
    s3 = client(server, server.user, plain=True)
    listing = answer(s3.list_objects_v2, Prefix=PREFIX)
    assert listing == ({"ministack": DENIED, "rgw": (200, "")}[server.kind])
    if server.kind == "ministack":
        assert answer(s3.get_object, Key=f"{PREFIX}there") == DENIED
        assert answer(s3.put_object, Key=new_key(), Body=b"1", **AES256) == DENIED


def test_a_stranger_and_a_wrong_secret_get_nothing(server: Server) -> None:
    stranger = client(server, server.stranger)
    assert answer(stranger.put_object, Key=new_key(), Body=b"1", **AES256) == DENIED
    assert answer(stranger.get_object, Key=f"{PREFIX}there") == DENIED
    assert answer(stranger.list_objects_v2, Prefix=PREFIX) == DENIED
    forger = client(server, Keys(server.user.access_key, "wrong"))
    expected = {"rgw": DENIED, "ministack": (403, "SignatureDoesNotMatch")}  # AWS answers as ministack does
    assert answer(forger.list_objects_v2, Prefix=PREFIX) == expected[server.kind]


def test_a_forged_session_token_gets_nothing(server: Server, role: Keys) -> None:
    assert role.token
    forged = client(server, Keys(role.access_key, role.secret_key, role.token[::-1]))
    assert answer(forged.list_objects_v2, Prefix=PREFIX)[0] in (400, 403)


@pytest.mark.parametrize("start", START.values(), ids=START)
def test_two_servers_run_side_by_side_and_leave_nothing(start: Callable[[], Any]) -> None:
    with start() as one, start() as two:
        assert one.https_url != two.https_url
        for server in (one, two):
            client(server, server.owner).create_bucket(Bucket="same-name")
    assert not one.folder.exists()
    assert not two.folder.exists()
