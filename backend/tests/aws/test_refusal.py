"""Every refusal is told apart: what the request shows, who sent it, and what is no refusal at all."""

from __future__ import annotations

import pytest

from snapshotter.aws.refusal import (
    PRODUCTION,
    SCOPE,
    TASK_ROLE,
    Refused,
    StoreDenied,
    diagnose,
    explain,
    role_of,
    scope_of,
)
from snapshotter.base import runbook
from snapshotter.base.errors import AccessDenied, NoCredentials

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
    (put(code="ExpiredToken"), "expired", runbook.CREDENTIALS, "renew"),
    (put(code="InvalidAccessKeyId"), "bad-credentials", runbook.CREDENTIALS, "renew"),
    (put(code="SignatureDoesNotMatch"), "bad-credentials", runbook.CREDENTIALS, "renew"),
    (put(code="RequestTimeTooSkewed"), "clock", runbook.CLOCK, "clock"),
]


@pytest.mark.parametrize(
    ("refused", "cause", "heading", "says"), CASES, ids=lambda x: x if isinstance(x, str) else ""
)
def test_each_cause_is_told_apart(refused: Refused, cause: str, heading: str, says: str) -> None:
    found = diagnose(refused)
    assert (found.cause, found.heading) == (cause, heading)
    assert says in found.hint
    assert explain(refused).hint.endswith(runbook.see(heading))


@pytest.mark.parametrize("refused", [case[0] for case in CASES])
def test_only_access_denied_is_denied(refused: Refused) -> None:
    error = explain(refused)
    if refused.code == "AccessDenied":
        assert isinstance(error, StoreDenied)
        assert (error.exit_code, error.code) == (AccessDenied.exit_code, "store-denied")
    else:
        assert (type(error), error.code) == (NoCredentials, "credentials")
    assert f"key: {refused.key}" in error.details


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
        found = diagnose(refused)
        assert found.cause == cause
        assert "team/snapshots/" in found.hint
        assert (SCOPE in found.hint) == (cause == "identity"), (
            "it may be the policy that is for another prefix"
        )


def test_a_role_is_read_from_its_session_only() -> None:
    assert role_of(TASK) == TASK_ROLE
    assert role_of("arn:aws-cn:sts::1:assumed-role/path/name/session") == "name"
    assert role_of(USER) is role_of("arn:aws:iam::123456789012:root") is role_of(None) is None
