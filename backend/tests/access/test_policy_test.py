"""The required policy test, run as its users run it: right lines and exit codes, whatever is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from snapshotter.access.answer import Kind, from_error
from snapshotter.access.policy_test import WRITES, Outcome, exit_code, inside
from snapshotter.access.proof import Status
from tests.access.support import SCOPE, make_bucket
from tests.infra.template import access_policy, bucket_policy
from tests.servers import Keys, Server, assume_role, client

SCRIPT = Path(__file__).parents[2] / "scripts" / "aws" / "s3_policy_test.py"
BUCKET, BARE = "policy-tested", "no-policy"
PREFIX = "repo-scans/snapshotter/policy-tests"
NO_HEADER = "no_sse_header_should_fail → ✅ EXPECTED FAILURE (AccessDenied)"
AES256 = "sse_aes256_should_succeed → ✅ SUCCESS"
KMS = "sse_aws_kms_should_fail → ✅ EXPECTED FAILURE (AccessDenied)"


@pytest.fixture(scope="module", params=["rgw", "ministack"])
def server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    make_bucket(server, BARE, None, access_policy(BucketName=BARE))
    make_bucket(server, BUCKET, bucket_policy(BucketName=BUCKET), access_policy(BucketName=BUCKET))
    return server


def script(
    env: dict[str, str], *args: str, bucket: str = BUCKET, prefix: str = PREFIX, folder: Path | None = None
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the script with nothing in its environment but this."""
    bare = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SCRIPT.parents[2]), "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--bucket", bucket, "--prefix", prefix, *args],
        env=bare | env,
        cwd=folder or SCRIPT.parent,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def in_dotenv(env: dict[str, str]) -> dict[str, str]:
    """What of it a `.env` may hold: not the files of profiles, which may name programs."""
    return {key: value for key, value in env.items() if not key.endswith("_FILE")}


def without_keys(env: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in env.items() if not re.search("KEY|TOKEN", key)}


def test_the_three_writes_behave_as_the_user_and_as_the_role(server: Server) -> None:
    role: Keys = assume_role(server, access_policy(BucketName=BUCKET), "role-to-test")
    for keys in (server.user, role):
        assert script(server.environment(keys)) == (0, f"{NO_HEADER}\n{AES256}\n{KMS}\n", "")


def test_a_bucket_without_its_policy_is_found_out(server: Server) -> None:
    code, out, _ = script(server.environment(server.user), bucket=BARE)
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith(
        "no_sse_header_should_fail → ❌ UNEXPECTED SUCCESS: the bucket policy was changed or is missing"
    )
    assert lines[1] == AES256
    assert re.match(
        r"sse_aws_kms_should_fail → ❌ UNEXPECTED FAILURE \(\w+\): the bucket policy let it pass", lines[2]
    )


def test_a_wrong_identity_or_prefix_is_no_success(server: Server) -> None:
    code, out, _ = script(server.environment(server.stranger))
    assert code == 1
    (line,) = [line for line in out.splitlines() if line.startswith("sse_aes256_should_succeed → ❌")]
    assert "UNEXPECTED FAILURE (AccessDenied): " in line
    if server.kind == "rgw":  # it names no policy; the other gives no request id
        assert "request id: " in line
        assert "the wrong bucket or prefix" in line
        assert "so the identity is the likely cause" in line
    else:
        assert re.search(r"no policy attached to arn:\S+:user/stranger allows it", line)
        assert "S3 says: User: arn:" in line
        assert "no identity-based policy allows the s3:PutObject action" in line
    code, out, _ = script(server.environment(server.user), "--allow-any-prefix", prefix="elsewhere")
    assert (code, "UNEXPECTED FAILURE (AccessDenied)" in out) == (1, True)


