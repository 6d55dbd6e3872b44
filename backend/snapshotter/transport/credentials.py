"""Secrets for origins: the environment, a command that prints a fresh one, git's credential helpers, SSH keys.

A secret never reaches argv, a log, a manifest or an exception.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.git import program
from snapshotter.git.origin import Credential, Origin

VARIABLE = "SNAPSHOTTER_GIT_TOKEN"
COMMAND = "SNAPSHOTTER_GIT_TOKEN_COMMAND"
AUTH = "SNAPSHOTTER_GIT_AUTH"
USER = "SNAPSHOTTER_GIT_USER"
SSH_COMMAND = "SNAPSHOTTER_SSH_COMMAND"
SSH_KEY = "SNAPSHOTTER_SSH_KEY"
SSH_KNOWN_HOSTS = "SNAPSHOTTER_SSH_KNOWN_HOSTS"


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


def ssh_command(settings: Mapping[str, str]) -> str:
    """The ssh client with its options: the setting, and with it the key and the known hosts that are given as text.

    A task gets its secrets as text, and ssh wants files. They are written with mode 0600 into a new private
    folder in the system's temporary folder, which in a task is gone when the task ends. ssh then tries no other
    key, and takes no other host. Raises Unavailable if the files cannot be written.
    """
    command, options = settings[SSH_COMMAND], []
    texts = {name: text for name in (SSH_KEY, SSH_KNOWN_HOSTS) if (text := settings.get(name, "").strip())}
    if not texts:
        return command
    try:
        folder = Path(tempfile.mkdtemp(prefix="snapshotter-ssh-"))
        for name, text in texts.items():
            # ssh takes no key without a newline at its end
            _write_private(folder / name, text.replace("\r\n", "\n") + "\n")
    except OSError as error:
        raise Unavailable(
            f"the SSH key cannot be written to the temporary folder: {error.strerror}",
            code="machine",
            hint="give it room, or set TMPDIR to a folder that this user can write",
        ) from error
    if SSH_KEY in texts:
        options += ["-i", str(folder / SSH_KEY), "-o", "IdentitiesOnly=yes"]
    if SSH_KNOWN_HOSTS in texts:
        options += ["-o", f"UserKnownHostsFile={folder / SSH_KNOWN_HOSTS}", "-o", "StrictHostKeyChecking=yes"]
    return f"{command} {shlex.join(options)}"


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def host_variable(host: str) -> str:
    """The variable that holds a token for one host only.

    >>> host_variable("github.com")
    'SNAPSHOTTER_GIT_TOKEN_GITHUB_COM'
    """
    return f"{VARIABLE}_{re.sub(r'[^A-Za-z0-9]', '_', host).upper()}"
