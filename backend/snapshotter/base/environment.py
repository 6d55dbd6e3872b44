"""The environment that a child gets: what it needs to run, and none of our secrets.

Our settings hold tokens and keys, and so do AWS's variables; git, ssh and what they start have no use for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

OURS: Final = "SNAPSHOTTER_"

# Where programs, libraries, homes and temporary folders are; the language and the time zone.
_BASIC: Final = frozenset(
    "PATH HOME USER LOGNAME SHELL TMPDIR TZ LANG LANGUAGE LD_LIBRARY_PATH "
    "XDG_CONFIG_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR".split()
)
# For a child that reaches a host: proxies, the ssh agent, Kerberos. Proxies are written in both cases.
_NETWORK: Final = frozenset(
    "HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY SSH_AUTH_SOCK SSH_AGENT_PID SSH_SK_PROVIDER KRB5CCNAME "
    "KRB5_CONFIG".split()
)


def for_child(
    own: Mapping[str, str], *, network: bool = False, env: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """A child's whole environment: of `env` what is on the list, and `own`, which wins.

    With `network` it may also use the proxies and the ssh agent.
    """
    listed = _BASIC | _NETWORK if network else _BASIC
    return {name: value for name, value in env.items() if _is_listed(name, listed)} | dict(own)


def for_users_own(own: Mapping[str, str], *, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a program that the user named, for secrets or as ssh: `env` without our settings.

    It may ask a vault, an agent or AWS (`aws secretsmanager get-secret-value`), so it has everything of the user's.
    """
    return {name: value for name, value in env.items() if not name.startswith(OURS)} | dict(own)


def _is_listed(name: str, listed: frozenset[str]) -> bool:
    return name in listed or name.startswith("LC_") or (name.islower() and name.upper() in listed & _NETWORK)
