"""Why the bucket may have refused: one diagnosis for every refusal in the product.

The bucket's rules are in docs/aws.md; each hint names the rule that most likely answered and
the heading of docs/operations.md that says how to check it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from snapshotter.base import runbook
from snapshotter.base.errors import AccessDenied, NoCredentials, SnapshotterError

PRODUCTION = "fruitful-lab-snapshots-prod"
SCOPE = "repo-scans/snapshotter/"  # what production's access policy covers
TASK_ROLE = "fruitful-repo-snapshotter-task-role"
GRANTED = frozenset(
    {
        "GetObject",
        "HeadObject",
        "PutObject",
        "PutObjectTagging",
        "ListBucket",
        "AbortMultipartUpload",
        "ListMultipartUploadParts",
    }
)

Cause = Literal[
    # About the credentials: S3 could not judge the request, so this is not "denied".
    "expired",
    "bad-credentials",
    "clock",
    # About the request, whoever sends it.
    "multipart",
    "plain-http",
    "never-granted",
    "unprefixed-list",
    "list-without-slash",
    "outside-prefix",
    "missing-header",
    "wrong-header",
    "overwrite",
    # About who sends it, or what it asks for.
    "execution-role",
    "wrong-role",
    "missing-key",
    "identity",
    "changed-policy",
]

_EXPIRED = "the credentials expired, and nothing renewed them"
_UNKNOWN = "the access key does not exist"
_IDENTITY: dict[str, tuple[Cause, str]] = {
    "ExpiredToken": ("expired", _EXPIRED),
    "ExpiredTokenException": ("expired", _EXPIRED),
    "TokenRefreshRequired": ("expired", _EXPIRED),
    "InvalidToken": ("bad-credentials", "the session token is not valid"),
    "InvalidAccessKeyId": ("bad-credentials", _UNKNOWN),
    "InvalidClientTokenId": ("bad-credentials", _UNKNOWN),
    "SignatureDoesNotMatch": ("bad-credentials", "the secret key does not match the access key"),
    "RequestTimeTooSkewed": ("clock", "this machine's clock differs from the server's by over 15 minutes"),
}
_RENEW: dict[Cause, tuple[str, str]] = {
    "expired": ("renew the credentials (aws sso login, or check the task role)", runbook.CREDENTIALS),
    "clock": ("set this machine's clock (ntp)", runbook.CLOCK),
}
_VERBS = {"PutObject": "the upload", "GetObject": "the download", "ListBucket": "the listing"}
_HEADINGS = {
    "PutObject": runbook.PUT_DENIED,
    "ListBucket": runbook.LIST_DENIED,
    "GetObject": runbook.MISSING_KEY,
    "HeadObject": runbook.MISSING_KEY,
}


@dataclass(frozen=True)
class Refused:
    """One refused request: the S3 action, the full key or list prefix, and what the request carried.

    `identity` is the caller's ARN as STS gives it, None where it is not known. `create_only` is whether a
    PutObject carried ``If-None-Match``, `secure` whether the request went over HTTPS. `scope` is the prefix that
    the access policy covers; see `scope_of`.
    """

    action: str
    bucket: str
    key: str
    code: str = "AccessDenied"
    status: int = 403
    encryption: str | None = None
    identity: str | None = None
    multipart: bool = False
    secure: bool = True
    create_only: bool = True
    scope: str = SCOPE


@dataclass(frozen=True)
class Diagnosis:
    """The likely cause of a refusal, what to do, and the runbook's heading."""

    cause: Cause
    heading: str
    hint: str


