"""What S3 answered, in four kinds: allowed, denied, something else, or no answer to judge by.

*Denied* is an S3 AccessDenied answer and nothing else. A network error, a missing bucket, an expired token
or trouble in the server is *unchecked*: it says nothing about the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from snapshotter.aws.error_document import ErrorDocument, named_action, sentence
from snapshotter.aws.refusal import not_accepted, not_judged
from snapshotter.aws.unreached import OTHER_REGION, other_region, unreached, words_of
from snapshotter.base.errors import Unavailable
from snapshotter.base.urls import redact


class Kind(StrEnum):
    """What an answer tells."""

    ALLOWED = "allowed"
    DENIED = "denied"
    OTHER = "other"  # S3 knew the request and refused it for another reason: it got past the rules
    UNCHECKED = "unchecked"


@dataclass(frozen=True)
class S3Answer:
    """One raw answer: S3's error code ("" for success), the HTTP status (0 for none), and S3's own sentence.

    `request_id` is what AWS's support asks for; `region` is the bucket's, where S3 said so.
    """

    kind: Kind
    code: str = ""
    status: int = 0
    message: str = ""
    response: Any = None  # boto3's, for success
    metadata: Mapping[str, Any] | None = None  # boto3's ResponseMetadata
    request_id: str | None = None
    region: str | None = None

    def __str__(self) -> str:
        if self.kind is Kind.OTHER:
            return self.code
        return f"{self.kind} ({self.code})" if self.code else str(self.kind)


# Codes by which a server says that it is not the one to ask, or not now.
_NO_ANSWER = frozenset(
    "NoSuchBucket PermanentRedirect TemporaryRedirect AuthorizationHeaderMalformed SlowDown RequestTimeout "
    "IllegalLocationConstraintException OperationAborted ConditionalRequestConflict NotSignedUp AccountProblem "
    "InvalidBucketName ExpiredTokenException MethodNotAllowed AllAccessDisabled".split()
)

# The exceptions of botocore that mean that there are no usable credentials.
_NO_CREDENTIALS = frozenset(
    "NoCredentialsError PartialCredentialsError CredentialRetrievalError TokenRetrievalError "
    "UnauthorizedSSOTokenError SSOTokenLoadError".split()
)


def ask(call: Callable[..., Any], *, head: bool = False, **params: Any) -> S3Answer:
    """Make one request by boto3 and say what came back; never raises for what S3 or the network does.

    A refused HEAD has no body. With `head`, its status stands for the code, if S3 itself sent it.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

    try:
        response = call(**params)
    except ClientError as error:
        document, metadata = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        by_s3 = "x-amz-request-id" in metadata.get("HTTPHeaders", {})
        text = str(document.get("Message") or "")
        answer = from_error(str(document.get("Code", "")), status, text, head=head and by_s3)
        headers = metadata.get("HTTPHeaders", {})
        return replace(
            answer,
            metadata=metadata,
            # The document's, or where there is none, as for a HEAD, the header's.
            request_id=metadata.get("RequestId") or headers.get("x-amz-request-id"),
            region=_text(document.get("Region")) or headers.get("x-amz-bucket-region"),
        )
    except ParamValidationError:
        raise  # our own table of probes is wrong
    except BotoCoreError as error:
        return S3Answer(Kind.UNCHECKED, type(error).__name__, message=redact(words_of(error)))
    except RuntimeError as error:  # botocore's, for renewed credentials that are expired again
        return S3Answer(Kind.UNCHECKED, "CredentialRetrievalError", message=str(error))
    metadata = response["ResponseMetadata"]
    status = metadata["HTTPStatusCode"]
    refused = response.get("Errors")  # of DeleteObjects, which answers 200 whatever it did
    if refused:
        return from_error(str(refused[0].get("Code", "")), status, str(refused[0].get("Message") or ""))
    return S3Answer(Kind.ALLOWED, "", status, response=response, metadata=metadata)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def from_error(code: str, status: int, message: str, *, head: bool = False) -> S3Answer:
    """The answer in an S3 error document. A code that is a mere status is no answer: a proxy may have sent it.

    A `head` has no document, so there 403 stands for AccessDenied and 404 for NoSuchBucket.
    """
    message = sentence(message)
    if head:
        code = {"403": "AccessDenied", "404": "NoSuchBucket"}.get(code, code)
    if code == "AccessDenied":
        # "kms:GenerateDataKey" and its like: it passed the bucket's rules and failed at the key's.
        passed = (named_action(message) or "").startswith("kms:")
        return S3Answer(
            Kind.OTHER if passed else Kind.DENIED,
            "KMS.AccessDenied" if passed else "AccessDenied",
            status,
            message,
        )
    if code in _NO_ANSWER or status >= 500 or not status or not code or code.isdigit():
        return S3Answer(Kind.UNCHECKED, code or str(status), status, message)
    if not_accepted(code):
        return S3Answer(Kind.UNCHECKED, code, status, message)
    return S3Answer(Kind.OTHER, code, status, message)


def arn_of(identity: S3Answer) -> str | None:
    """The caller's ARN in STS's answer to GetCallerIdentity, or None if it did not tell."""
    return str(identity.response["Arn"]) if identity.kind is Kind.ALLOWED else None


def unavailable(answer: S3Answer, bucket: str) -> Unavailable:
    """The error for an answer that leaves everything open: what is missing and what to do."""
    from snapshotter.aws.credentials import no_credentials

    if answer.code in _NO_CREDENTIALS:
        return no_credentials()
    if answer.code == "NoSuchBucket":
        return Unavailable(
            f"no such bucket: {bucket}",
            code="no-bucket",
            hint="check --bucket, and the account that the credentials belong to",
        )
    if answer.code in OTHER_REGION:
        return other_region(bucket, answer.region)
    words = ErrorDocument(message=answer.message or None, request_id=answer.request_id).facts
    if error := not_accepted(answer.code, words) or not_judged(answer.code, words):
        return error
    if not answer.status and (silent := unreached(answer.message)):
        return silent
    return Unavailable(
        f"S3 gave no answer to judge by: {answer.code}",
        code="network" if not answer.status else "store",
        details=words,
        hint="check the network, AWS_ENDPOINT_URL_S3 and AWS_REGION, and try again",
    )
