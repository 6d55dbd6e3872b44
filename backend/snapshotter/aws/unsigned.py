"""What S3 tells without credentials, asked by botocore's own client: through the proxy, as the SDK goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from snapshotter.aws.endpoint import Endpoint
from snapshotter.aws.unreached import unreached, words_of
from snapshotter.base import runbook
from snapshotter.base.errors import Unavailable
from snapshotter.base.urls import redact

_SECONDS: Final = 10  # to connect, and without a byte


@dataclass(frozen=True)
class UnsignedReply:
    """What came back. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoReply(Exception):
    """Nothing came back. `kind` is the class of the client's error, whose text may hold the URL, and a link's token."""

    def __init__(self, error: Exception) -> None:
        super().__init__(words_of(error))
        self.kind = type(error).__name__


@dataclass(frozen=True)
class EndpointReply:
    """What the question for a bucket's head brings.

    `status` is HTTP's. `region` is the bucket's. `skew` is by how many seconds this machine's clock is behind the
    server's. Both are None if the server does not tell. `by_s3` is whether S3 itself answered, and nothing on the way.
    """

    status: int
    region: str | None
    skew: float | None
    by_s3: bool


def send(method: str, url: str, ca_bundle: str | None = None) -> UnsignedReply:
    """Send one request without a body; no redirect is followed. `ca_bundle` is a PEM file. Raises NoReply."""
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    verify: Any = ca_bundle or True  # the stubs know of no path
    http = URLLib3Session(verify=verify, proxies=get_environ_proxies(url), timeout=_SECONDS)
    try:
        reply = http.send(AWSRequest(method, url).prepare())
        body = reply.content
    except (BotoCoreError, OSError) as error:
        raise NoReply(error) from error
    headers = {name.lower(): text for name, text in reply.headers.items()}
    return UnsignedReply(reply.status_code, headers, body)


def ask(endpoint: Endpoint, bucket: str) -> EndpointReply:
    """Ask for the bucket's head, unsigned: S3 refuses, and tells its time and the bucket's region anyway.

    Raises Unavailable if nothing answers.
    """
    began = time.time()
    try:
        reply = send("HEAD", f"{endpoint.url}/{bucket}", endpoint.ca_bundle)
    except NoReply as error:
        raise unreached(str(error), endpoint.url) or Unavailable(
            f"no answer from S3 at {redact(endpoint.url)} ({error.kind})",
            code="store",
            hint="check the network, AWS_REGION, AWS_ENDPOINT_URL_S3 and AWS_CA_BUNDLE "
            f"{runbook.see(runbook.REGION)}",
        ) from error
    # The server wrote its date at some moment between the two: the middle is off by half the way there and back.
    middle = (began + time.time()) / 2
    return EndpointReply(
        reply.status,
        reply.headers.get("x-amz-bucket-region"),
        _skew(reply.headers.get("date"), middle),
        by_s3="x-amz-request-id" in reply.headers,
    )


def _skew(date: str | None, now: float) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp() - now if date else None
    except ValueError:
        return None