def test_what_cannot_be_checked_is_no_expected_failure(server: Server) -> None:
    env = server.environment(server.user)
    code, out, _ = script(env, bucket="no-such-bucket")
    assert (code, out.count("COULD NOT CHECK (NoSuchBucket): no such bucket")) == (4, 3)
    code, out, err = script(without_keys(env))
    assert (code, out, "no AWS credentials were found" in err) == (4, "", True)
    dead = {"AWS_ENDPOINT_URL": "https://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    code, out, _ = script(env | dead)
    assert (code, out.count("❌ COULD NOT CHECK (EndpointConnectionError)")) == (4, 3)
    if server.kind == "ministack":  # RADOS Gateway says AccessDenied to keys that it does not know
        code, out, _ = script(env | {"AWS_ACCESS_KEY_ID": "nobody"})
        assert (code, out.count("COULD NOT CHECK (InvalidAccessKeyId): the access key does not exist")) == (
            4,
            3,
        )


def test_a_prefix_outside_the_scoped_one_is_refused_before_any_request() -> None:
    for prefix in (
        "",
        "repo-scans",
        "repo-scans/snapshotter2",
        "repo-scans/snapshotter/../x",
        "/repo-scans/snapshotter",
    ):
        assert not inside(prefix)
    assert inside(SCOPE) and inside(SCOPE.rstrip("/")) and inside(PREFIX)
    code, out, err = script({"AWS_ENDPOINT_URL": "https://127.0.0.1:1"}, prefix="repo-scans/other")
    assert (code, out) == (2, "")
    assert "outside repo-scans/snapshotter/" in err


FORMS = {
    "plain": lambda env: "".join(f"{key}={value}\n" for key, value in env.items()),
    "of a shell": lambda env: "".join(f"export {key}='{value}'\n" for key, value in env.items()),
    "of Windows, with a mark": lambda env: (
        "\ufeff" + "".join(f'{k} = "{v}"  # it\r\n' for k, v in env.items())
    ),
    "with more": lambda env: FORMS["plain"](env) + "no setting\n=x\nAWS_SESSION_TOKEN=\nPATH=/evil\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_credentials_come_from_dotenv(form: str, server: Server, tmp_path: Path) -> None:
    text = FORMS[form](in_dotenv(server.environment(server.user)))
    (tmp_path / ".env").write_text(text, encoding="utf-8", newline="")
    assert script({}, folder=tmp_path)[:2] == (0, f"{NO_HEADER}\n{AES256}\n{KMS}\n")


def test_a_dotenv_that_is_no_text_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"AWS_REGION=caf\xe9\n")
    code, out, err = script({}, folder=tmp_path)
    assert (code, out, "UTF-8" in err) == (2, "", True)


def test_who_to_be_comes_from_one_place(server: Server, tmp_path: Path) -> None:
    stale = in_dotenv(server.environment(Keys("stale", "stale", "stale")))
    (tmp_path / ".env").write_text(FORMS["plain"](stale))
    assert script(server.environment(server.user), folder=tmp_path)[0] == 0


def test_what_cannot_be_meant_is_usage_and_never_a_finding() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hunter2"}
    for env, bucket in (
        ({}, ""),
        ({}, "BAD NAME"),
        ({}, "u:hunter2@bucket"),
        ({"AWS_PROFILE": "nope"}, BUCKET),
        ({"AWS_ENDPOINT_URL": "https//nowhere"}, BUCKET),
        ({"AWS_CONFIG_FILE": __file__}, BUCKET),
    ):
        code, out, err = script(keys | env, bucket=bucket)
        assert (code, out) == (2, ""), err
        assert err.startswith("❌ ") and "hint: " in err and "hunter2" not in err


def test_the_scope_is_the_stores_where_the_bucket_is_another(server: Server) -> None:
    bucket = "of-another-team"
    policies = (make(BucketName=bucket, Prefix="team/snapshots/") for make in (bucket_policy, access_policy))
    make_bucket(server, bucket, *policies)
    env = server.environment(server.user)
    set_to = env | {"SNAPSHOTTER_STORE": f"s3://{bucket}/team/snapshots/"}
    assert script(set_to, bucket=bucket, prefix="team/snapshots/policy-tests")[0] == 0
    assert script(set_to, bucket=bucket)[0] == 2, "and production's prefix is outside it"
    assert script(env, bucket=bucket, prefix="team/snapshots/policy-tests")[0] == 2


def test_it_writes_small_objects_under_its_prefix_only(server: Server) -> None:
    script(server.environment(server.user))
    found = client(server, server.owner).list_objects_v2(Bucket=BUCKET)["Contents"]
    assert all(
        re.fullmatch(rf"{PREFIX}/[0-9a-f]{{16}}/sse_aes256_should_succeed", item["Key"]) for item in found
    )
    assert all(item["Size"] < 200 for item in found)


@pytest.mark.parametrize(
    ("code", "status", "kind", "line"),
    [
        (
            "KMS.NotFoundException",
            400,
            Kind.OTHER,
            "UNEXPECTED FAILURE (KMS.NotFoundException): the bucket policy let",
        ),
        ("InvalidRequest", 400, Kind.OTHER, "UNEXPECTED FAILURE (InvalidRequest)"),
        ("ExpiredToken", 400, Kind.UNCHECKED, "COULD NOT CHECK (ExpiredToken)"),
        ("RequestTimeTooSkewed", 403, Kind.UNCHECKED, "COULD NOT CHECK (RequestTimeTooSkewed)"),
        ("SlowDown", 503, Kind.UNCHECKED, "COULD NOT CHECK (SlowDown)"),
        ("PermanentRedirect", 301, Kind.UNCHECKED, "COULD NOT CHECK (PermanentRedirect)"),
    ],
)
def test_no_other_code_is_an_expected_failure(code: str, status: int, kind: Kind, line: str) -> None:
    from snapshotter.access import policy_test

    class Wire:
        def send(self, *_: object) -> object:
            return from_error(code, status, "")

    outcomes = tuple(policy_test.outcome_of(Wire(), "b", "k", write) for write in WRITES)  # type: ignore[arg-type]
    assert {outcome.answer.kind for outcome in outcomes} == {kind}
    assert all(line in outcome.line for outcome in outcomes)
    assert exit_code(outcomes) == (1 if kind is Kind.OTHER else 4)


def test_a_misbehaviour_outweighs_what_could_not_be_checked() -> None:
    found = [
        Outcome(WRITES[0], "k", status, from_error("SlowDown", 503, ""))
        for status in (Status.UNCHECKED, Status.FAILED, Status.PASSED)
    ]
    assert exit_code(tuple(found)) == 1
