"""The S3 endpoint in force, and what it says to somebody without credentials."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from snapshotter import runbook
from snapshotter.errors import Unavailable

if TYPE_CHECKING:
    import boto3

_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """What a request without credentials brings: the status, the bucket's region ('' if not told), and by how
    many seconds this machine's clock is behind the server's (None if not told)."""

    status: int
    region: str
    skew: float | None


def url(session: boto3.Session, env: Mapping[str, str]) -> str:
    """The endpoint that the store and the SDK use, without a closing slash."""
    named = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
    region = session.region_name or "us-east-1"
    found: str = named or session.client("s3", region_name=region).meta.endpoint_url
    return found.rstrip("/")


def ask(endpoint: str, bucket: str, env: Mapping[str, str]) -> Answer:
    """Ask for the bucket's head, unsigned: S3 refuses, and tells its time and the bucket's region anyway.

    Raises Unavailable if nothing answers.
    """
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import BotoCoreError
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    target = f"{endpoint}/{bucket}"
    verify: Any = env.get("AWS_CA_BUNDLE") or True
    http = URLLib3Session(verify=verify, proxies=get_environ_proxies(target), timeout=_SECONDS)
    began = time.time()
    try:
        answer = http.send(AWSRequest("HEAD", target).prepare())
    except (BotoCoreError, OSError) as error:
        raise Unavailable(
            f"{endpoint} does not answer ({type(error).__name__})",
            code="store",
            hint="check the network, AWS_REGION, AWS_ENDPOINT_URL_S3 and AWS_CA_BUNDLE "
            f"{runbook.see(runbook.REGION)}",
        ) from error
    headers = {key.lower(): value for key, value in answer.headers.items()}
    return Answer(
        answer.status_code,
        headers.get("x-amz-bucket-region", ""),
        _skew(headers.get("date", ""), (began + time.time()) / 2),
    )


def _skew(date: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except ValueError:
        return None
