"""What the store makes of S3's answers, and what it asks: a scripted server says what no real one says on demand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from snapshotter.aws.refusal import StoreDenied
from snapshotter.base import runbook
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import (
    AccessDenied,
    Interrupted,
    Missing,
    SnapshotterError,
    Unavailable,
    Unusable,
)
from snapshotter.store import bucket_errors
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from snapshotter.store.s3_requests import S3Failed
from tests.support.httpservers import Scripted, Seen, reply
from tests.support.wires import free_port

PREFIX = "repo-scans/snapshotter/"
KEY = f"/bucket/{PREFIX}r/x"
ENV = {"AWS_ACCESS_KEY_ID": "KEYID", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": "s3ss10n"}


class Bucket:
    """The least an S3 server is: PUT that creates, GET, LIST; `faults` are answers given instead, once each.

    A fault of b"" hangs up after the request was carried out: the answer is lost.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.faults: list[bytes] = []
        self.only: Callable[[Seen], bool] = lambda _: True

    def __call__(self, request: Seen) -> Iterable[bytes]:
        fault = self.faults.pop(0) if self.faults and self.only(request) else None
        if fault:
            return [fault]
        answer = self._carry_out(request)
        return [] if fault == b"" else [answer]

    def _carry_out(self, request: Seen) -> bytes:
        path = urlsplit(request.target).path
        if request.method == "PUT":
            if path in self.objects:
                return error(412, "PreconditionFailed")
            self.objects[path] = request.body
            return reply(200, {"ETag": '"e"'})
        if path.strip("/") == "bucket":
            return self._listing(parse_qs(urlsplit(request.target).query)["prefix"][0])
        if path not in self.objects:
            return error(403, "AccessDenied")  # as a bucket does whose list needs a prefix
        head = {"ETag": '"e"', "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"}
        data = self.objects[path]
        if wanted := request.headers.get("range"):  # a reader goes on where its connection broke
            first = int(wanted.removeprefix("bytes=").split("-")[0])
            head["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            return reply(206, head, data[first:])
        return reply(200, head, data)

    def _listing(self, prefix: str) -> bytes:
        keys = [key.removeprefix("/bucket/") for key in sorted(self.objects)]
        found = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-11-23T12:00:00.000Z</LastModified><ETag>e</ETag>"
            f"<Size>{len(self.objects['/bucket/' + key])}</Size></Contents>"
            for key in keys
            if key.startswith(prefix)
        )
        return reply(200, {}, f"<ListBucketResult><Name>bucket</Name>{found}</ListBucketResult>".encode())


def error(status: int, code: str) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>m</Message></Error>'
    return reply(status, {"Content-Type": "application/xml"}, body.encode())


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def server(bucket: Bucket) -> Iterator[Scripted]:
    with Scripted(bucket) as server:
        yield server


@pytest.fixture
def store(server: Scripted) -> Store:
    store = opened(server)
    store.pause = lambda *_: None
    return store


def opened(server: Scripted) -> Store:
    env = ENV | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.port}", "AWS_REGION": "us-east-1"}
    return open_store(f"s3://bucket/{PREFIX}", allow_http=True, env=env)


def error_of(call: Callable[[], object]) -> SnapshotterError:
    with pytest.raises(SnapshotterError) as raised:
        call()
    assert raised.value.hint
    for secret in ("s3cr3t", "s3ss10n"):
        assert secret not in str(raised.value.as_dict())
    return raised.value


CALLS: dict[str, Callable[[Store], object]] = {
    "PutObject": lambda store: store.put_new("r/x", b"x"),
    "GetObject": lambda store: store.get("r/x"),
    "ListBucket": lambda store: store.list("r"),
}


def test_every_request_keeps_the_buckets_rules(store: Store, server: Scripted) -> None:
    large = bytes(12 * 1024 * 1024)  # beyond where clients like to begin with multipart
    store.put_new("r/x", large, content_type="application/json", tags={"kind": "base", "repo": "a__b"})
    store.get("r/x")
    store.list("r", after="r/2026")
    store.folders("r")
    store.folders("")
    store.list("")
    put, *reads = server.seen
    assert (put.method, urlsplit(put.target).path) == ("PUT", KEY)
    assert put.headers["x-amz-server-side-encryption"] == "AES256"
    assert put.headers["if-none-match"] == "*"
    assert put.headers["content-type"] == "application/json"
    assert parse_qs(put.headers["x-amz-tagging"]) == {"kind": ["base"], "repo": ["a__b"]}
    assert put.body == large
    assert {request.method for request in reads} == {"GET"}
    for request in reads[1:]:
        (prefix,) = parse_qs(urlsplit(request.target).query)["prefix"]
        assert prefix.startswith(PREFIX)
    assert all("x-amz-security-token" in request.headers for request in server.seen)


