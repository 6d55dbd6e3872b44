"""What is known of a request that S3 refused, and the form of what is concluded from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from snapshotter.aws.error_document import named_caller
from snapshotter.aws.scope import SCOPE

Cause = Literal[
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
    # About the policy that S3 names.
    "bucket-policy",
    "outsider",
    "key",
    "other-account",
    "organisation-policy",
    "endpoint-policy",
    "boundary",
    "session-policy",
    "identity-policy",
]


@dataclass(frozen=True)
class Refused:
    """One refused request: the S3 action, the full key or list prefix, and what the request carried.

    `identity` is the caller's ARN as STS gives it, None where it is not known. `create_only` is whether a
    PutObject carried ``If-None-Match``, `secure` whether the request went over HTTPS. `scope` is the prefix that
    the access policy covers; see `scope_of`. `sentence` and `request_id` are S3's own, None where it gave none.
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
    sentence: str | None = None
    request_id: str | None = None

    @property
    def caller(self) -> str | None:
        """The ARN of who asked: as STS gives it, else as S3's sentence has it; None if neither tells."""
        return self.identity or named_caller(self.sentence)


@dataclass(frozen=True)
class Diagnosis:
    """The likely cause of a refusal, what to do, and the runbook's heading."""

    cause: Cause
    heading: str
    hint: str
