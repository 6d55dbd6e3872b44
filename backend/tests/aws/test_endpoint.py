"""One endpoint for all: what the settings say, what the store and the proof then ask, and what is no setting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from snapshotter.access.wire import S3Wire, here
from snapshotter.aws import endpoint
from snapshotter.base import runbook
from snapshotter.base.errors import UsageError
from snapshotter.store.s3 import open_bucket

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
PROFILES = """
[profile dual]
region = eu-west-1
use_dualstack_endpoint = true
[profile older]
region = eu-west-1
s3 =
    use_dualstack_endpoint = true
[profile fips]
region = eu-west-1
use_fips_endpoint = true
[profile named]
region = eu-central-2
endpoint_url = https://s3.named.example:9000/
[profile serviced]
region = eu-central-2
services = mine
[profile ignoring]
region = eu-west-1
endpoint_url = https://s3.named.example
ignore_configured_endpoint_urls = true
[services mine]
s3 =
    endpoint_url = https://s3.serviced.example
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A process without AWS settings, but for keys and the profiles above."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name == "REQUESTS_CA_BUNDLE"]:
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text(PROFILES, encoding="utf-8")
    settings = KEYS | {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


EU, US = {"AWS_REGION": "eu-west-1"}, {"AWS_REGION": "us-east-1"}


@pytest.mark.parametrize(
    ("env", "url", "region"),
    [
        (EU, "https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-3"}, "https://s3.eu-west-3.amazonaws.com", "eu-west-3"),
        ({"AWS_REGION": "cn-north-1"}, "https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        (
            EU | {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "https://s3.dualstack.eu-west-1.amazonaws.com",
            "eu-west-1",
        ),
        (EU | {"AWS_USE_FIPS_ENDPOINT": "true"}, "https://s3-fips.eu-west-1.amazonaws.com", "eu-west-1"),
        ({"AWS_PROFILE": "dual"}, "https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
        ({"AWS_PROFILE": "older"}, "https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
        ({"AWS_PROFILE": "fips"}, "https://s3-fips.eu-west-1.amazonaws.com", "eu-west-1"),
        ({"AWS_PROFILE": "named"}, "https://s3.named.example:9000", "eu-central-2"),
        ({"AWS_PROFILE": "serviced"}, "https://s3.serviced.example", "eu-central-2"),
        ({"AWS_PROFILE": "ignoring"}, "https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ({"AWS_PROFILE": "named"} | EU, "https://s3.named.example:9000", "eu-west-1"),
        ({"AWS_PROFILE": "named", "AWS_ENDPOINT_URL": "https://other"}, "https://other", "eu-central-2"),
        (
            EU | {"AWS_ENDPOINT_URL": "https://all", "AWS_ENDPOINT_URL_S3": "https://s3"},
            "https://s3",
            "eu-west-1",
        ),
        (
            EU | {"AWS_ENDPOINT_URL": "https://all", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://s3.eu-west-1.amazonaws.com",
            "eu-west-1",
        ),
    ],
)
def test_the_store_the_doctor_and_the_proof_ask_the_same_endpoint(
    environment: pytest.MonkeyPatch, env: Mapping[str, str], url: str, region: str
) -> None:
    for name, value in env.items():
        environment.setenv(name, value)
    where = endpoint.resolve(os.environ)
    assert (where.url, where.region, where.assumed) == (url, region, False)
    wire = S3Wire(here())
    assert (wire.endpoint.rstrip("/"), wire.signed.meta.region_name) == (url, region)
    opened = open_bucket("s3://bucket/p/", allow_http=False, env=os.environ).requests
    host = urlsplit(url).netloc
    expected = f"https://{host}/bucket" if where.named else f"https://bucket.{host}/"
    assert (opened.url, opened.region) == (expected, region)


def test_without_a_region_it_is_assumed_and_botocore_is_not_asked_where_variables_decide(
    environment: pytest.MonkeyPatch,
) -> None:
    where = endpoint.resolve(os.environ)
    assert (where.region, where.assumed) == ("us-east-1", True)
    environment.setenv("AWS_CONFIG_FILE", os.devnull)
    environment.setenv("AWS_REGION", "eu-west-1")
    where = endpoint.resolve(os.environ, lambda: pytest.fail("loaded"))
    assert where.region == "eu-west-1"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:9000",
        "s3.example.org",
        "ftp://host",
        "https//host",
        "https://",
        "https://[::1",
        "https://host:port",
        "https://host:99999",
        "https://key:s3cr3t@host",
        "https://host/?x=1",
        "https://host name",
    ],
)
def test_an_endpoint_that_is_no_url_is_refused_before_anything_is_asked(url: str) -> None:
    env = KEYS | EU | {"AWS_ENDPOINT_URL_S3": url}
    for call in (
        lambda: endpoint.resolve(env),
        lambda: open_bucket("s3://bucket/", allow_http=True, env=env),
    ):
        with pytest.raises(UsageError, match="is no URL") as raised:
            call()
        assert "https://host:port" in raised.value.hint
        assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize("region", ["eu central", "evil.example/x", "x@evil.example", "-eu", "eu-west-1."])
def test_a_region_that_is_none_is_refused_before_it_becomes_a_host(
    environment: pytest.MonkeyPatch, tmp_path: Path, region: str
) -> None:
    (tmp_path / "config").write_text(f"[profile p]\nregion = {region}\n", encoding="utf-8")
    for env in ({"AWS_REGION": region}, {"AWS_DEFAULT_REGION": region}, {"AWS_PROFILE": "p"}):
        with environment.context() as here_only:
            for name, value in env.items():
                here_only.setenv(name, value)
            for call in (here, lambda: open_bucket("s3://bucket/", allow_http=False, env=os.environ)):
                with pytest.raises(UsageError, match="no region") as raised:
                    call()
                assert runbook.see(runbook.REGION) in raised.value.hint


def test_a_ca_bundle_without_a_certificate_is_refused_wherever_it_is_named(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n", encoding="utf-8")
    (tmp_path / "config").write_text(
        f"[profile p]\nregion = eu-west-1\nca_bundle = {junk}\n", encoding="utf-8"
    )
    for env in (
        EU | {"AWS_CA_BUNDLE": str(junk)},
        EU | {"AWS_CA_BUNDLE": str(tmp_path / "gone.pem")},
        EU | {"REQUESTS_CA_BUNDLE": str(junk)},
        {"AWS_PROFILE": "p"},
    ):
        with environment.context() as here_only:
            for name, value in env.items():
                here_only.setenv(name, value)
            for call in (here, lambda: open_bucket("s3://bucket/", allow_http=False, env=os.environ)):
                with pytest.raises(UsageError, match="CA bundle") as raised:
                    call()
                assert runbook.see(runbook.REGION) in raised.value.hint


def test_a_profile_that_does_not_exist_is_a_usage_error_for_all(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_PROFILE", "nope")
    for call in (here, lambda: open_bucket("s3://bucket/", allow_http=False, env=os.environ)):
        with pytest.raises(UsageError, match="nope"):
            call()