def test_every_write_carries_the_checksum_without_which_a_bucket_that_locks_takes_none(
    store: Store, bucket: Bucket, server: Scripted
) -> None:
    needs = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
    bucket.only = lambda request: not any(name.startswith("x-amz-checksum-") for name in request.headers)
    bucket.faults = [refusal("InvalidRequest", needs, status=400)] * 9
    bodies = (b"", b"these bytes", bytes(range(256)) * 3000)
    for number, body in enumerate(bodies):
        digest = hashlib.sha256(body).hexdigest()
        store.put_new(f"r/{number}", memoryview(body), sha256=digest if number else None)
    for request, body in zip(server.seen, bodies, strict=True):
        assert request.body == body
        assert base64.b64decode(request.headers["x-amz-checksum-sha256"]) == hashlib.sha256(body).digest()
        assert request.headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
        assert "x-amz-checksum-sha256" in request.headers["authorization"], "it is signed"


def test_a_write_whose_answer_was_lost_is_done(store: Store, bucket: Bucket, server: Scripted) -> None:
    bucket.faults = [b""]
    store.put_new("r/x", b"these bytes")
    assert bucket.objects == {KEY: b"these bytes"}
    assert [request.method for request in server.seen] == ["PUT", "PUT", "GET", "GET"]


def test_anothers_object_is_not_taken_for_ours(store: Store, bucket: Bucket) -> None:
    bucket.objects[KEY] = b"other bytes"
    assert error_of(lambda: store.put_new("r/x", b"these bytes")).code == "exists"
    assert bucket.objects == {KEY: b"other bytes"}


@pytest.mark.parametrize(
    "fault",
    [
        error(409, "ConditionalRequestConflict"),
        error(503, "SlowDown"),
        error(500, "InternalError"),
        error(429, "TooManyRequests"),
        error(400, "RequestTimeout"),
        reply(502, {}, b"<html>bad gateway</html>"),
        reply(404, {}, b"default backend - 404"),
        reply(404),
    ],
)
@pytest.mark.parametrize("action", CALLS)
def test_trouble_that_passes_is_outlasted(store: Store, bucket: Bucket, fault: bytes, action: str) -> None:
    if action != "PutObject":
        bucket.objects[KEY] = b"x"
    bucket.faults = [fault]
    CALLS[action](store)
    assert bucket.objects == {KEY: b"x"}


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (error(403, "AccessDenied"), AccessDenied, "store-denied"),
        (error(403, "ExpiredToken"), Unavailable, "credentials"),
        (error(400, "ExpiredToken"), Unavailable, "credentials"),
        (error(403, "InvalidAccessKeyId"), Unavailable, "credentials"),
        (error(403, "SignatureDoesNotMatch"), Unavailable, "credentials"),
        (error(403, "RequestTimeTooSkewed"), Unavailable, "credentials"),
        (error(404, "NoSuchBucket"), Unavailable, "no-bucket"),
        (error(301, "PermanentRedirect"), Unavailable, "region"),
        (error(400, "EntityTooLarge"), Unavailable, "store"),
        (reply(403, {}, b""), Unavailable, "store"),
        (reply(403, {}, b"<html>blocked by the proxy</html>"), Unavailable, "store"),
    ],
)
@pytest.mark.parametrize("action", CALLS)
def test_refusals_are_told_apart_and_not_repeated(
    store: Store,
    bucket: Bucket,
    server: Scripted,
    fault: bytes,
    kind: type[SnapshotterError],
    code: str,
    action: str,
) -> None:
    if action != "PutObject":
        bucket.objects[KEY] = b"x"
    bucket.faults = [fault] * 20
    bucket.only = lambda request: (
        (request.method, "list-type" in request.target)
        == {"PutObject": ("PUT", False), "GetObject": ("GET", False), "ListBucket": ("GET", True)}[action]
    )
    raised = error_of(lambda: CALLS[action](store))
    assert (isinstance(raised, kind), raised.code) == (True, code)
    assert len([request for request in server.seen if bucket.only(request)]) == 1


