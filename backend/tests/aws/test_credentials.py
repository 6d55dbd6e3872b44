"""One chain of credentials: what botocore's finds ours finds too, in its order, mostly without loading it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import botocore.session
import pytest

from snapshotter.aws import container_role, web_identity
from snapshotter.aws.credentials import AwsCredentials
from snapshotter.aws.endpoint import Endpoint, new_session, resolve
from snapshotter.aws.renewal import RenewedKeys, SessionKeys
from snapshotter.base.errors import NoCredentials
from tests.support.httpservers import Scripted, Seen, reply

EU = Endpoint("https://s3.eu-west-1.amazonaws.com", "eu-west-1", None, named=False, assumed=False)
SECRET = "hunter2hunter2"


def never() -> Any:
    pytest.fail("botocore was loaded")


def stamp(seconds: float = 3600) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def container_keys(request: Seen) -> Iterable[bytes]:
    """What ECS answers; the access key tells who asked with which token."""
    key = f"container-{request.headers.get('authorization', 'none')}"
    keys = {"AccessKeyId": key, "SecretAccessKey": SECRET, "Token": "t", "Expiration": stamp()}
    yield reply(200, {"Content-Type": "application/json"}, json.dumps(keys).encode())


def sts_keys(request: Seen) -> Iterable[bytes]:
    """What STS answers; the access key tells for which role and token."""
    asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    key = f"sts-{asked['RoleArn']}-{asked['WebIdentityToken']}"
    keys = (
        f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
        f"<SessionToken>t</SessionToken><Expiration>{stamp()}</Expiration></Credentials>"
        "<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>x:s</AssumedRoleId>"
        "</AssumedRoleUser>"
    )
    name = "AssumeRoleWithWebIdentity"
    body = f"<{name}Response><{name}Result>{keys}</{name}Result></{name}Response>"
    yield reply(200, {"Content-Type": "text/xml"}, body.encode())


@pytest.fixture
def hosts() -> Iterator[tuple[Scripted, Scripted]]:
    """A container's credential endpoint, and an STS."""
    with Scripted(container_keys) as container, Scripted(sts_keys) as sts:
        yield container, sts


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hosts: tuple[Scripted, Scripted]
) -> Callable[..., Mapping[str, str]]:
    """Makes an environment, of this process too, from words: each is a source that it names."""
    container, sts = hosts
    for name in [name for name in os.environ if name.startswith("AWS_") or name == "BOTO_CONFIG"]:
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("j.w.t", encoding="utf-8")
    (tmp_path / "pod").write_text("from-a-file", encoding="utf-8")
    files = {
        "region": "[default]\nregion = eu-west-1\n",
        "keys": f"[default]\naws_access_key_id = file\naws_secret_access_key = {SECRET}\n",
        "other": f"[profile other]\naws_access_key_id = other\naws_secret_access_key = {SECRET}\n",
        "web": f"[default]\nrole_arn = arn:aws:iam::1:role/of-file\nweb_identity_token_file = {tmp_path / 'token'}\n",
        "boto": f"[Credentials]\naws_access_key_id = older\naws_secret_access_key = {SECRET}\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.ini").write_text(text, encoding="utf-8")
    sources = {
        "env": {"AWS_ACCESS_KEY_ID": "env", "AWS_SECRET_ACCESS_KEY": SECRET},
        "env-token": {"AWS_SESSION_TOKEN": "late", "AWS_SECURITY_TOKEN": "first"},
        "half": {"AWS_ACCESS_KEY_ID": "half"},
        "container": {container_role.FULL: f"http://127.0.0.1:{container.port}/creds"},
        "token": {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "from-the-environment"},
        "token-file": {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "pod")},
        "web": {web_identity.FILE: str(tmp_path / "token"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/of-env"},
        "web-without-role": {web_identity.FILE: str(tmp_path / "token")},
        "profile": {"AWS_PROFILE": "other", "AWS_CONFIG_FILE": str(tmp_path / "other.ini")},
        "older": {"BOTO_CONFIG": str(tmp_path / "boto.ini")},
    }
    sources |= {f"file-{name}": {"AWS_CONFIG_FILE": str(tmp_path / f"{name}.ini")} for name in files}

    def make(words: str) -> Mapping[str, str]:
        env = {
            "AWS_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{sts.port}",
            "HOME": str(tmp_path),
        }
        for word in words.split():
            env |= sources[word]
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return env

    return make


def found(env: Mapping[str, str], **more: Any) -> str | None:
    try:
        keys = AwsCredentials(env, resolve(env), more.get("session", new_session), lambda _: None)()
    except NoCredentials:
        return None
    return f"{keys.access_key} {keys.token}"


def found_by_botocore() -> str | None:
    try:
        credentials = botocore.session.get_session().get_credentials()
        keys = credentials.get_frozen_credentials() if credentials else None
    except Exception:  # noqa: BLE001 - whatever botocore raises, it found none
        return None
    return f"{keys.access_key} {keys.token}" if keys else None


@pytest.mark.parametrize(
    ("words", "without_botocore"),
    [
        ("env", True),
        ("env env-token", True),
        ("env container web profile", True),
        ("container", True),
        ("container token", True),
        ("container token token-file", True),
        ("container file-region", False),
        ("web", True),
        ("web container", True),
        ("web file-keys", False),
        ("container file-keys", False),
        ("container file-web", False),
        ("container profile", False),
        ("web profile", False),
        ("container older", False),
        ("web older", False),
        ("profile", False),
        ("half container", False),
        ("web-without-role container", True),
        ("", False),
    ],
)
def test_the_chain_finds_what_botocore_s_finds(
    environment: Callable[..., Mapping[str, str]], words: str, without_botocore: bool
) -> None:
    env = environment(words)
    assert found(env) == found_by_botocore()
    if without_botocore:
        found(env, session=never)


def test_the_chain_is_walked_without_loading_botocore(environment: Callable[..., Mapping[str, str]]) -> None:
    for words in ("container token", "web"):
        script = (
            "import os, sys; from snapshotter.store.s3 import open_bucket; "
            "open_bucket('s3://bucket/p/', allow_http=False, env=os.environ); "
            "sys.exit('botocore' in sys.modules or 'boto3' in sys.modules)"
        )
        assert (
            subprocess.run(
                [sys.executable, "-c", script], env=dict(environment(words)), check=False
            ).returncode
            == 0
        )


# A container's role


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://169.254.170.2/x", True),
        ("http://169.254.170.23/x", True),
        ("http://[fd00:ec2::23]/x", True),
        ("http://localhost/x", True),
        ("http://127.0.0.1:1/x", True),
        ("http://[::1]/x", True),
        ("https://anywhere.example/x", True),
        ("http://anywhere.example/x", False),
        ("http://169.254.169.254/x", False),
        ("http://10.0.0.1/x", False),
        ("ftp://127.0.0.1/x", False),
        ("/x", False),
    ],
)
def test_a_token_goes_to_no_host_that_botocore_would_not_ask(
    url: str, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    keys = json.dumps({"AccessKeyId": "k", "SecretAccessKey": "s", "Token": "t", "Expiration": stamp()})
    monkeypatch.setattr(container_role, "_ask", lambda url, headers: (seen.append(url), keys.encode())[1])
    env = {container_role.FULL: url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRET}
    if asked:
        assert container_role.fetch(env).access_key == "k"
    else:
        with pytest.raises(NoCredentials, match="may be asked") as raised:
            container_role.fetch(env)
        assert SECRET not in json.dumps(raised.value.as_dict())
    assert bool(seen) is asked


def test_the_relative_uri_is_asked_of_ecs_and_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def ask(url: str, _: Mapping[str, str]) -> bytes:
        seen.append(url)
        return b"{}"

    monkeypatch.setattr(container_role, "_ask", ask)
    env = {container_role.RELATIVE: "/v2/credentials/x", container_role.FULL: "http://127.0.0.1:1/"}
    with pytest.raises(NoCredentials, match=container_role.RELATIVE):
        container_role.fetch(env, lambda _: None)
    assert seen == ["http://169.254.170.2/v2/credentials/x"] * 3


def test_an_endpoint_is_asked_three_times_and_its_words_are_not_told(
    environment: Callable[..., Mapping[str, str]], hosts: tuple[Scripted, Scripted]
) -> None:
    env, (container, _) = environment("container"), hosts
    waits: list[float] = []
    container.answer = lambda _: [reply(500, {}, SECRET.encode())]
    with pytest.raises(NoCredentials, match="gives no credentials") as raised:
        container_role.fetch(env, waits.append)
    assert (len(container.seen), waits) == (3, [1.0, 1.0])
    assert "status 500" in raised.value.details
    assert SECRET not in json.dumps(raised.value.as_dict())

    answers = iter([[reply(503)], [reply(200, {}, b"no json")]])
    container.answer = lambda request: next(answers, None) or container_keys(request)
    assert container_role.fetch(env, waits.append).access_key == "container-none"


def test_no_redirect_takes_the_token_along(
    environment: Callable[..., Mapping[str, str]], hosts: tuple[Scripted, Scripted]
) -> None:
    env, (container, sts) = environment("container token"), hosts
    container.answer = lambda _: [reply(302, {"Location": f"http://127.0.0.1:{sts.port}/creds"})]
    with pytest.raises(NoCredentials):
        container_role.fetch(env, lambda _: None)
    assert not sts.seen


@pytest.mark.parametrize("token", ["two\nlines", "ends with one\n", "ümlaut"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_told(
    environment: Callable[..., Mapping[str, str]], tmp_path: Path, token: str
) -> None:
    env = environment("container token-file")
    (tmp_path / "pod").write_text(token, encoding="utf-8")
    with pytest.raises(NoCredentials, match="token") as raised:
        container_role.fetch(env)
    assert token not in raised.value.message


def test_the_token_s_file_is_read_anew_each_time(
    environment: Callable[..., Mapping[str, str]], tmp_path: Path
) -> None:
    env = environment("container token-file")
    container_role.fetch(env)
    (tmp_path / "pod").write_text("a-later-one", encoding="utf-8")
    assert container_role.fetch(env).access_key == "container-a-later-one"


# A web identity


def test_sts_is_asked_unsigned_for_the_role_and_the_session_s_name(
    environment: Callable[..., Mapping[str, str]], hosts: tuple[Scripted, Scripted]
) -> None:
    env, (_, sts) = environment("web"), hosts
    web_identity.fetch({**env, "AWS_ROLE_SESSION_NAME": "me"}, EU)
    (request,) = sts.seen
    assert "authorization" not in request.headers
    assert parse_qs(request.body.decode()) == {
        "Action": ["AssumeRoleWithWebIdentity"],
        "Version": ["2011-06-15"],
        "RoleArn": ["arn:aws:iam::1:role/of-env"],
        "RoleSessionName": ["me"],
        "WebIdentityToken": ["j.w.t"],
    }


def test_sts_in_trouble_is_asked_again_and_a_refusal_is_told_by_its_code(
    environment: Callable[..., Mapping[str, str]], hosts: tuple[Scripted, Scripted]
) -> None:
    env, (_, sts) = environment("web"), hosts
    answers = iter([[reply(503)], [reply(400, {}, b"<Code>IDPCommunicationError</Code>")]])
    sts.answer = lambda request: next(answers, None) or sts_keys(request)
    assert web_identity.fetch(env, EU, lambda _: None).access_key == "sts-arn:aws:iam::1:role/of-env-j.w.t"
    assert len(sts.seen) == 3

    sts.answer = lambda _: [reply(403, {}, b"<Code>AccessDenied</Code><Message>j.w.t</Message>")]
    with pytest.raises(NoCredentials, match="AccessDenied") as raised:
        web_identity.fetch(env, EU, lambda _: pytest.fail("asked again"))
    assert "j.w.t" not in json.dumps(raised.value.as_dict())


@pytest.mark.parametrize(
    ("env", "region", "plain"),
    [
        ({}, "eu-west-1", True),
        ({}, "us-gov-west-1", True),
        ({}, "us-iso-east-1", False),
        ({}, "eusc-de-east-1", False),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "us-east-1", False),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "us-east-1", False),
        ({"AWS_STS_REGIONAL_ENDPOINTS": "legacy"}, "us-east-1", False),
        ({"AWS_ENDPOINT_URL_STS": "https://sts.example"}, "us-iso-east-1", True),
    ],
)
def test_where_only_a_table_of_endpoints_knows_sts_botocore_is_asked(
    env: dict[str, str], region: str, plain: bool
) -> None:
    where = Endpoint("https://s3", region, None, named=True, assumed=False)
    assert web_identity.is_plain(env | {web_identity.FILE: "/token"}, where) is plain


@pytest.mark.parametrize(
    "region", ["eu-west-1", "us-east-1", "cn-north-1", "us-gov-west-1", "ap-southeast-2"]
)
def test_sts_is_where_botocore_finds_it(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(url: str, *_: object) -> str:
        asked.append(url)
        raise NoCredentials("enough")

    monkeypatch.setattr(web_identity, "_asked", refuse)
    env = {web_identity.FILE: os.devnull, "AWS_ROLE_ARN": "arn:r"}
    with pytest.raises(NoCredentials, match="enough"):
        web_identity.fetch(env, Endpoint("https://s3", region, None, named=False, assumed=False))
    client = botocore.session.get_session().create_client("sts", region_name=region)
    assert asked == [f"{client.meta.endpoint_url}/"]


def test_a_token_goes_to_no_sts_over_plain_http(environment: Callable[..., Mapping[str, str]]) -> None:
    env = {**environment("web"), "AWS_ENDPOINT_URL_STS": "http://sts.example"}
    with pytest.raises(NoCredentials, match="HTTPS"):
        web_identity.fetch(env, EU, lambda _: pytest.fail("asked"))


# Renewal


def keys_for(seconds: float, name: str = "k") -> SessionKeys:
    return SessionKeys(name, SECRET, None, datetime.now(UTC) + timedelta(seconds=seconds))


@pytest.mark.parametrize(("seconds", "fetched"), [(3600, 1), (14 * 60, 2), (9 * 60, 2), (-5, 2)])
def test_keys_are_renewed_before_they_end(seconds: float, fetched: int) -> None:
    lifetimes = iter([seconds, 7200.0])
    asked: list[float] = []

    def fetch() -> SessionKeys:
        asked.append(next(lifetimes))
        return keys_for(asked[-1])

    renewed = RenewedKeys(fetch)
    for _ in range(4):
        renewed()
    assert len(asked) == fetched


@pytest.mark.parametrize(("seconds", "kept"), [(14 * 60, True), (9 * 60, False)])
def test_keys_that_still_last_outlive_a_failed_renewal(seconds: float, kept: bool) -> None:
    answers = iter([keys_for(seconds)])

    def fetch() -> SessionKeys:
        try:
            return next(answers)
        except StopIteration:
            raise NoCredentials("gone") from None

    renewed = RenewedKeys(fetch)
    first = renewed()
    if kept:
        assert renewed() is first
    else:
        with pytest.raises(NoCredentials, match="gone"):
            renewed()


def test_keys_never_show() -> None:
    assert SECRET not in repr(keys_for(1))
