"""Secrets for origins: the environment, a command that prints a fresh one, git's credential helpers.

A secret never reaches argv, a log, a manifest or an exception.
"""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Mapping

from snapshotter.base.errors import UsageError
from snapshotter.git import program
from snapshotter.git.origin import Credential, Origin
from snapshotter.transport import host_tokens
from snapshotter.transport.host_tokens import HostTokens

VARIABLE = "SNAPSHOTTER_GIT_TOKEN"
COMMAND = "SNAPSHOTTER_GIT_TOKEN_COMMAND"
AUTH = "SNAPSHOTTER_GIT_AUTH"
USER = "SNAPSHOTTER_GIT_USER"


class GitCredentials:
    """The order of search: the URL itself, the tokens that name their host, the host's own variable, the command, the
    general variable; after a refusal the command again (its token may have expired), then git's helpers.

    Safe to share between threads.
    """

    def __init__(self, settings: Mapping[str, str], own: HostTokens | None = None) -> None:
        self._settings = settings
        self._own = own or HostTokens()
        self._command = _CommandTokens(settings)

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> GitCredentials:
        """The credentials that the settings name. Raises UsageError for hosts' tokens that cannot be read."""
        return cls(settings, HostTokens.of(settings[host_tokens.VARIABLE]))

    def initial(self, origin: Origin) -> Credential | None:
        """A credential to send unasked, or None."""
        if origin.credential is not None and origin.credential.secret:
            return origin.credential
        if token := self._own.find(origin):
            return self._credential(token)
        if token := self._settings.get(host_variable(origin.host) or ""):
            return self._credential(token)
        if self._settings.get(COMMAND):
            return self._credential(self._command.token())
        if token := self._settings.get(VARIABLE):
            return self._credential(token)
        return None

    def after_refusal(self, origin: Origin, refused: Credential | None) -> Credential | None:
        """Another credential after a 401, or None when there is no other."""
        if refused is not None and self._command.gave(refused.secret):
            # The refused one is named: of many threads that it was refused to, the first alone asks for another.
            renewed = self._credential(self._command.token(refused.secret))
            return renewed if renewed.secret != refused.secret else None
        if refused is not None:
            return None
        if origin.credential is not None:
            # A user without a secret is a name or, as hosts take it, a token; without one we were refused.
            return Credential("x-access-token", origin.credential.user)
        answer = program.credential_fill(origin.scheme, origin.netloc, origin.path)
        return Credential(*answer) if answer else None

    def _credential(self, token: str) -> Credential:
        """A token as a credential; ``user:token`` names its own user, Bearer has none."""
        if self._settings.get(AUTH, "basic").lower() == "bearer":
            return Credential("", token)
        user, colon, secret = token.partition(":")
        if colon:
            return Credential(user, secret)
        return Credential(self._settings.get(USER) or "x-access-token", token)


class _CommandTokens:
    """What the command printed: asked for once, and again after it was refused."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._given: list[str] = []  # the newest last

    def gave(self, secret: str) -> bool:
        """Whether a credential with this secret was the command's."""
        return any(secret in (token, token.partition(":")[2]) for token in self._given)

    def token(self, refused: str | None = None) -> str:
        """The newest token, or another one if that was refused. Raises as the command's run does."""
        with self._lock:
            newest = self._given[-1] if self._given else None
            if newest is None or refused in (newest, newest.partition(":")[2]):
                newest = program.command_output(_words(self._settings[COMMAND]))
                self._given.append(newest)
            return newest


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
