"""Where S3 is: the endpoint, the region and the CA in force, resolved once, the same for the store, doctor and proof.

Source: the AWS SDKs' reference guide ("Service-specific endpoints", "Dual-stack and FIPS endpoints").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from snapshotter.base import runbook
from snapshotter.base.errors import UsageError
from snapshotter.base.text import printable
from snapshotter.base.urls import is_loopback, redact

if TYPE_CHECKING:
    import botocore.session
    from boto3.session import Session as Session

    MakeSession = Callable[[], botocore.session.Session]

DEFAULT_REGION: Final = "us-east-1"
_IGNORE: Final = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"
_DUALSTACK: Final = "AWS_USE_DUALSTACK_ENDPOINT"
_FIPS: Final = "AWS_USE_FIPS_ENDPOINT"
# What in a configuration file decides where S3 is or whom it trusts, beside the region.
_DECIDES: Final = re.compile(r"endpoint_url|use_dualstack|use_fips|ca_bundle|\bservices\b", re.IGNORECASE)
_DECIDES_REGION: Final = re.compile(rf"{_DECIDES.pattern}|region", re.IGNORECASE)

# A host without a user, and its port; the name of a region, as botocore has it.
_NETLOC: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")
_REGION: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


@dataclass(frozen=True)
class Endpoint:
    """Where S3 is. `url` is without a closing slash, `ca_bundle` a PEM file or None for the CAs that all trust.

    `named` is whether a setting names the URL; otherwise it is AWS's own. `assumed` is whether no setting names the
    region.
    """

    url: str
    region: str
    ca_bundle: str | None
    named: bool
    assumed: bool

    @property
    def plain(self) -> bool:
        """Whether it is asked over plain HTTP."""
        return self.url.startswith("http://")


@contextmanager
def settings() -> Iterator[None]:
    """A context for code that reads AWS's settings. Raises UsageError for settings that cannot be used."""
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except (BotoCoreError, ValueError) as error:
        raise UsageError(
            f"the AWS settings cannot be used: {redact(str(error))}",
            hint="check AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL_S3 and the configuration file "
            f"{runbook.see(runbook.REGION)}",
        ) from error


def session(region: str | None = None) -> Session:
    """A session by this process's own settings: the AWS_ variables, profiles, the task role.

    `region` is the one that was resolved: botocore itself does not know of AWS_REGION. Raises UsageError for a
    profile that does not exist, or a configuration file that cannot be read.
    """
    import boto3

    with settings():
        return boto3.session.Session(region_name=region)


def check_bucket(name: str) -> None:
    """Raise UsageError for a name that no bucket can have."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name):
        shown = redact(f"s3://{name}/")
        raise UsageError(
            f"no bucket can be called that: {shown}", hint="give its name, or s3://bucket/prefix/"
        )


def resolve(env: Mapping[str, str], make_session: MakeSession | None = None) -> Endpoint:
    """The endpoint in force by the variables in `env`, over a profile's settings, over AWS's own.

    botocore is loaded only where something but the variables may decide: it takes longer than a small run.
    `make_session` gives the session whose profile is read, by default one of this process. Raises UsageError for a
    URL, a region or a PEM file that is none, and for settings that cannot be used.
    """
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    bundle = env.get("AWS_CA_BUNDLE")
    url = configured_url(env, "S3")
    dualstack, fips = true(env.get(_DUALSTACK)), true(env.get(_FIPS))
    if _by_profile(env, region):
        with settings():
            profile = _Profile((make_session or new_session)(), env)
            url, region = profile.url(), region or profile.variable("region")
            bundle = bundle or profile.variable("ca_bundle")
            dualstack, fips = profile.flag("use_dualstack_endpoint"), profile.flag("use_fips_endpoint")
    # botocore, and so the proof, falls back to this one.
    bundle = bundle or env.get("REQUESTS_CA_BUNDLE") or None
    where = region or DEFAULT_REGION
    _check_url(url)
    _check_region(where)
    _check_bundle(bundle)
    named = url is not None
    return Endpoint((url or _own(where, dualstack, fips)).rstrip("/"), where, bundle, named, region is None)


def require_tls(url: str, *, allow_http: bool) -> None:
    """Raise UsageError for plain HTTP, unless it is to loopback and allowed."""
    split = urlsplit(url)
    if split.scheme != "https" and not (allow_http and is_loopback(split.hostname or "")):
        raise UsageError(
            f"the S3 endpoint is plain HTTP: {redact(url)}",
            hint="use https; plain HTTP is for tests: loopback only, and with --allow-http "
            f"{runbook.see(runbook.PLAIN_HTTP)}",
        )


class _Profile:
    """What the profile in force, and the variables over it, decide. Raises botocore's errors."""

    def __init__(self, session: botocore.session.Session, env: Mapping[str, str]) -> None:
        self._session, self._env = session, env

    def variable(self, name: str) -> str | None:
        """What botocore takes for one of its own variables; None if nothing names it."""
        value = self._session.get_config_variable(name)
        return str(value) if value else None

    def flag(self, name: str) -> bool:
        """Whether one of the two switches of AWS's endpoints is on."""
        # The older place is the profile's s3 section, which botocore reads too.
        section = self._session.get_scoped_config().get("s3", {})
        older = section.get(name) if isinstance(section, dict) else None
        return true(self.variable(name)) or true(older)

    def url(self) -> str | None:
        """The endpoint that a variable, a profile's services or a profile names; None for AWS's own."""
        from botocore.configprovider import ConfiguredEndpointProvider

        if true(self._env.get(_IGNORE)) or true(self.variable("ignore_configured_endpoint_urls")):
            return None
        config, scoped = self._session.full_config, self._session.get_scoped_config()
        named: str | None = ConfiguredEndpointProvider(config, scoped, "s3", dict(self._env)).provide()
        return named


