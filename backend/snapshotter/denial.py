"""Why the bucket may have said no: one diagnosis for every refusal in the product.

The bucket's rules are in docs/aws.md; each hint names the rule that most likely answered and
the heading of docs/operations.md that says how to check it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from snapshotter.errors import AccessDenied, SnapshotterError, Unavailable

SCOPE = "repo-scans/snapshotter/"
TASK_ROLE = "fruitful-repo-snapshotter-task-role"

# S3 error codes that are about the identity, not about what it may do: "could not", never "denied".
_IDENTITY = {
    "ExpiredToken": "the credentials expired, and nothing renewed them",
    "ExpiredTokenException": "the credentials expired, and nothing renewed them",
    "TokenRefreshRequired": "the credentials expired, and nothing renewed them",
    "InvalidToken": "the session token is not valid",
    "InvalidAccessKeyId": "the access key does not exist",
    "InvalidClientTokenId": "the access key does not exist",
    "SignatureDoesNotMatch": "the secret key does not match the access key",
    "RequestTimeTooSkewed": "this machine's clock differs from the server's by over 15 minutes",
}


@dataclass(frozen=True)
class Refused:
    """One refused request: the S3 action, the full key or list prefix, and what the request carried."""

    action: str
    bucket: str
    key: str
    code: str = "AccessDenied"
    status: int = 403
    encryption: str | None = None
    identity: str = ""
    multipart: bool = False


def error_code(text: str) -> str:
    """The S3 error code in an answer's XML, or ''."""
    match = re.search(r"<Code>\s*([A-Za-z0-9.]+)\s*</Code>", text)
    return match.group(1) if match else ""


def explain(refused: Refused) -> SnapshotterError:
    """The error for a refusal: AccessDenied only when S3 said AccessDenied."""
    details = (f"bucket: {refused.bucket}", f"key: {refused.key}") + (
        (f"identity: {refused.identity}",) if refused.identity else ()
    )
    if reason := _IDENTITY.get(refused.code):
        hint = "renew the credentials (aws sso login, or check the task role); see docs/operations.md, 'Expired or wrong credentials'"
        if refused.code == "RequestTimeTooSkewed":
            hint = "set this machine's clock (ntp)"
        return Unavailable(f"{reason} ({refused.code})", code="credentials", details=details, hint=hint)
    message = f"the bucket refused {_VERBS.get(refused.action, refused.action)} ({refused.status} {refused.code}, {refused.action})"
    return AccessDenied(message, details=details, code="store-denied", hint=_hint(refused))


_VERBS = {"PutObject": "the upload", "GetObject": "the download", "ListBucket": "the listing"}


def _hint(refused: Refused) -> str:
    if refused.multipart:
        return (
            "multipart uploads are not relied on here: write each object by one PUT with the header "
            "(docs/operations.md, 'Multipart')"
        )
    if not refused.key.startswith(SCOPE):
        what = "the list's prefix" if refused.action == "ListBucket" else "the key"
        return (
            f"{what} is outside {SCOPE}, which is all that the access policy allows; set the store to "
            f"s3://{refused.bucket}/{SCOPE} (docs/operations.md, '{_HEADINGS.get(refused.action, 'PutObject denied')}')"
        )
    if refused.action == "PutObject" and refused.encryption != "AES256":
        sent = (
            f"x-amz-server-side-encryption: {refused.encryption}"
            if refused.encryption
            else "no encryption header"
        )
        return f"the request carried {sent}; the bucket takes AES256 and nothing else (docs/operations.md, 'PutObject denied')"
    if refused.action in ("GetObject", "HeadObject"):
        return (
            "either the key does not exist (a missing key answers 403 here, since listing needs a prefix), or the "
            "identity may not read: list the folder first (docs/operations.md, 'A missing key answers 403')"
        )
    who = (
        f"it is {refused.identity}"
        if refused.identity
        else "see who you are with `aws sts get-caller-identity`"
    )
    carried = (
        " and the request carried x-amz-server-side-encryption: AES256"
        if refused.action == "PutObject"
        else ""
    )
    return (
        f"the key is inside the prefix{carried}, so the identity is the likely cause: {who}, which must be "
        f"{TASK_ROLE} or have its policy (docs/operations.md, '{_HEADINGS.get(refused.action, 'PutObject denied')}')"
    )


_HEADINGS = {
    "PutObject": "PutObject denied",
    "ListBucket": "List denied",
    "GetObject": "A missing key answers 403",
    "HeadObject": "A missing key answers 403",
}