@pytest.mark.parametrize("action", CALLS)
def test_a_dead_endpoint_is_could_not_whatever_the_key_says(server: Scripted, action: str) -> None:
    env = ENV | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{free_port()}", "AWS_REGION": "us-east-1"}
    words = "403-404-301-AccessDenied-NoSuchKey-Forbidden-credential-UnknownIssuer-TimedOut"
    dead = open_store(f"s3://bucket/{PREFIX}{words}/", allow_http=True, env=env)
    dead.pause = lambda *_: None
    raised = error_of(lambda: CALLS[action](dead))
    assert (raised.code, raised.exit_code) == ("store", 4)
    port = env["AWS_ENDPOINT_URL_S3"].rpartition(":")[2]
    assert raised.message == f"no answer from S3 at 127.0.0.1:{port}: it refuses the connection"
    assert "AWS_ENDPOINT_URL_S3" in raised.hint


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (
            "NameResolutionError: HTTPSConnection(host='s3.example', port=9): Failed to resolve 's3.example' "
            "([Errno -2] Name or service not known)",
            "no such host",
        ),
        ("ReadTimeoutError: Read timed out. (read timeout=60.0)", "does not answer"),
        ("ProtocolError: ('Connection aborted.', ConnectionResetError(104, '...'))", "it hangs up"),
    ],
)
def test_why_an_endpoint_gave_no_answer(cause: str, said: str) -> None:
    """The library's text, as it was seen: these cannot be had on loopback at will."""
    failed = S3Failed(None, f"no answer from https://user:s3cr3t@s3.example:9/ {cause}")
    assert failed.passes
    found = bucket_errors.in_bucket(failed, "s3://b/", "GetObject", "k")
    assert found.message.startswith("no answer from S3 at s3.example:9: ")
    assert said in found.message
    assert "network" in found.hint
    assert "s3cr3t" not in str(found.as_dict())


@pytest.mark.parametrize("words", [b"default backend - 404", b"<html><h1>404 Not Found</h1></html>", b""])
@pytest.mark.parametrize("action", CALLS)
def test_a_404_that_s3_did_not_write_is_no_missing_object(
    store: Store, bucket: Bucket, server: Scripted, words: bytes, action: str
) -> None:
    bucket.faults = [reply(404, {}, words)] * 100
    failed = error_of(lambda: CALLS[action](store))
    assert (failed.code, isinstance(failed, Unusable)) == ("store", False)
    assert "HTTP 404, and not in S3's words" in failed.message
    assert "AWS_ENDPOINT_URL_S3" in failed.hint
    assert len(server.seen) == 2, (
        "it is tried again, once: an ingress that starts answers so, and any other server"
    )


KNOWN: dict[str, bytes] = {
    "a refusal": error(403, "AccessDenied"),
    "a list": b"",
    "trouble": error(503, "SlowDown"),
}


@pytest.mark.parametrize("known_by", KNOWN)
@pytest.mark.parametrize("action", CALLS)
def test_where_s3_has_answered_a_404_that_it_did_not_write_is_outlasted(
    store: Store, bucket: Bucket, server: Scripted, known_by: str, action: str
) -> None:
    bucket.faults = [KNOWN[known_by]]
    with contextlib.suppress(AccessDenied):
        store.list("r")
    bucket.faults, before = [reply(404, {}, b"default backend - 404")] * 100, len(server.seen)
    assert "not in S3's words" in error_of(lambda: CALLS[action](store)).message
    assert len(server.seen) - before == 6


def test_other_trouble_of_a_server_that_has_never_answered_as_s3_is_outlasted(
    store: Store, bucket: Bucket, server: Scripted
) -> None:
    bucket.faults = [reply(502, {}, b"<html>bad gateway</html>")] * 100
    error_of(lambda: store.list("r"))
    assert len(server.seen) == 6


@pytest.mark.parametrize("action", CALLS)
def test_only_of_an_object_that_is_read_s3_says_that_it_is_missing(
    store: Store, bucket: Bucket, server: Scripted, action: str
) -> None:
    bucket.faults = [error(404, "NoSuchKey")] * 100
    failed = error_of(lambda: CALLS[action](store))
    assert isinstance(failed, Missing) is (action == "GetObject")
    assert len(server.seen) == 1


READS: dict[str, Callable[[Store], object]] = {
    "whole": lambda store: store.get("r/x"),
    "in parts": lambda store: store.get_range("r/x", 2, 4),
    "piece by piece": lambda store: list(store.stream("r/x")),
}


@pytest.mark.parametrize("read", READS)
def test_a_missing_key_is_missing_where_that_answers_403(store: Store, bucket: Bucket, read: str) -> None:
    missing = error_of(lambda: READS[read](store))
    assert isinstance(missing, Missing)
    bucket.objects[KEY] = b"x"
    bucket.faults = [error(403, "AccessDenied")]
    assert isinstance(error_of(lambda: READS[read](store)), AccessDenied), "it is listed"


def test_an_object_that_expires_while_it_comes_is_missing(store: Store, bucket: Bucket) -> None:
    bucket.objects[KEY] = b"all of these bytes"
    cut = bucket._carry_out(Seen("GET", KEY, {}, b""))[:-3]
    del bucket.objects[KEY]
    bucket.faults = [cut]
    assert isinstance(error_of(lambda: list(store.stream("r/x"))), Missing)


