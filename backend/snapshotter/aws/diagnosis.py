"""Why the bucket may have refused: one diagnosis for every refusal in the product.

The bucket's rules are in docs/aws.md; each hint names the rule that most likely answered and
the heading of docs/operations.md that says how to check it.
"""

from __future__ import annotations

from snapshotter.aws.error_document import NamedPolicy, named_action, named_policy
from snapshotter.aws.refused_request import Cause, Diagnosis, Refused
from snapshotter.aws.scope import GRANTED, SCOPE, TASK_ROLE, is_execution_role, role_of
from snapshotter.base import runbook

_HEADINGS = {
    "PutObject": runbook.PUT_DENIED,
    "ListBucket": runbook.LIST_DENIED,
    "GetObject": runbook.MISSING_KEY,
    "HeadObject": runbook.MISSING_KEY,
}
_OBJECTS = ("PutObject", "GetObject", "HeadObject")  # of what is granted, what the bucket may keep for a list
# What to do where S3 names a policy that is neither the bucket's nor the identity's.
_BEYOND: dict[str, tuple[Cause, str]] = {
    "organisation": (
        "organisation-policy",
        "S3 names a policy of the organisation (a service or resource control policy), above the account: its "
        "administrators have to let this request pass; nothing in the bucket or the role helps",
    ),
    "endpoint": (
        "endpoint-policy",
        "S3 names the policy of the VPC endpoint that the request went through: let it allow this bucket and prefix; "
        "elsewhere, the same identity may well get through",
    ),
    "boundary": (
        "boundary",
        "S3 names the permissions boundary of the identity, which caps what its policies grant: let the boundary "
        "allow the actions of the access policy",
    ),
    "session": (
        "session-policy",
        "S3 names the policy of the session, given when the role was assumed: assume it without, or with one that "
        "allows the actions of the access policy",
    ),
}


def diagnose(refused: Refused) -> Diagnosis:
    """The cause that S3 names; where it names none, the likely one: what the request shows, then who sent it."""
    if named := named_policy(refused.sentence):
        return _by_name(refused, named)
    by_request = _request(refused) or _place(refused) or _header(refused)
    return by_request or _role(refused) or _who(refused)


def _by_name(refused: Refused, named: NamedPolicy) -> Diagnosis:
    """The cause where S3 names the policy: only what that policy can judge comes into question."""
    if (named_action(refused.sentence) or "").startswith("kms:"):
        return Diagnosis(
            "key",
            runbook.WHICH_POLICY,
            "the object is, or would be, encrypted with a key of KMS, which this identity may not use: the product "
            "writes with AES256 alone, so somebody else wrote it, or a gateway on the way changed the request",
        )
    if named.kind == "bucket":
        return _bucket_policy(refused, explicit=named.explicit)
    if named.kind in _BEYOND:
        cause, hint = _BEYOND[named.kind]
        return Diagnosis(cause, runbook.WHICH_POLICY, hint)
    if refused.action in ("GetObject", "HeadObject") and named_action(refused.sentence) == "s3:ListBucket":
        return Diagnosis(
            "missing-key",
            runbook.MISSING_KEY,
            "the key does not exist: S3 hides that from whoever may not list without a prefix, and names that right",
        )
    if named.explicit:
        return Diagnosis(
            "identity-policy",
            runbook.WHICH_POLICY,
            f"a policy attached to {refused.caller or 'the identity'} denies this explicitly, over whatever allows it: "
            "find it among the policies of the role, the user and its groups",
        )
    return _never(refused) or _place(refused) or _role(refused) or _not_attached(refused)


def _bucket_policy(refused: Refused, *, explicit: bool) -> Diagnosis:
    if not explicit:
        return Diagnosis(
            "other-account",
            runbook.WHICH_POLICY,
            "the bucket is another account's, whose policy allows this identity nothing: check the bucket's name and "
            "the account of the credentials",
        )
    if by_request := _request(refused) or _header(refused):
        return by_request
    if refused.action in _OBJECTS and role_of(refused.caller) != TASK_ROLE:
        return Diagnosis(
            "outsider",
            runbook.WHICH_POLICY,
            f"the bucket's own policy denies it. Where AllowedPrincipalArns of infra/storage.yaml is given, that is "
            f"for whoever is not in it: add the ARN of {refused.caller or 'the identity'}, if it is to use snapshots. "
            "Where it is not, the policy was changed: an administrator compares it with the template",
        )
    return Diagnosis(
        "bucket-policy",
        runbook.WHICH_POLICY,
        f"the bucket's own policy denies it, and not for what the template's statements judge (the {_good(refused)}): "
        "the identity has no part in it. An administrator compares the policy with infra/storage.yaml: `snapshotter "
        "prove --only configuration`",
    )


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
    return _never(refused)


def _never(refused: Refused) -> Diagnosis | None:
    if refused.action in GRANTED:
        return None
    return Diagnosis(
        "never-granted",
        runbook.NEVER_GRANTED,
        f"the access policy grants nobody {refused.action}; an administrator has to do it",
    )


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
    role = role_of(refused.caller)
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
            f"the {_good(refused)}, so the identity is the likely cause: it is {refused.caller}, not "
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
    if role_of(refused.caller):
        return Diagnosis(
            "changed-policy",
            heading,
            f"the {_good(refused)}, and the identity is the task role, so a policy was changed: the bucket's, "
            "the role's, a VPC endpoint's or the organisation's. `snapshotter prove` says which rule",
        )
    who = (
        f"it is {refused.caller}, which"
        if refused.caller
        else "`snapshotter doctor` says who you are, and it"
    )
    other = "" if refused.scope == SCOPE else f". A policy like production's covers {SCOPE} only"
    return Diagnosis(
        "identity",
        heading,
        f"the {_good(refused)}, so the identity is the likely cause: {who} must be {TASK_ROLE} or have its policy, "
        f"for {refused.scope}{other}",
    )


def _not_attached(refused: Refused) -> Diagnosis:
    """S3 says that no policy of the identity allows a request that is in order."""
    return Diagnosis(
        "identity",
        _HEADINGS.get(refused.action, runbook.PUT_DENIED),
        f"no policy attached to {refused.caller or 'the identity'} allows it: attach the access policy of "
        f"infra/storage.yaml, for {refused.scope}",
    )


def _good(refused: Refused) -> str:
    """What of the request is in order, in words."""
    if refused.action == "PutObject":
        return "key is inside the prefix and the request carried x-amz-server-side-encryption: AES256"
    return "prefix is as it should be" if refused.action == "ListBucket" else "key is inside the prefix"
