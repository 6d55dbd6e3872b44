"""The AWS settings in force, the S3 endpoint among them, and what it tells without credentials."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from snapshotter.aws import unsigned
from snapshotter.base import runbook
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.urls import redact

if TYPE_CHECKING:
    from boto3.session import Session as Session


@dataclass(frozen=True)
class EndpointReply:
    """What a request without credentials brings.

    `status` is HTTP's. `region` is the bucket's. `skew` is by how many seconds this machine's clock is behind the
    server's. The last two are None if the server does not tell.
    """

    status: int
    region: str | None
    skew: float | None


@contextmanager
def settings() -> Iterator[None]:
    """A context for code that reads AWS's settings. Raises UsageError for settings that cannot be used."""
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (BotoCoreError, ValueError) as error:
        raise UsageError(
            f"the AWS settings cannot be used: {redact(str(error))}",
            hint="check AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL_S3 and the configuration file "
            f"{runbook.see(runbook.REGION)}",
        ) from error


def session() -> Session:
    """A session by this process's own settings: the AWS_ variables, profiles, the task role.

    Raises UsageError for a profile that does not exist, or a configuration file that cannot be read.
    """
    import boto3

    with settings():
        return boto3.session.Session()


def check_bucket(name: str) -> None:
    """Raise UsageError for a name that no bucket can have."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        shown = redact(f"s3://{name}/")
        raise UsageError(
            f"no bucket can be called that: {shown}", hint="give its name, or s3://bucket/prefix/"
        )


def url(session: Session, env: Mapping[str, str]) -> str:
    """The endpoint that the store and the SDK use, without a closing slash.

    Raises UsageError for one that is no http or https URL.
    """
    named = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL")
    region = session.region_name or "us-east-1"
    with settings():
        endpoint: str = named or session.client("s3", region_name=region).meta.endpoint_url
        split = urlsplit(endpoint)
        if split.scheme not in ("http", "https") or not split.hostname:
            raise ValueError(f"no endpoint: {endpoint}")
    return endpoint.rstrip("/")


def ask(endpoint: str, bucket: str, env: Mapping[str, str]) -> EndpointReply:
    """Ask for the bucket's head, unsigned: S3 refuses, and tells its time and the bucket's region anyway.

    Raises Unavailable if nothing answers.
    """
    began = time.time()
    try:
        reply = unsigned.send("HEAD", f"{endpoint}/{bucket}", env.get("AWS_CA_BUNDLE") or None)
    except unsigned.NoReply as error:
        raise Unavailable(
            f"{redact(endpoint)} does not answer ({error.kind})",
            code="store",
            hint="check the network, AWS_REGION, AWS_ENDPOINT_URL_S3 and AWS_CA_BUNDLE "
            f"{runbook.see(runbook.REGION)}",
        ) from error
    # The server wrote its date at some moment between the two: the middle is off by half the way there and back.
    middle = (began + time.time()) / 2
    return EndpointReply(
        reply.status, reply.headers.get("x-amz-bucket-region"), _skew(reply.headers.get("date"), middle)
    )


def _skew(date: str | None, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now if date else None
    except ValueError:
        return None
