"""What git's and ssh's words on stderr mean, where a child gave no answer in git's protocol."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from snapshotter.base.errors import AccessDenied, SnapshotterError, Unavailable
from snapshotter.transport import OriginNotFound


class _KnownFailure(NamedTuple):
    """What a child's stderr means: the words to look for, in lower case, and the error that they become."""

    words: re.Pattern[str]
    error: type[SnapshotterError]
    code: str
    message: str
    hint: str


# The first that matches counts. The words are those of git and OpenSSH.
_KNOWN = (
    _KnownFailure(
        re.compile(
            "permission denied|could not read from remote.*access|access.*could not read from remote",
            re.DOTALL,
        ),
        AccessDenied,
        code="origin-denied",
        message="the origin refused this user",
        hint="check the SSH key (ssh-add -l) and that it may read the repository",
    ),
    _KnownFailure(
        re.compile("dubious ownership"),
        Unavailable,
        code="dubious-ownership",
        message="git refuses a repository that another user owns",
        hint="if you trust it: git config --global --add safe.directory {path}",
    ),
    _KnownFailure(
        re.compile("host key verification failed"),
        Unavailable,
        code="host-key",
        message="the host's SSH key is not known",
        hint="add it to known_hosts after checking it (ssh-keyscan, then compare the fingerprint)",
    ),
    _KnownFailure(
        re.compile("ssh: connect to host|could not resolve hostname"),
        Unavailable,
        code="no-connection",
        message="ssh could not connect to the origin's host",
        hint="check the host's name, the port and the network",
    ),
    _KnownFailure(
        re.compile("not a git repository|does not appear to be a git|not found"),
        OriginNotFound,
        code=OriginNotFound.default_code,
        message="the origin is not a git repository",
        hint="check the path; `git ls-remote` on the same origin shows what git finds there",
    ),
)

# git names the folder that it looked at, which for a work tree is its .git: no other is taken.
_UNSAFE = re.compile(r"safe\.directory (.+)|repository at '(.+)'")


def child_error(stderr: tuple[str, ...]) -> SnapshotterError | None:
    """The error that the lines of a child's stderr stand for; None if they hold nothing known."""
    text = "\n".join(stderr)
    for words, kind, code, message, hint in _KNOWN:
        if words.search(text.lower()):
            unsafe = next(reversed(list(_UNSAFE.finditer(text))), None)
            path = (unsafe[1] or shlex.quote(unsafe[2])) if unsafe else "PATH"
            return kind(message, details=stderr, code=code, hint=hint.format(path=path))
    return None
