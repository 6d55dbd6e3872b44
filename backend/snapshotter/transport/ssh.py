"""SSH as a way to `git-upload-pack`: the user's own client, with a key and known hosts that are given as text."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from snapshotter.base import environment
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.folders import locked_folder, sweep
from snapshotter.git.origin import Origin
from snapshotter.transport import WireLimits
from snapshotter.transport.channels import Channel, ProcessChannel

COMMAND = "SNAPSHOTTER_SSH_COMMAND"
KEY = "SNAPSHOTTER_SSH_KEY"
KNOWN_HOSTS = "SNAPSHOTTER_SSH_KNOWN_HOSTS"

UPLOAD_PACK: Final = "git-upload-pack %s"
_FOLDER: Final = "snapshotter-ssh-"  # in the system's temporary folder


@dataclass(frozen=True)
class SshClient:
    """The ssh client: its command with options, and private key and known hosts as text, None for the user's own."""

    command: str = "ssh"
    key: str | None = field(default=None, repr=False)
    known_hosts: str | None = None

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> SshClient:
        """The client that the settings name. Writes nothing."""
        texts = (settings.get(name, "").strip() or None for name in (KEY, KNOWN_HOSTS))
        return cls(settings[COMMAND], *texts)

    def words(self) -> list[str]:
        """The command's words. Raises UsageError if there are none, or a quote is not closed."""
        try:
            words = shlex.split(self.command)
        except ValueError:
            words = []
        if not words:
            raise UsageError(f"{COMMAND} is no command: check its quotes", hint="write it as for a shell")
        return words

    @contextmanager
    def options(self, cancel: Cancel) -> Iterator[list[str]]:
        """ssh's options for the texts. ssh then tries no other key, and takes no other host.

        ssh reads files only, so the texts are in files of mode 0600, in a private folder that is gone when the block
        ends or `cancel` is cancelled. Folders that killed runs left are removed first. Raises Unavailable if the
        files cannot be written.
        """
        if not self.key and not self.known_hosts:
            yield []
            return
        import tempfile  # which takes as long to load as all of this package

        parent = Path(tempfile.gettempdir())
        sweep(parent, _FOLDER)
        with ExitStack() as scope:
            try:
                folder = scope.enter_context(locked_folder(parent, _FOLDER, cancel=cancel))
                options = self._written(folder)
            except OSError as error:
                raise Unavailable(
                    f"the SSH key cannot be written to the temporary folder: {error.strerror}",
                    code="machine",
                    hint="give it room, or set TMPDIR to a folder that this user can write",
                ) from error
            yield options

    def _written(self, folder: Path) -> list[str]:
        options = []
        if self.key:
            options += ["-i", _write_private(folder / "key", self.key), "-o", "IdentitiesOnly=yes"]
        if self.known_hosts:
            path = _write_private(folder / "known_hosts", self.known_hosts)
            options += ["-o", f"UserKnownHostsFile={path}", "-o", "StrictHostKeyChecking=yes"]
        return options


class SshDialer:
    """A program on a host, by the user's ssh client; `remote` is its command line with %s for the repository's path.
    Never asks a question."""

    def __init__(
        self, origin: Origin, client: SshClient, command: list[str], cancel: Cancel, remote: str = UPLOAD_PACK
    ) -> None:
        self._origin = origin
        self._client = client
        self._command = command
        self._cancel = cancel
        self._remote = remote

    @classmethod
    def of(cls, origin: Origin, client: SshClient, cancel: Cancel, remote: str = UPLOAD_PACK) -> SshDialer:
        """A dialer by this client. Raises UsageError if its command is none, before anything is asked or stored."""
        return cls(origin, client, client.words(), cancel, remote)

    def __call__(self, limits: WireLimits) -> Channel:
        """Start the ssh client. Raises Unavailable if it cannot be started, or its key cannot be written."""
        origin = self._origin
        options = ["-o", "BatchMode=yes", "-o", "SendEnv=GIT_PROTOCOL"]
        options += ["-o", f"ConnectTimeout={max(1, int(limits.connect_seconds))}"]
        options += ["-p", str(origin.port)] if origin.port else []
        destination = f"{origin.user}@{origin.host}" if origin.user else origin.host
        # A URL's path is absolute on the host, but git's ~user is not: ssh://host/~user/x means ~user/x.
        path = origin.path.removeprefix("/") if origin.path.startswith("/~") else origin.path
        arguments = [*options, "--", destination, self._remote % quote_remote(path)]
        own = {"GIT_PROTOCOL": "version=2"}
        if self._command[0] == SshClient.command:
            env = environment.for_child(own, network=True)
        else:  # a program that the user named, which may read variables of its own
            env = environment.for_users_own(own)
        with ExitStack() as scope:
            files = scope.enter_context(self._client.options(self._cancel))
            return ProcessChannel.start([*self._command, *files, *arguments], env, limits, scope.pop_all())
        raise AssertionError  # an ExitStack of these contexts swallows no error


def quote_remote(path: str) -> str:
    """A path for the remote shell, always in single quotes, as git itself sends it: hosts whose
    "shell" is a git server parse exactly that form. git expands a leading ``~`` by itself."""
    return "'" + path.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def _write_private(path: Path, text: str) -> str:
    """The path of a new file of mode 0600. ssh takes no key without a last newline, nor with Windows line ends."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text.replace("\r\n", "\n") + "\n")
    return str(path)
