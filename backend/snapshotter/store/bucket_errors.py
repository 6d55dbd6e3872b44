"""What S3 refused or failed at, as an error that says what went wrong there and what to do."""

from __future__ import annotations

from snapshotter.aws import error_document
from snapshotter.aws.error_document import ErrorDocument
from snapshotter.aws.refusal import explain
from snapshotter.aws.refused_request import Refused
from snapshotter.aws.scope import scope_of
from snapshotter.aws.unreached import OTHER_REGION, other_region, unreached
from snapshotter.base import runbook
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.text import printable
from snapshotter.store.errors import first_line, missing
from snapshotter.store.s3_requests import S3Failed

_EXPIRED = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})  # S3 answers them with 400
_REDIRECTS = frozenset({302, 303, 307, 308})


def in_bucket(error: S3Failed, uri: str, action: str, key: str, *, secure: bool = True) -> SnapshotterError:
    """What `error` means for the S3 `action` on the full key, or list prefix, `key` of the bucket that `uri` names.

    `secure` is whether S3 was asked over HTTPS.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    document, status = error_document.read(error.words), error.status
    code = document.code
    if elsewhere := _elsewhere(error, document, bucket, action):
        return elsewhere
    if action == "GetObject" and status == 404 and code == "NoSuchKey":
        return missing(key, uri)
    if status in (401, 403, 404) and not code:
        return Unavailable(
            f"{action} of {printable(key)} was answered by HTTP {status}, and not in S3's words",
            code="store",
            hint="a proxy on the way, or a server that is no S3, answered: check the network and AWS_ENDPOINT_URL_S3 "
            f"{runbook.see(runbook.REGION)}",
        )
    if code and (status in (401, 403) or code in _EXPIRED):
        refused = Refused(
            action,
            bucket,
            key,
            code,
            status or 403,
            encryption="AES256" if action == "PutObject" else None,
            secure=secure,
            scope=scope_of(bucket, prefix),
            sentence=document.message,
            request_id=document.request_id,
        )
        return explain(refused)
    if not status and (silent := unreached(error.words)):
        return silent
    return Unavailable(
        f"S3 failed at {action} of {key}: {code or printable(first_line(error.words))}",
        code="store",
        details=document.facts,
        hint="the store is in trouble or cannot be reached; try again, and check AWS_ENDPOINT_URL_S3",
    )


def _elsewhere(error: S3Failed, document: ErrorDocument, bucket: str, action: str) -> SnapshotterError | None:
    """The error for a bucket that is not where it was asked for: nowhere, in another region, behind a redirect."""
    if document.code == "NoSuchBucket":
        return Unavailable(f"no such bucket: {bucket}", code="no-bucket", hint="check --store")
    if document.code in OTHER_REGION or error.status == 301:
        return other_region(bucket, document.region)
    if error.status in _REDIRECTS:
        return Unavailable(
            f"S3 redirects {action} to another address, and no redirect is followed",
            code="region",
            hint="set AWS_ENDPOINT_URL_S3 and AWS_REGION to the bucket's own",
        )
    return None
