"""What the client library raised of S3, as an error that says what went wrong there and what to do."""

from __future__ import annotations

import re

from snapshotter.aws import error_document
from snapshotter.aws.credentials import no_credentials
from snapshotter.aws.error_document import ErrorDocument
from snapshotter.aws.refusal import explain
from snapshotter.aws.refused_request import Refused
from snapshotter.aws.scope import scope_of
from snapshotter.aws.unreached import OTHER_REGION, other_region, unreached
from snapshotter.base import runbook
from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.text import printable
from snapshotter.store.errors import first_line, missing

_TRANSIENT = re.compile(
    r"timed? ?out|connection|broken pipe|error sending request|reset by peer", re.IGNORECASE
)
NOWHERE = "http://127.0.0.1:0"  # no server can be there: what a redirect of S3 would have to go through
_REDIRECTED = re.compile(r"error following redirect|127\.0\.0\.1:0\b")
_STATUS = re.compile(r"status code: (\d{3})\b|\bstatus: (\d{3}),")
_URL = re.compile(r"https?://\S+")
_EXPIRED = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})  # S3 answers them with 400
_TRANSIENT_CODES = frozenset(
    {
        "SlowDown",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "OperationAborted",
        "ConditionalRequestConflict",
    }
)


def transient(error: Exception) -> bool:
    """Whether trying again on S3 may help: trouble on the way or in S3, never a refusal."""
    text = str(error)
    if status := _status(text):
        return (
            status >= 500 or status in (408, 409, 429) or error_document.read(text).code in _TRANSIENT_CODES
        )
    if _redirected(text):
        return False
    # Its dump names settings like retry_timeout, and a URL may hold any word: neither tells what happened.
    return bool(_TRANSIENT.search(_without_urls(text)))


def in_bucket(error: Exception, uri: str, action: str, key: str, *, secure: bool = True) -> SnapshotterError:
    """What `error` means for the S3 `action` on the full key, or list prefix, `key` of the bucket that `uri` names.

    `secure` is whether S3 was asked over HTTPS.
    """
    text = str(error)
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    document, status = error_document.read(text), _status(text)
    code = document.code
    if elsewhere := _elsewhere(text, document, bucket, action):
        return elsewhere
    if code == "NoSuchKey" or status == 404:
        return missing(key, uri)
    if not status and "credential" in _without_urls(text).lower():
        return no_credentials(first_line(text))
    if status in (401, 403) and not code:
        return Unavailable(
            f"{action} of {printable(key)} was refused (HTTP {status}), and not in S3's words",
            code="store",
            hint="a proxy on the way, or a server that is no S3, refused it: check the network and AWS_ENDPOINT_URL_S3 "
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
    if not status and (silent := unreached(text)):
        return silent
    return Unavailable(
        f"S3 failed at {action} of {key}: {code or first_line(text)}",
        code="store",
        details=document.facts,
        hint="the store is in trouble or cannot be reached; try again, and check AWS_ENDPOINT_URL_S3",
    )


def _elsewhere(text: str, document: ErrorDocument, bucket: str, action: str) -> SnapshotterError | None:
    """The error for a bucket that is not where it was asked for: nowhere, in another region, behind a redirect."""
    status = _status(text)
    if document.code == "NoSuchBucket":
        return Unavailable(f"no such bucket: {bucket}", code="no-bucket", hint="check --store")
    if document.code in OTHER_REGION or status == 301 or "redirect without LOCATION" in text:
        return other_region(bucket, document.region)
    if status in (302, 303, 307, 308) or _redirected(text):
        return Unavailable(
            f"S3 redirects {action} to another address, and no redirect is followed",
            code="region",
            hint="set AWS_ENDPOINT_URL_S3 and AWS_REGION to the bucket's own",
        )
    return None


def _redirected(text: str) -> bool:
    """Whether the endpoint redirects elsewhere, where nothing leads."""
    return bool(_REDIRECTED.search(_URL.sub("", text)))


def _status(text: str) -> int | None:
    """The HTTP status in an obstore error's text; None if nothing was answered."""
    match = _STATUS.search(text)
    return int(match[1] or match[2]) if match else None


def _without_urls(text: str) -> str:
    """An obstore error's words, less its dump and the URLs, in which a key may hold any word."""
    return _URL.sub("", text.partition("Debug source:")[0])
