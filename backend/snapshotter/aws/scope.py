"""What the access policy of docs/aws.md covers, and whose it is."""

from __future__ import annotations

import re
from typing import Final

PRODUCTION: Final = "fruitful-lab-snapshots-prod"
SCOPE: Final = "repo-scans/snapshotter/"  # what production's access policy covers
TASK_ROLE: Final = "fruitful-repo-snapshotter-task-role"
GRANTED: Final = frozenset(
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


def scope_of(bucket: str, prefix: str) -> str:
    """What the access policy covers in a bucket, with its closing slash: in production's that is known, and in
    another deployment's it is the prefix that its store is set to."""
    return SCOPE if bucket == PRODUCTION or not prefix.strip("/") else f"{prefix.strip('/')}/"


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
