"""S3 as a store's backend: opened by a URI, with credentials and an endpoint from the usual settings.

Source: S3's PutObject page (create-only by `If-None-Match`, AES256 by header) and obstore's S3Store.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # typeshed lacks it

from obstore.store import S3Store

from snapshotter.aws import endpoint
from snapshotter.aws.credentials import AwsCredentials
from snapshotter.aws.endpoint import Endpoint
from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable
from snapshotter.base.urls import redact
from snapshotter.store.bucket_errors import NOWHERE
from snapshotter.store.s3_listing import Lister

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9._=+@:,/-]*")
_AWS = ("amazonaws.com", "amazonaws.com.cn", "api.aws")  # their subdomains too
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@dataclass(frozen=True)
class Bucket:
    """An opened bucket, the prefix of every key in it ('' or ending with a slash), and who lists it."""

    objects: S3Store
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
    provider: Any = AwsCredentials(env, where, make_session)
    provider.require()
    # AWS's certificate covers one label before its own name.
    hosted = not where.named and "." not in bucket
    url = where.url.replace("://", f"://{bucket}.", 1) if hosted else where.url
    objects = S3Store(
        bucket,
        region=where.region,
        endpoint=url,
        server_side_encryption="AES256",
        # Over TLS, which authenticates every byte, the body's digest is not signed once more: it costs as much
        # as the segment's own digest, which the manifest records and `verify` checks.
        unsigned_payload=not where.plain,
        # S3 takes no write without a checksum where a bucket locks by default, and compares it everywhere. Of those
        # that it takes, this one costs the least: docs/decisions/0011-a-checksum-with-every-write.md.
        checksum_algorithm="CRC64NVME",
        virtual_hosted_style_request=hosted,
        client_options=_client_options(where, env),
        retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=120)},
        credential_provider=provider,
    )
    listed = f"{url}/" if hosted else f"{url}/{bucket}"
    prefix = f"{prefix}/" if prefix else ""
    lister = Lister(listed, prefix, where.region, provider, where.ca_bundle)
    return Bucket(objects, lister, bucket, prefix)


def _client_options(where: Endpoint, env: Mapping[str, str]) -> Any:
    """How obstore reaches S3: within which times, trusting which CA, and by no way that leads elsewhere."""
    options: dict[str, Any] = {
        "timeout": timedelta(minutes=10),
        "connect_timeout": timedelta(seconds=15),
        "allow_http": where.plain,
        **_no_way_out(where, env),
    }
    return options | {"root_certificate": Path(where.ca_bundle).read_bytes()} if where.ca_bundle else options


def _no_way_out(where: Endpoint, env: Mapping[str, str]) -> dict[str, str]:
    """Client options by which no redirect leads to another host than the endpoint's, or than AWS's.

    It would take the session token along: the library follows redirects, keeps that header, and cannot be told
    otherwise. So over plain HTTP, which is for tests, the endpoint is its own proxy, and a redirect comes back to it.
    Over TLS, all but the endpoint is behind a proxy that cannot be. Where the environment has a proxy, that one stays,
    and decides what is reached.
    """
    if where.plain:
        return {"proxy_url": where.url}
    host = urlsplit(where.url).hostname or ""
    if any(env.get(name) for name in _PROXIES) and not proxy_bypass_environment(
        host, {"no": env.get("NO_PROXY") or env.get("no_proxy") or ""}
    ):
        return {}
    return {"proxy_url": NOWHERE, "proxy_excludes": host if where.named else ",".join(_AWS)}


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
