"""The role of a container: keys from the endpoint that ECS, or EKS's pod identity agent, names in the environment.

Source: the AWS SDKs' reference guide ("Container credential provider"). Which hosts are asked, how often and for how
long are botocore's own rules (`ContainerMetadataFetcher`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from snapshotter.aws.renewal import SessionKeys
from snapshotter.base import runbook
from snapshotter.base.errors import NoCredentials
from snapshotter.base.text import printable
from snapshotter.base.urls import is_loopback

RELATIVE: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - a variable's name
_TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105 - a variable's name
_ECS: Final = "169.254.170.2"
_PLAIN: Final = frozenset(
    {_ECS, "169.254.170.23", "fd00:ec2::23"}
)  # link-local: they may be asked over plain HTTP
_ATTEMPTS: Final = 3
_SECONDS: Final = 2.0  # to connect, and of silence
_PAUSE: Final = 1.0  # seconds
_LARGEST: Final = 256 * 1024  # bytes


def is_named(env: Mapping[str, str]) -> bool:
    """Whether the environment says that this is such a container."""
    return RELATIVE in env or FULL in env


def fetch(env: Mapping[str, str], pause: Callable[[float], object] = time.sleep) -> SessionKeys:
    """The role's keys of this moment. Raises NoCredentials if the endpoint may not be asked, or gives none."""
    named, url = (RELATIVE, f"http://{_ECS}{env[RELATIVE]}") if RELATIVE in env else (FULL, env[FULL])
    _check(named, url)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _read(_ask(url, _headers(env)))
        except _NoAnswer as error:
            if attempt == _ATTEMPTS:
                raise gives_nothing(named, str(error)) from error
            pause(_PAUSE)
    raise AssertionError


def gives_nothing(named: str, why: str) -> NoCredentials:
    """The error for an endpoint, named by the variable `named`, that was asked in vain."""
    return NoCredentials(
        f"{named} is set, but the credential endpoint that it names gives no credentials",
        details=(why,),
        hint="check that the task definition has a taskRoleArn, that the role exists, and that nothing "
        f"in the task blocks the endpoint {runbook.see(runbook.CREDENTIALS)}",
    )


class _NoAnswer(Exception):
    """No keys this time. The text says why, and quotes nothing that the endpoint said."""


def _check(named: str, url: str) -> None:
    """Raise NoCredentials for an endpoint to which a token would go over plain HTTP, through somebody's network."""
    split = urlsplit(url)
    host = split.hostname or ""
    if host and (
        split.scheme == "https" or (split.scheme == "http" and (host in _PLAIN or is_loopback(host)))
    ):
        return
    raise NoCredentials(
        f"{named} names no credential endpoint that may be asked: {printable(host) or 'no host'}",
        hint=f"it must be https, loopback, or one of {', '.join(sorted(_PLAIN))} {runbook.see(runbook.CREDENTIALS)}",
    )


def _headers(env: Mapping[str, str]) -> dict[str, str]:
    """The headers of a request; the token is read each time, since its file is written anew as it expires."""
    token = env.get(_TOKEN)
    if file := env.get(_TOKEN_FILE):
        try:
            token = Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise _unusable_token(f"{printable(file)}: {type(error).__name__}") from error
    if token is None:
        return {"Accept": "application/json"}
    if not token.isascii() or "\r" in token or "\n" in token:
        raise _unusable_token("it holds what no header can")
    return {"Accept": "application/json", "Authorization": token}


def _unusable_token(why: str) -> NoCredentials:
    return NoCredentials(
        f"the token for the container's credential endpoint cannot be used: {why}",
        hint=f"{_TOKEN_FILE} or {_TOKEN} names it {runbook.see(runbook.CREDENTIALS)}",
    )


def _ask(url: str, headers: Mapping[str, str]) -> bytes:
    import urllib3

    from snapshotter.aws import connections

    try:
        with connections.direct(url, urllib3.Timeout(connect=_SECONDS, read=_SECONDS)) as pool:
            answer = pool.request("GET", url, headers=dict(headers), redirect=False, preload_content=False)
            body = answer.read(_LARGEST)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise _NoAnswer(type(error).__name__) from error
    if answer.status != 200:
        raise _NoAnswer(f"status {answer.status}")
    return bytes(body)


def _read(body: bytes) -> SessionKeys:
    try:
        told: Any = json.loads(body)
        until = datetime.fromisoformat(told["Expiration"])
        key, secret, token = (told[name] for name in ("AccessKeyId", "SecretAccessKey", "Token"))
    except (ValueError, TypeError, KeyError) as error:
        raise _NoAnswer("its answer holds no keys") from error
    if not all(isinstance(each, str) for each in (key, secret, token)):
        raise _NoAnswer("its answer holds no keys")
    return SessionKeys(key, secret, token, until if until.tzinfo else until.replace(tzinfo=UTC))