class StoreDenied(AccessDenied):
    """S3 said AccessDenied. `refused` is the request, to diagnose again once the identity is known."""

    default_code = "store-denied"

    def __init__(
        self, message: str, refused: Refused, *, hint: str, details: tuple[str, ...], cause: Cause
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.refused = refused
        self.cause: Cause = cause


def scope_of(bucket: str, prefix: str) -> str:
    """What the access policy covers in a bucket, with its closing slash: in production's that is known, and in
    another deployment's it is the prefix that its store is set to."""
    return SCOPE if bucket == PRODUCTION or not prefix.strip("/") else f"{prefix.strip('/')}/"


def error_code(text: str) -> str | None:
    """The S3 error code in an answer's XML, or None."""
    match = re.search(r"<Code>\s*([A-Za-z0-9.]+)\s*</Code>", text)
    return match[1] if match else None


def not_accepted(code: str, details: tuple[str, ...] = ()) -> NoCredentials | None:
    """The error behind an error code that is about the credentials themselves; None for any other code."""
    if code not in _IDENTITY:
        return None
    cause, reason = _IDENTITY[code]
    hint, heading = _RENEW.get(cause, _RENEW["expired"])
    return NoCredentials(f"{reason} ({code})", details=details, hint=f"{hint} {runbook.see(heading)}")


def explain(refused: Refused) -> SnapshotterError:
    """The error for a refusal: AccessDenied only when S3 said AccessDenied."""
    identity = (f"identity: {refused.identity}",) if refused.identity else ()
    details = (f"bucket: {refused.bucket}", f"key: {refused.key}", *identity)
    if unusable := not_accepted(refused.code, details):
        return unusable
    likely = diagnose(refused)
    hint = f"{likely.hint} {runbook.see(likely.heading)}"
    what = _VERBS.get(refused.action, refused.action)
    message = f"the bucket refused {what} ({refused.status} {refused.code}, {refused.action})"
    return StoreDenied(message, refused, hint=hint, details=details, cause=likely.cause)


def diagnose(refused: Refused) -> Diagnosis:
    """The likely cause: what the request itself shows first, then who sent it."""
    by_request = _credentials(refused) or _request(refused) or _place(refused) or _header(refused)
    return by_request or _role(refused) or _who(refused)


def role_of(arn: str | None) -> str | None:
    """The role's name in an assumed role's ARN; None for any other ARN, or none.

    >>> role_of("arn:aws:sts::123456789012:assumed-role/task-role/session")
    'task-role'
    """
    match = re.fullmatch(r"arn:[^:]+:sts::\d*:assumed-role/(?:.*/)?([^/]+)/[^/]*", arn or "")
    return match[1] if match else None


def is_execution_role(role: str) -> bool:
    """Whether a role's name is that of an ECS execution role: ours, or AWS's own default."""
    return role.endswith("-execution-role") or role.lower().endswith("taskexecutionrole")


def _credentials(refused: Refused) -> Diagnosis | None:
    if refused.code not in _IDENTITY:
        return None
    cause, _ = _IDENTITY[refused.code]
    hint, heading = _RENEW.get(cause, _RENEW["expired"])
    return Diagnosis(cause, heading, hint)


def _request(refused: Refused) -> Diagnosis | None:
    """A cause that no other key or identity would mend: plain HTTP, multipart, an action that nobody may do."""
    if not refused.secure:
        return Diagnosis(
            "plain-http",
            runbook.PLAIN_HTTP,
            "the request went over plain HTTP, and every such request is denied: use an https endpoint",
        )
    if refused.multipart:
        return Diagnosis(
            "multipart",
            runbook.MULTIPART,
            "multipart uploads are not relied on here: write each object by one PUT with the header",
        )
    if refused.action not in GRANTED:
        return Diagnosis(
            "never-granted",
            runbook.NEVER_GRANTED,
            f"the access policy grants nobody {refused.action}; an administrator has to do it",
        )
    return None


def _place(refused: Refused) -> Diagnosis | None:
    """Whether the key, or the list's prefix, is one that the access policy covers."""
    if refused.key.startswith(refused.scope):
        return None
    heading = _HEADINGS.get(refused.action, runbook.PUT_DENIED)
    if refused.action != "ListBucket":
        return Diagnosis(
            "outside-prefix",
            heading,
            f"the key is outside {refused.scope}, which is all that the access policy allows; set the store to "
            f"s3://{refused.bucket}/{refused.scope}",
        )
    if not refused.key:
        return Diagnosis(
            "unprefixed-list",
            heading,
            f"the list had no prefix; every list must have one that starts with {refused.scope}",
        )
    if refused.key == refused.scope.rstrip("/"):
        return Diagnosis(
            "list-without-slash",
            heading,
            f"the list's prefix lacks its closing slash: ask for {refused.scope}",
        )
    return Diagnosis(
        "outside-prefix",
        heading,
        f"the list's prefix is outside {refused.scope}, which is all that the access policy allows; set the store to "
        f"s3://{refused.bucket}/{refused.scope}",
    )


def _header(refused: Refused) -> Diagnosis | None:
    if refused.action != "PutObject":
        return None
    if refused.encryption != "AES256":
        cause: Cause = "wrong-header" if refused.encryption else "missing-header"
        sent = "no encryption header"
        if refused.encryption:
            sent = f"x-amz-server-side-encryption: {refused.encryption}"
        return Diagnosis(
            cause,
            runbook.PUT_DENIED,
            f"the request carried {sent}; the bucket takes x-amz-server-side-encryption: AES256 and nothing "
            "else",
        )
    if not refused.create_only:
        return Diagnosis(
            "overwrite",
            runbook.OVERWRITE,
            "the request lacked If-None-Match: *, without which a bucket with EnforceWriteOnce takes nothing",
        )
    return None


def _role(refused: Refused) -> Diagnosis | None:
    """The request is in order, and who sent it is a role, but not the task's."""
    role = role_of(refused.identity)
    if role and is_execution_role(role):
        return Diagnosis(
            "execution-role",
            runbook.ROLES,
            f"the identity is the execution role {role}, which only starts the task and cannot reach the "
            f"bucket: set the task definition's taskRoleArn to {TASK_ROLE}",
        )
    if role and role != TASK_ROLE:
        return Diagnosis(
            "wrong-role",
            runbook.ROLES,
            f"the {_good(refused)}, so the identity is the likely cause: it is {refused.identity}, not "
            f"{TASK_ROLE}. Check the task definition's taskRoleArn, or give that role the access policy",
        )
    return None


def _who(refused: Refused) -> Diagnosis:
    """The request is in order, so the identity or a policy is the cause; or, for reads, the key does not exist."""
    heading = _HEADINGS.get(refused.action, runbook.PUT_DENIED)
    if refused.action in ("GetObject", "HeadObject"):
        return Diagnosis(
            "missing-key",
            heading,
            "either the key does not exist (a missing key answers 403 here, since listing needs a prefix), or "
            "the identity may not read: list the folder first",
        )
    if role_of(refused.identity):
        return Diagnosis(
            "changed-policy",
            heading,
            f"the {_good(refused)}, and the identity is the task role, so a policy was changed: the bucket's, "
            "the role's, a VPC endpoint's or the organisation's. `snapshotter prove` says which rule",
        )
    who = (
        f"it is {refused.identity}, which"
        if refused.identity
        else "`snapshotter doctor` says who you are, and it"
    )
    other = "" if refused.scope == SCOPE else f". A policy like production's covers {SCOPE} only"
    return Diagnosis(
        "identity",
        heading,
        f"the {_good(refused)}, so the identity is the likely cause: {who} must be {TASK_ROLE} or have its policy, "
        f"for {refused.scope}{other}",
    )


def _good(refused: Refused) -> str:
    """What of the request is in order, in words."""
    if refused.action == "PutObject":
        return "key is inside the prefix and the request carried x-amz-server-side-encryption: AES256"
    return "prefix is as it should be" if refused.action == "ListBucket" else "key is inside the prefix"
