"""A push into a host's repository, by git's own client, with our credentials and limits."""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable
from snapshotter.base.text import printable
from snapshotter.git import program
from snapshotter.git.errors import GitResult, words
from snapshotter.git.origin import Credential, Origin
from snapshotter.git.refs import RefListing
from snapshotter.transport import Transport, WireLimits
from snapshotter.transport.credentials import Credentials
from snapshotter.transport.lfs.source import BATCH, LfsPointer, LfsTarget, LfsUnavailable
from snapshotter.transport.ssh import SshClient

_DENIED: Final = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|returned error: 40[13]|Permission denied|"
    r"Host key verification failed|not allowed to push|service not enabled|access denied",
    re.IGNORECASE,
)
_HIDDEN: Final = "hidden ref"
_NO_PACK: Final = "unpacker error"


@dataclass(frozen=True)
class Refusal:
    """Why the host did not take a ref, and what else it `said` of the push, as hooks do.

    `hidden` says that it takes no ref of that name from anybody.
    """

    why: str
    said: str = ""

    @property
    def hidden(self) -> bool:
        """See the class."""
        return _HIDDEN in self.why


@dataclass(frozen=True)
class PushedRef:
    """A ref to set from `old` to `new`, object ids; None where it does not exist."""

    name: bytes
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Pusher:
    """Pushes into one repository. Each ref is set only if it is still what it was: a lease, in git's word."""

    target: Origin
    connect: Callable[[], Transport]
    credentials: Credentials
    ssh: SshClient
    limits: WireLimits
    ca_bundle: str | None
    cancel: Cancel
    lfs: Callable[[], LfsTarget]

    @property
    def url(self) -> str:
        """The repository, without credentials."""
        return self.target.url

    def ls_refs(self) -> RefListing:
        """Its refs, as of now. Raises as `Transport.ls_refs` does."""
        transport = self.connect()
        try:
            return transport.ls_refs()
        finally:
            transport.close()

    def push(self, git_dir: Path, refs: Sequence[PushedRef]) -> dict[bytes, Refusal]:
        """Push objects of the repository at `git_dir`. Returns the refs that were not taken.

        Raises AccessDenied or Unavailable if nothing was.
        """
        argv = [f"--git-dir={git_dir}", *self._settings(), "push", "--porcelain", "--no-verify", "--quiet"]
        argv += [f"--force-with-lease={os.fsdecode(ref.name)}:{ref.old or ''}" for ref in refs]
        argv += ["--", self.target.url]
        argv += [f"{ref.new or ''}:{os.fsdecode(ref.name)}" for ref in refs]
        with self._secrets() as own:
            result = program.push(argv, self.cancel, scheme=self.target.scheme, own=own)
        refused = dict(_refused(result))
        # Without the pack, no ref of it can be: that is about the push, and not about refs.
        if any(_NO_PACK in refusal.why for refusal in refused.values()) or (result.code and not refused):
            raise self._failure(result)
        return refused

    def upload(self, files: Mapping[LfsPointer, Path]) -> dict[LfsPointer, LfsUnavailable]:
        """Upload LFS objects, those that it has not. Returns the ones that it did not take, and why."""
        target, refused = self.lfs(), dict[LfsPointer, LfsUnavailable]()
        pointers = [*files]
        for first in range(0, len(pointers), BATCH):
            part = {pointer: files[pointer] for pointer in pointers[first : first + BATCH]}
            try:
                refused |= target.upload(part)
            except LfsUnavailable as error:
                refused |= dict.fromkeys(part, error)
        return refused

    def _settings(self) -> list[str]:
        """git's settings. A credential goes to no other host, so a redirect is not followed."""
        settings = [
            f"protocol.{self.target.scheme}.allow=always",
            "credential.helper=",
            "http.followRedirects=false",
            f"http.lowSpeedLimit={self.limits.least_rate}",
            f"http.lowSpeedTime={round(self.limits.stall_seconds)}",
            "push.recurseSubmodules=no",
            "push.gpgSign=false",
            "ssh.variant=ssh",
        ]
        if self.ca_bundle:
            settings.append(f"http.sslCAInfo={self.ca_bundle}")
        return [word for setting in settings for word in ("-c", setting)]

    @contextmanager
    def _secrets(self) -> Iterator[dict[str, str]]:
        """The variables of one push: a fresh credential, or the way to ssh."""
        if self.target.scheme in ("https", "http"):
            credential = self.credentials.initial(self.target)
            credential = credential or self.credentials.after_refusal(self.target, None)
            yield _header(self.target, credential) if credential else {}
        elif self.target.scheme == "ssh":
            with self.ssh.options(self.cancel) as files:
                asked = [
                    "-o",
                    "BatchMode=yes",
                    "-o",
                    f"ConnectTimeout={max(1, int(self.limits.connect_seconds))}",
                ]
                asked += ["-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=4"]
                yield {"GIT_SSH_COMMAND": shlex.join([*self.ssh.words(), *files, *asked])}
        else:
            yield {}

    def _failure(self, result: GitResult) -> SnapshotterError:
        said = words(result.err) or f"git push ended with {result.code}"
        message = f"{self.target.url} did not take the push: {said}"
        if _DENIED.search(said):
            return AccessDenied(
                message,
                hint="the credential needs the right to write there: a token in SNAPSHOTTER_GIT_TOKENS, or an SSH key",
            )
        return Unavailable(
            message,
            code="push",
            hint="run it again: what the repository has already is not sent twice. Where a push is too large for "
            "the host, lower --batch-size",
        )


def _header(target: Origin, credential: Credential) -> dict[str, str]:
    """The credential as a header for this host alone, in variables: argv is for all to see."""
    if credential.user:
        pair = base64.b64encode(f"{credential.user}:{credential.secret}".encode()).decode()
        value = f"Authorization: Basic {pair}"
    else:
        value = f"Authorization: Bearer {credential.secret}"
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{target.scheme}://{target.netloc}/.extraHeader",
        "GIT_CONFIG_VALUE_0": value,
    }


def _refused(result: GitResult) -> Iterator[tuple[bytes, Refusal]]:
    """The refs that were not taken, in what `git push --porcelain` prints."""
    remote = b"\n".join(line for line in result.err.splitlines() if line.startswith(b"remote:"))
    for line in result.out.splitlines():
        flag, _, rest = line.partition(b"\t")
        spec, _, why = rest.partition(b"\t")
        if flag == b"!":
            text = printable(why.decode("utf-8", "replace"))[:300]
            yield spec.rpartition(b":")[2], Refusal(text, words(remote))
