"""What a proof and the policy test advise where S3 names the policy: an answer of the shape that AWS gives."""

from __future__ import annotations

from collections.abc import Iterable

import boto3
import pytest

from snapshotter.access import policy_test
from snapshotter.access.proof import Proof, Status, Target, error_of
from snapshotter.access.prove import prove
from snapshotter.access.wire import Connection
from snapshotter.aws.refusal import StoreDenied
from snapshotter.base import runbook
from snapshotter.store.opening import open_store
from tests.access.support import SCOPE, make_bucket
from tests.infra.template import access_policy, bucket_policy
from tests.servers import Server
from tests.support.httpservers import Scripted, Seen, reply

ARN = "arn:aws:sts::123456789012:assumed-role/fruitful-repo-snapshotter-task-role/0123"
SESSION = boto3.session.Session("key", "secret", region_name="eu-west-1")
BUCKET_POLICY = "with an explicit deny in a resource-based policy"
ENDPOINT = "with an explicit deny in a VPC endpoint policy"
IDENTITY = "because no identity-based policy allows the s3:PutObject action"


def refusing(why: str) -> Scripted:
    def answer(request: Seen) -> Iterable[bytes]:
        text = f"User: {ARN} is not authorized to perform: s3:PutObject on resource: &quot;x&quot; {why}"
        body = f"<Error><Code>AccessDenied</Code><Message>{text}</Message><RequestId>5Y3Z</RequestId></Error>"
        headers = {"Content-Type": "application/xml", "x-amz-request-id": "5Y3Z"}
        return [reply(403, headers, b"" if request.method == "HEAD" else body.encode())]

    return Scripted(answer)


def connection(host: Scripted) -> Connection:
    return Connection(SESSION, f"http://127.0.0.1:{host.port}", allow_http=True)


def proven(why: str) -> Proof:
    with refusing(why) as host:
        return prove(connection(host), Target("bucket", "p/"), only=["put-aes256", "put-kms"])


@pytest.mark.parametrize(
    ("why", "advice", "heading"),
    [
        (BUCKET_POLICY, "the bucket's own policy denies it", runbook.WHICH_POLICY),
        (ENDPOINT, "the policy of the VPC endpoint", runbook.WHICH_POLICY),
        (IDENTITY, f"no policy attached to {ARN}", runbook.PUT_DENIED),
    ],
)
def test_a_row_that_must_pass_is_mended_where_s3_says_that_it_was_refused(
    why: str, advice: str, heading: str
) -> None:
    proof = proven(why)
    lawful, forbidden = proof.results
    assert (lawful.status, forbidden.status) == (Status.FAILED, Status.PASSED)
    assert advice in lawful.fix
    assert lawful.fix.endswith(runbook.see(heading))
    assert (lawful.sentence or "").endswith(why)
    assert lawful.request_id == forbidden.request_id == "5Y3Z"
    assert forbidden.fix.startswith("put the bucket policy"), (
        "a refusal that the rules promise needs no other fix"
    )
    error = error_of(proof)
    assert error and advice in error.hint


def test_where_s3_names_no_policy_a_row_has_its_own_fix() -> None:
    lawful, _ = proven("for a reason that is not told").results
    assert lawful.fix.startswith("attach the access policy")


@pytest.mark.parametrize(
    ("why", "advice"), [(BUCKET_POLICY, "the identity has no part in it"), (ENDPOINT, "VPC endpoint")]
)
def test_the_policy_test_blames_whom_s3_names_and_gives_its_words(why: str, advice: str) -> None:
    with refusing(why) as host:
        outcomes = policy_test.run(connection(host), "bucket", "repo-scans/snapshotter/policy-tests")
    line = outcomes[1].line
    assert "UNEXPECTED FAILURE (AccessDenied)" in line
    assert advice in line
    assert why in line
    assert "request id: 5Y3Z" in line
    assert "an identity without" not in line


def test_a_store_over_plain_http_is_told_so_where_the_server_judges_it(ministack_server: Server) -> None:
    bucket = "over-plain-http"
    make_bucket(ministack_server, bucket, bucket_policy(BucketName=bucket), access_policy(BucketName=bucket))
    env = ministack_server.environment(ministack_server.user)
    uri = f"s3://{bucket}/{SCOPE}"
    open_store(uri, allow_http=True, env=env).put_new("r/x", b"x")
    plain = open_store(uri, allow_http=True, env=env | {"AWS_ENDPOINT_URL_S3": ministack_server.http_url})
    with pytest.raises(StoreDenied) as raised:
        plain.list("r")  # it refuses the signature of a PUT by the endpoint as its own proxy
    assert raised.value.cause == "plain-http"
    assert "use an https endpoint" in raised.value.hint
    assert any(detail.startswith("S3 says: ") for detail in raised.value.details)
