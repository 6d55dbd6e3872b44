"""Who this process is to AWS: what a `.env` may say, whose credentials are used, what STS answers, who was refused."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from snapshotter.aws.identity import Source, adopt, caller, source, with_identity
from snapshotter.aws.refusal import StoreDenied, explain
from snapshotter.aws.refused_request import Refused
from snapshotter.aws.scope import SCOPE, TASK_ROLE
from snapshotter.base import runbook
from snapshotter.base.errors import Finding, NoCredentials, SnapshotterError, Unavailable
from tests.support.httpservers import Scripted, reply

ARN = f"arn:aws:sts::123456789012:assumed-role/{TASK_ROLE}/task"
OTHER = "arn:aws:sts::123456789012:assumed-role/other-role/task"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that names nobody: no variables, no files, no machine's role."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


# The variables of a `.env`


@pytest.mark.parametrize(
    ("env", "taken"),
    [
        ({}, {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}),
        ({"AWS_ACCESS_KEY_ID": "own"}, {"AWS_REGION"}),
        ({"AWS_PROFILE": "own"}, {"AWS_REGION"}),
        ({"AWS_DEFAULT_PROFILE": "own"}, {"AWS_REGION"}),
        ({"AWS_ROLE_ARN": "own"}, {"AWS_REGION"}),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "own"}, {"AWS_REGION"}),
        ({"AWS_REGION": "own"}, {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}),
        ({"AWS_PROFILE": ""}, {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"}),
    ],
)
def test_an_identity_is_taken_from_one_place_and_the_environment_wins(
    env: dict[str, str], taken: set[str]
) -> None:
    written = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "r", "PATH": "/evil"}
    before = dict(env)
    adopt(written, env)
    assert {name: env[name] for name in taken} == {name: written[name] for name in taken}
    assert env.keys() == before.keys() | taken
    assert all(env[name] == value for name, value in before.items())


# Where credentials come from


def test_static_keys_never_expire_and_a_token_makes_them_temporary() -> None:
    assert source(boto3.Session("key", "secret"), {}) == Source("explicit", static=True, renewed=False)
    assert source(boto3.Session("key", "secret", "token"), {}) == Source(
        "explicit", static=False, renewed=False
    )


def test_keys_of_the_environment_and_of_a_file_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s\n")
    assert str(source(boto3.Session(), os.environ)) == "a credentials file"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert str(source(boto3.Session(), os.environ)) == "the environment"


def test_a_task_s_role_is_renewed_and_says_until_when(monkeypatch: pytest.MonkeyPatch) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    keys = {
        "AccessKeyId": "k",
        "SecretAccessKey": "s",
        "Token": "t",
        "Expiration": f"{until:%Y-%m-%dT%H:%M:%SZ}",
    }
    with Scripted(
        lambda _: [reply(200, {"Content-Type": "application/json"}, json.dumps(keys).encode())]
    ) as host:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{host.port}/creds")
        found = source(boto3.Session(), os.environ)
    assert found == Source("container-role", static=False, renewed=True, expires_at=until)
    assert "ECS task role" in str(found)


def test_without_credentials_it_says_what_is_not_set() -> None:
    with pytest.raises(NoCredentials) as raised:
        source(boto3.Session(), {})
    assert [detail.split(" is ")[0] for detail in raised.value.details] == [
        "AWS_ACCESS_KEY_ID and AWS_PROFILE are not set",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ]
    assert runbook.see(runbook.CREDENTIALS) in raised.value.hint
    with pytest.raises(NoCredentials) as raised:
        source(boto3.Session(), {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"})
    assert len(raised.value.details) == 1


def test_a_credential_endpoint_that_refuses_is_named_and_its_answer_is_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Scripted(lambda _: [reply(403, {}, b"hunter2")]) as host:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{host.port}/creds")
        with pytest.raises(NoCredentials, match="AWS_CONTAINER_CREDENTIALS_FULL_URI is set, but") as raised:
            source(boto3.Session(), os.environ)
    assert "taskRoleArn" in raised.value.hint
    assert "hunter2" not in json.dumps(raised.value.as_dict())


def test_half_of_a_pair_of_keys_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
    with pytest.raises(NoCredentials, match="PartialCredentialsError"):
        source(boto3.Session(), os.environ)


# What STS says


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], str]]:
    """Asks an STS that gives this status and this XML who the caller is."""

    def asked(status: int, xml: str) -> str:
        with Scripted(lambda _: [reply(status, {"Content-Type": "text/xml"}, xml.encode())]) as host:
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{host.port}")
            return caller(boto3.Session("key", "secret"))

    yield asked


def refusal(code: str) -> str:
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"


def test_the_caller_s_arn(sts: Callable[[int, str], str]) -> None:
    answer = f"<GetCallerIdentityResult><Arn>{ARN}</Arn></GetCallerIdentityResult>"
    assert sts(200, f"<GetCallerIdentityResponse>{answer}</GetCallerIdentityResponse>") == ARN


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"])
def test_credentials_that_sts_refuses_are_no_credentials(sts: Callable[[int, str], str], code: str) -> None:
    with pytest.raises(NoCredentials, match=code):
        sts(403, refusal(code))


@pytest.mark.parametrize("code", ["AccessDenied", "NotImplemented"])
def test_an_sts_that_does_not_tell_says_nothing_about_the_credentials(
    sts: Callable[[int, str], str], code: str
) -> None:
    with pytest.raises(Unavailable, match=code) as raised:
        sts(400, refusal(code))
    assert not isinstance(raised.value, NoCredentials)
    assert raised.value.code == "sts"


def test_an_sts_that_is_not_there_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{port}")
    with pytest.raises(Unavailable, match="EndpointConnectionError") as raised:
        caller(boto3.Session("key", "secret"))
    assert raised.value.code == "sts"


# Who was refused


def denied(**more: object) -> SnapshotterError:
    refused = Refused("PutObject", "b", f"{SCOPE}x", encryption="AES256")
    return explain(replace(refused, **more))  # type: ignore[arg-type]


def test_a_refusal_that_only_the_identity_explains_gets_the_identity() -> None:
    told = with_identity(denied(), lambda: OTHER)
    assert isinstance(told, StoreDenied)
    assert (told.refused.identity, told.cause) == (OTHER, "wrong-role")
    assert f"identity: {OTHER}" in told.details


@pytest.mark.parametrize(
    "error",
    [
        Finding("no refusal"),
        denied(encryption=None),
        denied(key="elsewhere/x"),
        denied(identity=ARN),
        denied(code="ExpiredToken"),
    ],
)
def test_sts_is_not_asked_where_the_cause_is_known(error: SnapshotterError) -> None:
    assert with_identity(error, lambda: pytest.fail("asked")) is error


def test_a_refusal_stands_as_it_is_where_sts_does_not_tell() -> None:
    error = denied()
    assert with_identity(error, lambda: None) is error
