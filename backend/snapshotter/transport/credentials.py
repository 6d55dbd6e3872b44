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

VARIABLE = "SNAPSHOTTER_GIT_TOKEN"
COMMAND = "SNAPSHOTTER_GIT_TOKEN_COMMAND"
AUTH = "SNAPSHOTTER_GIT_AUTH"
USER = "SNAPSHOTTER_GIT_USER"


class GitCredentials:
    """The order of search: the URL itself, the host's own variable, the command, the general
    variable; after a refusal the command again (its token may have expired), then git's helpers.

    Safe to share between threads.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._fresh: str | None = None

    def initial(self, origin: Origin) -> Credential | None:
        """A credential to send unasked, or None."""
        if origin.credential is not None and origin.credential.secret:
            return origin.credential
        if (variable := host_variable(origin.host)) != COMMAND and (token := self._settings.get(variable)):
            return self._credential(token)
        if self._settings.get(COMMAND):
            return self._credential(self._from_command(None))
        if token := self._settings.get(VARIABLE):
            return self._credential(token)
        return None

    def after_refusal(self, origin: Origin, refused: Credential | None) -> Credential | None:
        """Another credential after a 401, or None when there is no other."""
        if refused is not None and refused.secret == self._fresh and self._settings.get(COMMAND):
            # The refused one is named: of many threads that it was refused to, the first alone asks for another.
            renewed = self._credential(self._from_command(refused.secret))
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

    def _from_command(self, refused: str | None) -> str:
        """The command's token, asked for once and again after it was refused."""
        with self._lock:
            if self._fresh is None or self._fresh == refused:
                self._fresh = program.command_output(_words(self._settings[COMMAND]))
            return self._fresh


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words:
        raise UsageError(f"{COMMAND} is no command: check its quotes", hint="write it as for a shell")
    return words


def host_variable(host: str) -> str:
    """The variable that holds a token for one host only.

    >>> host_variable("github.com")
    'SNAPSHOTTER_GIT_TOKEN_GITHUB_COM'
    """
    return f"{VARIABLE}_{re.sub(r'[^A-Za-z0-9]', '_', host).upper()}"
