"""A refusal as an error: denied only where S3 said so, always with S3's own words, and never with anybody's else."""

from __future__ import annotations

import pytest

from snapshotter.aws.refusal import StoreDenied, explain
from snapshotter.aws.refused_request import Refused
from snapshotter.aws.scope import SCOPE
from snapshotter.base import runbook
from snapshotter.base.errors import AccessDenied, NoCredentials, Unavailable

KEY = f"{SCOPE}github.com__psf__requests/refs.txt"
WORDS = {"sentence": "S3's own sentence", "request_id": "TXAMPLE0123"}


def refused(code: str, action: str = "PutObject") -> Refused:
    return Refused(action, "b", KEY, code, encryption="AES256", **WORDS)


@pytest.mark.parametrize(
    ("code", "kind", "slug", "heading"),
    [
        ("AccessDenied", StoreDenied, "store-denied", runbook.PUT_DENIED),
        ("ExpiredToken", NoCredentials, "credentials", runbook.CREDENTIALS),
        ("InvalidAccessKeyId", NoCredentials, "credentials", runbook.CREDENTIALS),
        ("SignatureDoesNotMatch", NoCredentials, "credentials", runbook.CREDENTIALS),
        ("RequestTimeTooSkewed", NoCredentials, "credentials", runbook.CLOCK),
        ("AllAccessDisabled", Unavailable, "disabled", runbook.WHICH_POLICY),
        ("AccountProblem", Unavailable, "disabled", runbook.WHICH_POLICY),
        ("InvalidObjectState", Unavailable, "archived", runbook.WHICH_POLICY),
        ("QuotaExceeded", Unavailable, "store", runbook.WHICH_POLICY),
    ],
)
def test_only_access_denied_is_denied_and_every_403_has_s3s_own_words(
    code: str, kind: type, slug: str, heading: str
) -> None:
    error = explain(refused(code))
    assert (type(error), error.code) == (kind, slug)
    assert (error.exit_code == AccessDenied.exit_code) == (code == "AccessDenied")
    assert code in error.message
    assert error.hint.endswith(runbook.see(heading))
    assert set(error.details) >= {f"key: {KEY}", "S3 says: S3's own sentence", "request id: TXAMPLE0123"}


def test_an_archived_object_and_a_disabled_account_blame_no_identity() -> None:
    archived, disabled = (explain(refused(code)) for code in ("InvalidObjectState", "AllAccessDisabled"))
    assert "restore-object" in archived.hint
    assert "support" in disabled.hint
    assert "identity" not in archived.hint + disabled.hint


def test_a_caller_whom_only_s3_names_is_a_detail() -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/other/session"
    sentence = f"User: {arn} is not authorized to perform: s3:PutObject on resource: x"
    assert f"identity: {arn}" in explain(Refused("PutObject", "b", KEY, sentence=sentence)).details
    assert not any("identity" in detail for detail in explain(Refused("PutObject", "b", KEY)).details)
