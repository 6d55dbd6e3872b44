"""Every refusal is told apart: by the policy that S3 names, else by what the request shows and who sent it."""

from __future__ import annotations

import pytest

from snapshotter.aws.diagnosis import diagnose
from snapshotter.aws.refusal import explain
from snapshotter.aws.refused_request import Refused
from snapshotter.aws.scope import PRODUCTION, SCOPE, TASK_ROLE, role_of, scope_of
from snapshotter.base import runbook

KEY = f"{SCOPE}github.com__psf__requests/refs.txt"
TASK = f"arn:aws:sts::123456789012:assumed-role/{TASK_ROLE}/0123"
EXECUTION = "arn:aws:sts::123456789012:assumed-role/fruitful-repo-snapshotter-execution-role/0123"
DEFAULT_EXECUTION = "arn:aws:sts::123456789012:assumed-role/ecsTaskExecutionRole/0123"
OTHER = "arn:aws:sts::123456789012:assumed-role/other-role/0123"
USER = "arn:aws:iam::123456789012:user/ada"


def put(**more: object) -> Refused:
    return Refused("PutObject", "b", KEY, **({"encryption": "AES256"} | more))  # type: ignore[arg-type]


CASES = [
    (put(encryption=None), "missing-header", runbook.PUT_DENIED, "no encryption header"),
    (put(encryption="aws:kms"), "wrong-header", runbook.PUT_DENIED, "aws:kms"),
    (
        Refused("PutObject", "b", "elsewhere/x", encryption="AES256"),
        "outside-prefix",
        runbook.PUT_DENIED,
        SCOPE,
    ),
    (Refused("PutObject", "b", "repo-scans/snapshotter2/x"), "outside-prefix", runbook.PUT_DENIED, SCOPE),
    (Refused("GetObject", "b", "elsewhere/x"), "outside-prefix", runbook.MISSING_KEY, SCOPE),
    (Refused("ListBucket", "b", ""), "unprefixed-list", runbook.LIST_DENIED, "no prefix"),
    (
        Refused("ListBucket", "b", "repo-scans/snapshotter"),
        "list-without-slash",
        runbook.LIST_DENIED,
        "slash",
    ),
    (Refused("ListBucket", "b", "repo-scans/other/"), "outside-prefix", runbook.LIST_DENIED, "outside"),
    (Refused("GetObject", "b", KEY), "missing-key", runbook.MISSING_KEY, "does not exist"),
    (Refused("HeadObject", "b", KEY, identity=TASK), "missing-key", runbook.MISSING_KEY, "list the folder"),
    (Refused("GetObject", "b", KEY, identity=OTHER), "wrong-role", runbook.ROLES, "other-role"),
    (put(identity=OTHER), "wrong-role", runbook.ROLES, "taskRoleArn"),
    (put(identity=EXECUTION), "execution-role", runbook.ROLES, "taskRoleArn"),
    (put(identity=DEFAULT_EXECUTION), "execution-role", runbook.ROLES, "only starts the task"),
    (put(identity=TASK), "changed-policy", runbook.PUT_DENIED, "snapshotter prove"),
    (put(identity=USER), "identity", runbook.PUT_DENIED, USER),
    (put(), "identity", runbook.PUT_DENIED, "snapshotter doctor"),
    (put(create_only=False), "overwrite", runbook.OVERWRITE, "If-None-Match"),
    (put(multipart=True), "multipart", runbook.MULTIPART, "one PUT"),
    (put(secure=False), "plain-http", runbook.PLAIN_HTTP, "https"),
    (Refused("DeleteObject", "b", KEY), "never-granted", runbook.NEVER_GRANTED, "DeleteObject"),
    (Refused("GetBucketLocation", "b", ""), "never-granted", runbook.NEVER_GRANTED, "administrator"),
]


def sentence_of(action: str, why: str, who: str = TASK, resource: str = f"arn:aws:s3:::b/{KEY}") -> str:
    """A sentence of S3's as its guide has it ("Troubleshoot access denied (403 Forbidden) errors")."""
    return f'User: {who} is not authorized to perform: {action} on resource: "{resource}" {why}'


