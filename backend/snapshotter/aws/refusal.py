"""One refused request, and the error that says so, with S3's own words and the likely cause."""

from __future__ import annotations

from snapshotter.aws.diagnosis import diagnose
from snapshotter.aws.refused_request import Cause, Refused
from snapshotter.base import runbook
from snapshotter.base.errors import AccessDenied, NoCredentials, SnapshotterError, Unavailable

_EXPIRED = "the credentials expired, and nothing renewed them"
_UNKNOWN = "the access key does not exist"
_RENEW = f"renew the credentials (aws sso login, or check the task role) {runbook.see(runbook.CREDENTIALS)}"
_SET_CLOCK = f"set this machine's clock (ntp) {runbook.see(runbook.CLOCK)}"
# Codes about the credentials: S3 could not judge the request, so this is not "denied".
_CREDENTIALS = {
    "ExpiredToken": (_EXPIRED, _RENEW),
    "ExpiredTokenException": (_EXPIRED, _RENEW),
    "TokenRefreshRequired": (_EXPIRED, _RENEW),
    "InvalidToken": ("the session token is not valid", _RENEW),
    "InvalidAccessKeyId": (_UNKNOWN, _RENEW),
    "InvalidClientTokenId": (_UNKNOWN, _RENEW),
    "SignatureDoesNotMatch": ("the secret key does not match the access key", _RENEW),
    "RequestTimeTooSkewed": ("this machine's clock differs from the server's by over 15 minutes", _SET_CLOCK),
}
_SUPPORT = (
    "no policy mends this: an administrator of the account has to ask AWS's support, with the request id"
)
# Codes by which S3 refuses with 403 and no policy has a part in it: what happened, our code, and the hint.
_NOT_A_POLICY = {
    "AllAccessDisabled": ("AWS disabled all access to the bucket", "disabled", _SUPPORT),
    "AccountProblem": ("AWS disabled the account, or a part of it", "disabled", _SUPPORT),
    "NotSignedUp": ("the account is not signed up for S3", "disabled", _SUPPORT),
    "InvalidObjectState": (
        "the object is archived, in a storage class that cannot be read as it is",
        "archived",
        "an administrator has to restore the object (aws s3api restore-object), and to remove the lifecycle rule "
        "that moves snapshots into an archive",
    ),
}
_NOUNS = {"PutObject": "the upload", "GetObject": "the download", "ListBucket": "the listing"}


class StoreDenied(AccessDenied):
    """S3 said AccessDenied. `refused` is the request, to diagnose again once the identity is known."""

    default_code = "store-denied"

    def __init__(
        self, message: str, refused: Refused, *, hint: str, details: tuple[str, ...], cause: Cause
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.refused = refused
        self.cause: Cause = cause


def explain(refused: Refused) -> SnapshotterError:
    """The error for a refusal: AccessDenied only when S3 said AccessDenied, and else what S3 could not do."""
    details = _details(refused)
    if unusable := not_accepted(refused.code, details) or not_judged(refused.code, details):
        return unusable
    what = _NOUNS.get(refused.action, refused.action)
    message = f"the bucket refused {what} ({refused.status} {refused.code}, {refused.action})"
    if refused.code != "AccessDenied":
        hint = f"no policy decided this: see what S3 says {runbook.see(runbook.WHICH_POLICY)}"
        return Unavailable(message, code="store", details=details, hint=hint)
    likely = diagnose(refused)
    hint = f"{likely.hint} {runbook.see(likely.heading)}"
    return StoreDenied(message, refused, hint=hint, details=details, cause=likely.cause)


def not_accepted(code: str, details: tuple[str, ...] = ()) -> NoCredentials | None:
    """The error behind an error code that is about the credentials themselves; None for any other code."""
    if code not in _CREDENTIALS:
        return None
    reason, hint = _CREDENTIALS[code]
    return NoCredentials(f"{reason} ({code})", details=details, hint=hint)


def not_judged(code: str, details: tuple[str, ...] = ()) -> Unavailable | None:
    """The error behind a 403 that no policy decided: a disabled bucket, an archived object; None for any other code."""
    if code not in _NOT_A_POLICY:
        return None
    happened, slug, hint = _NOT_A_POLICY[code]
    see = runbook.see(runbook.WHICH_POLICY)
    return Unavailable(f"{happened} ({code})", code=slug, details=details, hint=f"{hint} {see}")


def _details(refused: Refused) -> tuple[str, ...]:
    """The facts of a refusal: the object, who asked, and S3's own words."""
    facts = (
        ("bucket", refused.bucket),
        ("key", refused.key),
        ("identity", refused.caller),
        ("S3 says", refused.sentence),
        ("request id", refused.request_id),
    )
    # A list without a prefix has an empty key, which is a fact.
    return tuple(f"{name}: {text}" for name, text in facts if text is not None)
