"""A role by web identity: STS gives its keys for a token that a file holds, as in a pod of EKS or a CI's job.

Source: the STS reference's AssumeRoleWithWebIdentity page, and the AWS SDKs' reference guide ("Assume role credential
provider").
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from snapshotter.aws import error_document
from snapshotter.aws.endpoint import Endpoint, configured_url, true
from snapshotter.aws.renewal import SessionKeys
from snapshotter.base import runbook
from snapshotter.base.errors import NoCredentials
from snapshotter.base.text import printable
from snapshotter.base.urls import is_loopback, redact

FILE: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"
_ROLE: Final = "AWS_ROLE_ARN"
_SESSION: Final = "AWS_ROLE_SESSION_NAME"
_HOME: Final = re.compile(
    r"(af|ap|ca|cn|eu|il|me|mx|sa|us|us-gov)-[a-z]+-\d+"
)  # regions of the large partitions
_ELSEWHERE: Final = ("AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT")
_AGAIN: Final = frozenset({"IDPCommunicationError", "Throttling", "RequestLimitExceeded"})
_ATTEMPTS: Final = 4
_CONNECT, _READ = 15.0, 60.0  # seconds
_LARGEST: Final = 256 * 1024  # bytes


def is_plain(env: Mapping[str, str], where: Endpoint) -> bool:
    """Whether the environment names such a role, and its STS is one that needs no table of endpoints to be found."""
    if not env.get(FILE) or any(true(env.get(name)) for name in _ELSEWHERE):
        return False
    if env.get("AWS_STS_REGIONAL_ENDPOINTS") == "legacy":
        return False
    return bool(configured_url(env, "STS") or _HOME.fullmatch(where.region))


def fetch(
    env: Mapping[str, str], where: Endpoint, pause: Callable[[float], object] = time.sleep
) -> SessionKeys:
    """The role's keys of this moment. Raises NoCredentials if a setting is missing, or STS gives none."""
    role = env.get(_ROLE)
    if not role:
        raise NoCredentials(
            f"{FILE} is set, but {_ROLE} is not, so there is no role to take credentials of",
            hint=f"set {_ROLE}, or unset {FILE} {runbook.see(runbook.CREDENTIALS)}",
        )
    try:
        token = Path(env[FILE]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise NoCredentials(
            f"the web identity's token for AWS credentials cannot be read: {printable(env[FILE])}: "
            f"{type(error).__name__}",
            hint=f"{FILE} names it {runbook.see(runbook.CREDENTIALS)}",
        ) from error
    asked = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": env.get(_SESSION) or f"snapshotter-{int(time.time())}",
        "WebIdentityToken": token,
    }
    return _keys(_asked(_url(env, where.region), urlencode(asked).encode(), where.ca_bundle, pause))


def _url(env: Mapping[str, str], region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = configured_url(env, "STS") or f"https://sts.{region}.{suffix}"
    split = urlsplit(url)
    if split.scheme != "https" and not (split.scheme == "http" and is_loopback(split.hostname or "")):
        raise NoCredentials(
            f"no credentials are asked of an STS that is not reached by HTTPS: {printable(redact(url))}",
            hint=f"check AWS_ENDPOINT_URL_STS and AWS_ENDPOINT_URL {runbook.see(runbook.CREDENTIALS)}",
        )
    return url.rstrip("/") + "/"


def _asked(url: str, body: bytes, ca_bundle: str | None, pause: Callable[[float], object]) -> str:
    """What STS answers. Raises NoCredentials for what is no answer, after as many tries as may help."""
    import urllib3

    from snapshotter.aws import connections

    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "Accept": "application/xml",
    }
    why = ""
    with connections.pool(url, urllib3.Timeout(connect=_CONNECT, read=_READ), ca_bundle=ca_bundle) as pool:
        for attempt in range(_ATTEMPTS):
            if attempt:
                pause(0.5 * 2**attempt)
            try:
                answer = pool.request(
                    "POST", url, body=body, headers=headers, redirect=False, preload_content=False
                )
                text = answer.read(_LARGEST).decode("utf-8", "replace")
            except (urllib3.exceptions.HTTPError, OSError) as error:
                why = type(error).__name__
                continue
            if answer.status == 200:
                return text
            code = error_document.read(text).code
            why = code or f"status {answer.status}"
            if answer.status < 500 and answer.status != 429 and code not in _AGAIN:
                break
    raise _refused(why)


def _keys(text: str) -> SessionKeys:
    def element(name: str) -> str:
        match = re.search(rf"<{name}>\s*([^<]+?)\s*</{name}>", text)
        if match is None:
            raise _refused("its answer holds no keys")
        return match[1]

    try:
        until = datetime.fromisoformat(element("Expiration"))
    except ValueError:
        raise _refused("its answer does not say until when") from None
    return SessionKeys(
        element("AccessKeyId"),
        element("SecretAccessKey"),
        element("SessionToken"),
        until if until.tzinfo else until.replace(tzinfo=UTC),
    )


def _refused(why: str) -> NoCredentials:
    return NoCredentials(
        f"STS gives no credentials for the web identity ({why})",
        hint=f"check {_ROLE}, the role's trust policy, and that the token in {FILE} has not expired "
        f"{runbook.see(runbook.CREDENTIALS)}",
    )