def test_a_body_cut_short_is_not_taken_for_whole(store: Store, bucket: Bucket) -> None:
    bucket.objects[KEY] = b"all of these bytes"
    whole = bucket._carry_out(Seen("GET", KEY, {}, b""))
    bucket.faults = [whole[:-3]]
    assert store.get("r/x") == b"all of these bytes"
    bucket.faults = [whole[:-3]] * 100
    assert error_of(lambda: store.get("r/x")).exit_code == 4


def test_a_server_in_trouble_is_could_not(store: Store, bucket: Bucket) -> None:
    bucket.faults = [error(503, "SlowDown")] * 100
    failed = error_of(lambda: store.put_new("r/x", b"x"))
    assert (failed.code, failed.exit_code) == ("store", 4)
    assert bucket.objects == {}


def test_a_cancelled_write_stops_between_tries(server: Scripted, bucket: Bucket) -> None:
    cancel = Cancel()
    threading.Timer(0.2, cancel.cancel).start()
    bucket.faults = [error(409, "ConditionalRequestConflict")] * 100
    bucket.only = lambda request: request.method == "PUT"
    with pytest.raises(Interrupted):
        opened(server).put_new("r/x", b"x", cancel=cancel)
    assert bucket.objects == {}


SCP = (
    "User: arn:aws:sts::123456789012:assumed-role/task/0123 is not authorized to perform: s3:{} on resource: "
    "&quot;arn:aws:s3:::bucket/x&quot; with an explicit deny in a service control policy"
)


def refusal(code: str, message: str, more: str = "", *, status: int = 403) -> bytes:
    """An answer of the shape that S3 gives."""
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}'
        "<RequestId>5Y3ZAMPLE</RequestId><HostId>aG9zdA==</HostId></Error>"
    )
    return reply(status, {"Content-Type": "application/xml", "x-amz-request-id": "5Y3ZAMPLE"}, body.encode())


@pytest.mark.parametrize("action", CALLS)
def test_a_refusal_carries_s3s_own_words_and_the_policy_that_they_name_is_the_cause(
    bucket: Bucket, store: Store, action: str
) -> None:
    bucket.objects[KEY] = b"x"
    bucket.faults = [refusal("AccessDenied", SCP.format(action))]
    error = error_of(lambda: CALLS[action](store))
    assert isinstance(error, StoreDenied)
    assert error.cause == "organisation-policy"
    said = next(detail for detail in error.details if detail.startswith("S3 says: "))
    assert said.endswith('"arn:aws:s3:::bucket/x" with an explicit deny in a service control policy')
    assert "request id: 5Y3ZAMPLE" in error.details
    assert "identity: arn:aws:sts::123456789012:assumed-role/task/0123" in error.details


@pytest.mark.parametrize(
    ("code", "slug"), [("InvalidObjectState", "archived"), ("AllAccessDisabled", "disabled")]
)
def test_an_archived_object_and_a_disabled_bucket_are_not_denied(
    bucket: Bucket, store: Store, code: str, slug: str
) -> None:
    bucket.faults = [refusal(code, "as S3 says it")]
    error = error_of(lambda: store.get("r/x"))
    assert (error.code, error.exit_code) == (slug, 4)
    assert {"S3 says: as S3 says it", "request id: 5Y3ZAMPLE"} <= set(error.details)


def test_over_plain_http_a_refusal_that_names_no_other_policy_is_put_down_to_that(
    bucket: Bucket, store: Store
) -> None:
    bucket.faults = [refusal("AccessDenied", "Access Denied")]
    error = error_of(lambda: store.put_new("r/x", b"x"))
    assert isinstance(error, StoreDenied)
    assert error.cause == "plain-http"
    assert runbook.see(runbook.PLAIN_HTTP) in error.hint


def test_the_region_that_s3_names_is_told(bucket: Bucket, store: Store) -> None:
    malformed = refusal("AuthorizationHeaderMalformed", "wrong", "<Region>eu-west-1</Region>", status=400)
    for action, call in CALLS.items():
        bucket.faults = [malformed]
        error = error_of(lambda call=call: call(store))  # type: ignore[misc]
        assert (error.code, "eu-west-1" in error.message) == ("region", True), action
        assert "set AWS_REGION=eu-west-1" in error.hint
    elsewhere = {"x-amz-bucket-region": "eu-south-2"}
    bucket.faults = [reply(301, elsewhere, b"<Error><Code>PermanentRedirect</Code></Error>")]
    assert "set AWS_REGION=eu-south-2" in error_of(lambda: store.list("r")).hint
