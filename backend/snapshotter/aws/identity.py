"""Who this process is to AWS, and where its credentials come from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from snapshotter.aws import container_role, endpoint
from snapshotter.aws.refusal import StoreDenied, explain, not_accepted
from snapshotter.base import runbook
from snapshotter.base.errors import NoCredentials, SnapshotterError, Unavailable

if TYPE_CHECKING:
    import boto3

_CONTAINER = (container_role.RELATIVE, container_role.FULL)
# The variables from which botocore's chain takes an identity.
_WHO = re.compile(
    r"AWS_((DEFAULT_)?PROFILE|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SE(SSION|CURITY)_TOKEN|ROLE_(ARN|SESSION_NAME)"
    r"|WEB_IDENTITY_TOKEN_FILE|CONTAINER_.*)"
)
_IN_WORDS = {
    "env": "the environment",
    "shared-credentials-file": "a credentials file",
    "config-file": "a configuration file",
    "container-role": "the ECS task role (its credential endpoint)",
    "iam-role": "the machine's instance role",
    "assume-role": "a profile that assumes a role",
    "assume-role-with-web-identity": "a web identity",
    "sso": "single sign-on",
    "custom-process": "a credential process",
}


@dataclass(frozen=True)
class Source:
    """Where credentials come from. `static` keys never expire; `renewed` ones are fetched anew in time."""

    method: str
    static: bool
    renewed: bool
    expires_at: datetime | None = None

    def __str__(self) -> str:
        return _IN_WORDS.get(self.method, self.method)


def adopt(written: Mapping[str, str], env: MutableMapping[str, str]) -> None:
    """Add the AWS_ variables of a `.env` to an environment, whose own variables win.

    Variables that make an identity are added only if the environment names none. An identity of which half came from
    each would be nobody's, and botocore would prefer keys from the file to a profile that the environment names.
    """
    known = any(_WHO.fullmatch(name) and value for name, value in env.items())
    for name, value in written.items():
        if name.startswith("AWS_") and not (known and _WHO.fullmatch(name)):
            env.setdefault(name, value)


def source(session: boto3.Session, env: Mapping[str, str]) -> Source:
    """Where a session's credentials come from, after fetching them once. `env` only serves to say what is missing.

    Raises NoCredentials, which says what is missing, or what did not answer.
    """
    from botocore.exceptions import BotoCoreError

    try:
        credentials: Any = session.get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials is not None else None
    except (BotoCoreError, OSError, RuntimeError) as error:
        raise _unanswered(error, env) from error
    if frozen is None or not frozen.access_key:
        raise _missing(env)
    expires = getattr(credentials, "_expiry_time", None)
    return Source(
        method=credentials.method,
        static=not frozen.token,
        renewed=hasattr(credentials, "refresh_needed"),
        expires_at=expires.astimezone(UTC) if expires else None,
    )


def caller(session: boto3.Session, *, seconds: float = 5.0) -> str:
    """The caller's ARN by STS.

    Raises NoCredentials if STS refuses them, Unavailable (code `sts`) if it cannot be asked.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    region = session.region_name or "us-east-1"
    settings = Config(connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 2})
    try:
        return session.client("sts", region_name=region, config=settings).get_caller_identity()["Arn"]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if unusable := not_accepted(code):
            raise unusable from error
        raise _no_sts(code or "it does not know the question") from error
    except (BotoCoreError, OSError, RuntimeError) as error:
        raise _no_sts(type(error).__name__) from error


@cache
def own_arn() -> str | None:
    """This process's ARN, or None if STS does not tell in time. Asked once."""
    from botocore.exceptions import BotoCoreError

    try:
        return caller(endpoint.session(endpoint.resolve(os.environ).region), seconds=2.0)
    except (SnapshotterError, BotoCoreError, ValueError):  # settings that cannot be used tell nothing either
        return None


def with_identity(error: SnapshotterError, who: Callable[[], str | None] = own_arn) -> SnapshotterError:
    """The error, told anew with the caller's identity if that is what may explain it.

    Only a refusal by the bucket whose request was in order is explained by who sent it. `who` gives the ARN, or
    None if it cannot be known; it is asked for such a refusal only.
    """
    if not isinstance(error, StoreDenied) or error.refused.caller:
        return error
    if error.cause not in ("identity", "missing-key"):
        return error
    arn = who()
    return explain(replace(error.refused, identity=arn)) if arn else error


def _missing(env: Mapping[str, str]) -> NoCredentials:
    missing = ["AWS_ACCESS_KEY_ID and AWS_PROFILE are not set"]
    if not any(env.get(name) for name in _CONTAINER):
        missing.append(
            f"{_CONTAINER[0]} is not set either, so this is no ECS task, or its definition has no taskRoleArn"
        )
    return NoCredentials(
        "no AWS credentials were found",
        details=tuple(missing),
        hint="in a task, set the task definition's taskRoleArn; elsewhere, log in (aws sso login) or set "
        f"AWS_PROFILE {runbook.see(runbook.CREDENTIALS)}",
    )


def _unanswered(error: Exception, env: Mapping[str, str]) -> NoCredentials:
    named = next((name for name in _CONTAINER if env.get(name)), None)
    if named:
        return container_role.gives_nothing(named, type(error).__name__)
    return NoCredentials(
        f"the AWS credentials cannot be had ({type(error).__name__})",
        hint=f"log in again (aws sso login) or check AWS_PROFILE {runbook.see(runbook.CREDENTIALS)}",
    )


def _no_sts(why: str) -> Unavailable:
    return Unavailable(
        f"STS did not say who this is ({why})",
        code="sts",
        hint="nothing depends on it but this check: see that HTTPS to STS in this region is open "
        f"{runbook.see(runbook.CREDENTIALS)}",
    )
