"""S3 as a store's backend: opened by a URI, with credentials and an endpoint from the usual settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from snapshotter.aws import endpoint
from snapshotter.aws.credentials import AwsCredentials
from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable
from snapshotter.base.urls import redact
from snapshotter.store.s3_listing import Lister
from snapshotter.store.s3_requests import S3Requests

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._=+@:,/-]*")


@dataclass(frozen=True)
class Bucket:
    """An opened bucket, the prefix of every key in it ('' or ending with a slash), and who lists it."""

    requests: S3Requests
    lister: Lister
    name: str
    prefix: str


def open_bucket(uri: str, *, allow_http: bool, env: Mapping[str, str]) -> Bucket:
    """The bucket that ``s3://bucket/prefix/`` names, by the usual AWS variables in `env`. S3 is not asked yet.

    Raises UsageError for any other URI, and for an endpoint over plain HTTP unless it is loopback and
    allowed; NoCredentials if there are none.
    """
    bucket, prefix = _parse(uri)
    make_session = cache(endpoint.new_session)
    where = endpoint.resolve(env, make_session)
    endpoint.require_tls(where.url, allow_http=allow_http)
    provider = AwsCredentials(env, where, make_session)
    provider.require()
    # AWS's certificate covers one label before its own name.
    hosted = not where.named and "." not in bucket
    url = where.url.replace("://", f"://{bucket}.", 1) if hosted else where.url
    at = f"{url}/" if hosted else f"{url}/{bucket}"
    requests = S3Requests(at, where.region, provider, where.ca_bundle)
    prefix = f"{prefix}/" if prefix else ""
    return Bucket(requests, Lister(requests, prefix), bucket, prefix)


def _parse(uri: str) -> tuple[str, str]:
    bucket, _, path = uri.removeprefix("s3://").partition("/")
    prefix = path.strip("/")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            f"no bucket can be called that: {printable(redact(uri))}",
            hint="give s3://bucket/prefix/; a bucket's name has 3 to 63 of a-z, 0-9, - and .",
        )
    # The keys below are joined to the prefix as they are: one that a URL would change is refused.
    if {"", ".", ".."} & set(prefix.split("/") if prefix else ()) or not _PREFIX.fullmatch(prefix):
        raise UsageError(
            f"no prefix for snapshots: {printable(redact(uri))}",
            hint="give s3://bucket/prefix/, in letters, digits and ._-=+@:, between single slashes",
        )
    return bucket, prefix