def new_session() -> botocore.session.Session:
    """botocore's session by this process's own settings."""
    import botocore.session

    return botocore.session.get_session()


def configured_url(env: Mapping[str, str], service: str) -> str | None:
    """The endpoint that variables name for a service, like ``S3``; None for AWS's own."""
    if true(env.get(_IGNORE)):
        return None
    return env.get(f"AWS_ENDPOINT_URL_{service}") or env.get("AWS_ENDPOINT_URL")


def true(value: object) -> bool:
    """Whether a setting is on."""
    return str(value).lower() == "true"


def names_profile(env: Mapping[str, str]) -> bool:
    """Whether the environment names a profile."""
    return bool(env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE"))


def files(env: Mapping[str, str]) -> tuple[Path, Path]:
    """The files in which profiles are, which need not exist: configuration and credentials."""
    home = Path(env.get("HOME") or "~") / ".aws"
    named = (env.get("AWS_CONFIG_FILE"), env.get("AWS_SHARED_CREDENTIALS_FILE"))
    config, credentials = (
        Path(name or home / own).expanduser()
        for name, own in zip(named, ("config", "credentials"), strict=True)
    )
    return config, credentials


def _by_profile(env: Mapping[str, str], region: str | None) -> bool:
    """Whether a profile, or one of its files, may decide where S3 is; of the region only if no variable names it."""
    if names_profile(env):
        return True
    decides = _DECIDES if region else _DECIDES_REGION
    for file in files(env):
        try:
            if decides.search(file.read_text(encoding="utf-8", errors="replace")):
                return True
        except OSError:
            continue  # botocore, too, takes a file that cannot be read for none
    return False


def _own(region: str, dualstack: bool, fips: bool) -> str:
    """AWS's own endpoint of a region."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://s3{'-fips' * fips}{'.dualstack' * dualstack}.{region}.{suffix}"


def _check_url(url: str | None) -> None:
    """Raise UsageError for what the clients of S3 read in different ways, or one of them not at all."""
    if url is not None and not _is_endpoint(url):
        raise UsageError(
            f"the S3 endpoint is no URL: {printable(redact(url))}",
            hint="AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's endpoint_url names it: write it like "
            f"https://host:port {runbook.see(runbook.REGION)}",
        )


def _is_endpoint(url: str) -> bool:
    try:
        split = urlsplit(url)
        _ = split.port  # raises ValueError if it is none
    except ValueError:
        return False
    return (
        split.scheme in ("http", "https")
        and bool(_NETLOC.fullmatch(split.netloc))
        and not set(" ?#") & set(url)
    )


def _check_region(region: str) -> None:
    """Raise UsageError for what is no region: it becomes a part of the host that gets the credentials' session."""
    if not _REGION.fullmatch(region):
        raise UsageError(
            f"no region is called that: {printable(region)}",
            hint="AWS_REGION, AWS_DEFAULT_REGION or the profile's region names it: write it like eu-central-1 "
            f"{runbook.see(runbook.REGION)}",
        )


def _check_bundle(path: str | None) -> None:
    """Raise UsageError for a file that holds no certificate: the clients behind the store end badly with one."""
    if path is None:
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        no_file = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
        why = error.strerror if no_file else "it holds no PEM certificate"
        raise UsageError(
            f"the CA bundle for S3 cannot be used: {printable(path)}: {why}",
            hint="AWS_CA_BUNDLE, the profile's ca_bundle or REQUESTS_CA_BUNDLE names it: give a PEM file "
            f"{runbook.see(runbook.REGION)}",
        ) from error
