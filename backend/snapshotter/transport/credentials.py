"""Secrets for origins: the environment, a command or a GitHub App that makes a fresh one, git's credential helpers.

A secret never reaches argv, a log, a manifest or an exception.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Protocol

from snapshotter.base.errors import UsageError
from snapshotter.git import program
from snapshotter.git.origin import Credential, Origin
from snapshotter.transport import host_tokens
from snapshotter.transport.app_key import AppKey
from snapshotter.transport.github_app import AppTokens
from snapshotter.transport.host_tokens import HostTokens
from snapshotter.transport.renewed import Issued, RenewedCredential

VARIABLE = "SNAPSHOTTER_GIT_TOKEN"
COMMAND = "SNAPSHOTTER_GIT_TOKEN_COMMAND"
AUTH = "SNAPSHOTTER_GIT_AUTH"
USER = "SNAPSHOTTER_GIT_USER"


class Credentials(Protocol):
    """Where secrets for an origin come from."""

    def initial(self, origin: Origin) -> Credential | None:
        """A credential to send unasked, or None. Raises Unavailable if the command that prints one fails."""
        ...

    def after_refusal(self, origin: Origin, refused: Credential | None) -> Credential | None:
        """Another credential after a 401, or None when there is no other. Raises as `initial` does."""
        ...


class GitCredentials:
    """The order of search: the URL itself, the tokens that name their host, the host's own variable, the command, the
    general variable; after a refusal the command or the App again (its token may have expired), then git's helpers.

    Safe to share between threads.
    """

    def __init__(self, settings: Mapping[str, str], own: HostTokens | None = None) -> None:
        self._settings = settings
        self._own = own or HostTokens()
        self._command = RenewedCredential(self._from_command)
        ca_bundle = settings.get("SNAPSHOTTER_CA_BUNDLE") or None
        self._apps = {app: RenewedCredential(AppTokens(app, ca_bundle).issue) for app in self._own.apps}

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> GitCredentials:
        """The credentials that the settings name. Raises UsageError for hosts' tokens that cannot be read."""
        return cls(settings, HostTokens.of(settings[host_tokens.VARIABLE]))

    def initial(self, origin: Origin) -> Credential | None:
        """A credential to send unasked, or None."""
        if origin.credential is not None and origin.credential.secret:
            return origin.credential
        own = self._own.find(origin)
        if isinstance(own, AppKey):
            return self._apps[own].credential()
        if token := own or self._settings.get(host_variable(origin.host) or ""):
            return self._credential(token)
        if self._settings.get(COMMAND):
            return self._command.credential()
        if token := self._settings.get(VARIABLE):
            return self._credential(token)
        return None

    def after_refusal(self, origin: Origin, refused: Credential | None) -> Credential | None:
        """Another credential after a 401, or None when there is no other."""
        if refused is not None:
            source = next((one for one in (self._command, *self._apps.values()) if one.gave(refused)), None)
            renewed = source.credential(refused) if source else None
            return renewed if renewed != refused else None
        if origin.credential is not None:
            # A user without a secret is a name or, as hosts take it, a token; without one we were refused.
            return Credential("x-access-token", origin.credential.user)
        answer = program.credential_fill(origin.scheme, origin.netloc, origin.path)
        return Credential(*answer) if answer else None

    def _from_command(self) -> Issued:
        return Issued(self._credential(program.command_output(_words(self._settings[COMMAND]))))

    def _credential(self, token: str) -> Credential:
        """A token as a credential; ``user:token`` names its own user, Bearer has none."""
        if self._settings.get(AUTH, "basic").lower() == "bearer":
            return Credential("", token)
        user, colon, secret = token.partition(":")
        if colon:
            return Credential(user, secret)
        return Credential(self._settings.get(USER) or "x-access-token", token)


def setting_without_host(settings: Mapping[str, str]) -> str | None:
    """The setting in force whose token would go, unasked, to any origin's host. Returns None if there is none."""
    return next((name for name in (COMMAND, VARIABLE) if settings.get(name)), None)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words:
        raise UsageError(f"{COMMAND} is no command: check its quotes", hint="write it as for a shell")
    return words


def host_variable(host: str) -> str | None:
    """The variable that holds a token for one host only, whatever its port. No two hosts have the same.

    Returns None for a host that has none: an address of IPv6, a name with characters that no DNS name has, and one
    whose variable is another setting. Such a host's token can be in SNAPSHOTTER_GIT_TOKENS.

    >>> host_variable("git-hub.example.org")
    'SNAPSHOTTER_GIT_TOKEN_GIT__HUB_EXAMPLE_ORG'
    """
    if not re.fullmatch(r"[A-Za-z0-9.-]+", host):
        return None
    name = f"{VARIABLE}_{host.replace('-', '__').replace('.', '_').upper()}"
    return None if name == COMMAND else name
