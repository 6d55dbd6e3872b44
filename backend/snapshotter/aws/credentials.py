"""Where the store's credentials come from: botocore's chain, walked without botocore as far as variables lead.

Its order: keys in the environment, a profile that assumes a role, a web identity, the rest of a profile (single
sign-on, keys in files, a process), files of older tools, a container's role, the machine's. Wherever a profile or a
file may decide, botocore walks it: loading that takes longer than a whole small run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from snapshotter.aws import container_role, web_identity
from snapshotter.aws.endpoint import Endpoint, files, names_profile
from snapshotter.aws.renewal import RenewedKeys, SessionKeys
from snapshotter.base import runbook
from snapshotter.base.errors import NoCredentials

if TYPE_CHECKING:
    from snapshotter.aws.endpoint import MakeSession

_OLDER: Final = ("AWS_CREDENTIAL_FILE", "BOTO_CONFIG")  # variables by which older tools named their files
_OLDER_FILES: Final = ("/etc/boto.cfg", "~/.boto")


class AwsCredentials:
    """The credentials in force, renewed as they expire. Safe to share between threads.

    `make_session` gives botocore's session, where botocore is needed.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        where: Endpoint,
        make_session: MakeSession,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._keys = _source(env, where, make_session, pause)

    def require(self) -> None:
        """Ask for them once, so that a run without any ends before it does anything. Raises NoCredentials."""
        self._keys()

    def __call__(self) -> SessionKeys:
        """Those in force. Raises NoCredentials."""
        return self._keys()


def no_credentials(why: str | None = None) -> NoCredentials:
    """The error for S3 without credentials; `why` is what the search for them raised."""
    return NoCredentials(
        "no AWS credentials were found" + (f": {why}" if why else ""),
        hint="log in (aws sso login), set AWS_PROFILE, or run with the task role; `snapshotter doctor` says more "
        f"{runbook.see(runbook.CREDENTIALS)}",
    )


def _source(
    env: Mapping[str, str], where: Endpoint, make_session: MakeSession, pause: Callable[[float], object]
) -> Callable[[], SessionKeys]:
    """What gives the keys, by the order of the chain."""
    key, secret = env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        token = env.get("AWS_SECURITY_TOKEN") or env.get("AWS_SESSION_TOKEN") or None
        static = SessionKeys(key, secret, token)
        return lambda: static
    if not key and not _file_may_decide(env):
        if web_identity.is_plain(env, where):
            return RenewedKeys(partial(web_identity.fetch, env, where, pause))
        if not env.get(web_identity.FILE) and container_role.is_named(env):
            return RenewedKeys(partial(container_role.fetch, env, pause))
    return _ByBotocore(make_session)


def _file_may_decide(env: Mapping[str, str]) -> bool:
    """Whether a profile, or a file of an older tool, may give credentials before a container's role does."""
    if names_profile(env) or any(name in env for name in _OLDER):
        return True
    older = (Path(name).expanduser() for name in _OLDER_FILES)
    return any(_holds_something(file) for file in (*files(env), *older))


def _holds_something(file: Path) -> bool:
    try:
        return bool(file.read_bytes().strip())
    except OSError:
        return False  # botocore, too, takes a file that cannot be read for none


class _ByBotocore:
    """What botocore's own chain finds."""

    def __init__(self, make_session: MakeSession) -> None:
        self._make_session = make_session
        self._credentials: Any = None

    def __call__(self) -> SessionKeys:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._credentials is None:
                self._credentials = self._make_session().get_credentials()
            frozen = self._credentials.get_frozen_credentials() if self._credentials is not None else None
        # An endpoint, a profile or a process was named and gave nothing; RuntimeError: what it gave is expired.
        except (BotoCoreError, ClientError, OSError, RuntimeError, ValueError) as error:
            raise no_credentials(type(error).__name__) from error
        if frozen is None:
            raise no_credentials()
        expiry: datetime | None = getattr(self._credentials, "_expiry_time", None)
        return SessionKeys(
            frozen.access_key, frozen.secret_key, frozen.token, expiry.astimezone(UTC) if expiry else None
        )
