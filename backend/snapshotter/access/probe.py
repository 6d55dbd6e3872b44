"""What a probe is: one attempted operation, by whom, on what, and the answer that the rules promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from snapshotter.access.bucket_rules import Rule

HEADER = "x-amz-server-side-encryption"


class Actor(StrEnum):
    """Who asks."""

    SELF = "you"
    ANONYMOUS = "anonymous"
    LINK = "presigned link"
    OWNER = "owner"


class Expected(StrEnum):
    """What the rules promise."""

    ALLOWED = "allowed"
    DENIED = "denied"
    CONFLICT = "refused as taken"  # 412: create-only
    DIGEST = "refused for its digest"  # the rules let it pass; nothing is stored
    REPORTED = "allowed, or denied by its statement"  # both are lawful; the row reports which
    LOCKED = "denied, where the bucket locks"  # without a lock it is reported


class Harm(StrEnum):
    """What a probe could do if it were allowed."""

    NONE = "none"
    ELSEWHERE = "an object of a few bytes outside the test folder"
    CHANGE = "nothing: what it sends cannot succeed"  # never sent by owners and administrators


@dataclass(frozen=True)
class Probe:
    """One row of the proof. Its group is the first word of its id, unless `in_group` names another.

    `key` is an object's key or a list's prefix, or None for neither, and like `params` may name what the
    runner fills in: {id} (the row's own), {prefix} (the scoped one), {run} (this run's test folder), {random},
    {bucket}, {soon} (a time an hour away), and, made when first asked for, {object} and {version} (an object of
    ours), {kept} and {kept_version} (another, for what a lock refuses) and {upload} (a multipart upload of ours).
    `params` are those of the S3 API's operation. `tolerated` are error codes other
    than AccessDenied that also mean that the bucket refused.
    """

    id: str
    operation: str
    key: str | None
    condition: str
    expected: Expected
    rule: Rule
    params: Mapping[str, Any] = field(default_factory=dict)
    harm: Harm = Harm.NONE
    actor: Actor = Actor.SELF
    plain: bool = False  # by plain HTTP
    tolerated: frozenset[str] = frozenset()
    in_group: str = ""

    @property
    def group(self) -> str:
        """The name by which `prove --only` chooses rows of one kind together."""
        return self.in_group or self.id.partition("-")[0]