DENIES, ALLOWS_NOT = "with an explicit deny in {}", "because no {} allows the s3:PutObject action"
BUCKET, IDENTITY = DENIES.format("a resource-based policy"), ALLOWS_NOT.format("identity-based policy")
NAMED = [
    (put(sentence=sentence_of("s3:PutObject", BUCKET)), "bucket-policy", "the identity has no part in it"),
    (
        Refused("ListBucket", "b", SCOPE, sentence=sentence_of("s3:ListBucket", BUCKET, OTHER)),
        "bucket-policy",
        "prove --only configuration",
    ),
    (put(sentence=sentence_of("s3:PutObject", BUCKET, OTHER)), "outsider", f"add the ARN of {OTHER}"),
    (
        Refused("GetObject", "b", KEY, sentence=sentence_of("s3:GetObject", BUCKET, USER)),
        "outsider",
        "AllowedPrincipalArns",
    ),
    (
        Refused("GetObject", "b", KEY, sentence=sentence_of("kms:Decrypt", IDENTITY)),
        "key",
        "somebody else wrote it",
    ),
    (
        put(sentence=sentence_of("s3:PutObject", BUCKET), encryption=None),
        "missing-header",
        "no encryption header",
    ),
    (put(sentence=sentence_of("s3:PutObject", BUCKET), secure=False), "plain-http", "https"),
    (put(sentence=sentence_of("s3:PutObject", BUCKET), create_only=False), "overwrite", "If-None-Match"),
    (
        put(sentence=sentence_of("s3:PutObject", ALLOWS_NOT.format("resource-based policy"), OTHER)),
        "other-account",
        "account of the credentials",
    ),
    (
        put(sentence=sentence_of("s3:PutObject", DENIES.format("a service control policy"))),
        "organisation-policy",
        "above the account",
    ),
    (
        put(sentence=sentence_of("s3:PutObject", DENIES.format("a resource control policy"))),
        "organisation-policy",
        "organisation",
    ),
    (
        put(sentence=sentence_of("s3:PutObject", DENIES.format("a VPC endpoint policy"))),
        "endpoint-policy",
        "VPC endpoint",
    ),
    (
        put(sentence=sentence_of("s3:PutObject", ALLOWS_NOT.format("VPC endpoint policy"))),
        "endpoint-policy",
        "VPC endpoint",
    ),
    (
        put(sentence=sentence_of("s3:PutObject", ALLOWS_NOT.format("permissions boundary"))),
        "boundary",
        "caps what its policies grant",
    ),
    (
        put(sentence=sentence_of("s3:PutObject", ALLOWS_NOT.format("session policy"))),
        "session-policy",
        "when the role was assumed",
    ),
    (
        put(sentence=sentence_of("s3:PutObject", DENIES.format("an identity-based policy"))),
        "identity-policy",
        f"attached to {TASK} denies",
    ),
    (put(sentence=sentence_of("s3:PutObject", IDENTITY)), "identity", f"no policy attached to {TASK}"),
    (put(sentence=sentence_of("s3:PutObject", IDENTITY, USER), encryption=None), "identity", USER),
    (put(sentence=sentence_of("s3:PutObject", IDENTITY, EXECUTION)), "execution-role", "taskRoleArn"),
    (
        Refused("PutObject", "b", "elsewhere/x", sentence=sentence_of("s3:PutObject", IDENTITY)),
        "outside-prefix",
        SCOPE,
    ),
    (
        Refused(
            "GetObject", "b", KEY, sentence=sentence_of("s3:ListBucket", IDENTITY, resource="arn:aws:s3:::b")
        ),
        "missing-key",
        "the key does not exist",
    ),
    (Refused("GetObject", "b", KEY, sentence=sentence_of("s3:GetObject", IDENTITY)), "identity", "attach"),
]


@pytest.mark.parametrize(("refused", "cause", "hint"), NAMED)
def test_the_policy_that_s3_names_is_the_cause_and_nothing_is_guessed(
    refused: Refused, cause: str, hint: str
) -> None:
    diagnosis = diagnose(refused)
    assert diagnosis.cause == cause
    assert hint in diagnosis.hint
    assert "likely" not in diagnosis.hint or cause in ("identity", "execution-role")


def test_a_sentence_that_names_no_policy_leaves_the_likely_cause() -> None:
    for sentence in (
        "Access Denied",
        sentence_of("s3:PutObject", "because of a policy that is not known here"),
    ):
        assert diagnose(put(sentence=sentence, identity=USER)).cause == "identity"
        assert diagnose(put(sentence=sentence, encryption=None)).cause == "missing-header"


@pytest.mark.parametrize(
    ("refused", "cause", "heading", "says"), CASES, ids=lambda x: x if isinstance(x, str) else ""
)
def test_each_cause_is_told_apart(refused: Refused, cause: str, heading: str, says: str) -> None:
    diagnosis = diagnose(refused)
    assert (diagnosis.cause, diagnosis.heading) == (cause, heading)
    assert says in diagnosis.hint
    assert explain(refused).hint.endswith(runbook.see(heading))


def test_another_deployments_scope_is_its_stores_prefix_and_productions_is_known() -> None:
    assert scope_of(PRODUCTION, "elsewhere/") == scope_of("b", "") == SCOPE
    assert scope_of("b", "team/snapshots") == "team/snapshots/"
    scope = scope_of("b", "team/snapshots/")
    for refused, cause in (
        (Refused("PutObject", "b", "team/snapshots/x", encryption="AES256", scope=scope), "identity"),
        (Refused("PutObject", "b", KEY, encryption="AES256", scope=scope), "outside-prefix"),
        (Refused("ListBucket", "b", "team/snapshots", scope=scope), "list-without-slash"),
        (Refused("ListBucket", "b", "", scope=scope), "unprefixed-list"),
    ):
        diagnosis = diagnose(refused)
        assert diagnosis.cause == cause
        assert "team/snapshots/" in diagnosis.hint
        assert (SCOPE in diagnosis.hint) == (cause == "identity"), (
            "it may be the policy that is for another prefix"
        )


def test_a_role_is_read_from_its_session_only() -> None:
    assert role_of(TASK) == TASK_ROLE
    assert role_of("arn:aws-cn:sts::1:assumed-role/path/name/session") == "name"
    assert role_of(USER) is role_of("arn:aws:iam::123456789012:root") is role_of(None) is None
