"""One error class per exit code: a message that says what happened, a hint that says what to do.

The exit codes are those of README.md: 1 a finding, 2 usage, 3 partial, 4 could not,
5 access denied, 129, 130, 131, 143 and 152 interrupted. "Check failed" (1) and "could not check" (4) are
different answers, and no code path turns one into the other.
"""

from __future__ import annotations

from typing import ClassVar


class SnapshotterError(Exception):
    """Base of every error that a user sees.

    `message` says what happened, `details` are indented lines of fact below it (keys, hosts),
    `hint` says what to do next, and `code` is a stable slug for programs. None of them ever
    holds a credential.
    """

    exit_code: ClassVar[int] = 4
    default_code: ClassVar[str] = "error"

    def __init__(
        self, message: str, *, hint: str = "", code: str = "", details: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        self.details = details

    def as_dict(self) -> dict[str, object]:
        """The error as `--json` and `snapshotter job` print it."""
        return {
            "code": self.code,
            "message": self.message,
            "details": list(self.details),
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class Finding(SnapshotterError):
    """A check ran and failed: a verification, a probe, a gate."""

    exit_code = 1
    default_code = "finding"


class UsageError(SnapshotterError):
    """The user's flags, names or configuration make no sense, or contradict each other."""

    exit_code = 2
    default_code = "usage"


class PartialFailure(SnapshotterError):
    """Some of many succeeded."""

    exit_code = 3
    default_code = "partial"


class Unavailable(SnapshotterError):
    """It could not be done: the network, the origin, git, or this machine stood in the way."""

    exit_code = 4
    default_code = "unavailable"


class Unusable(Unavailable):
    """What was read is not what it should be: an object of the store, or a pack or refs of an origin.

    The trouble is that one object's. Trouble of the store, the network or this machine, after which another
    try may succeed, is any other Unavailable. Whoever can do without the object catches this class. `key` is
    the object's in the store; None if it is no object of the store, or if the message does not begin with its key.
    """

    default_code = "unusable"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        details: tuple[str, ...] = (),
        key: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code, details=details)
        self.key = key


class Damaged(Unusable):
    """A stored object is not what was written, or not what its manifest says."""

    default_code = "damaged"


class Missing(Unusable):
    """An object that was listed, or that a manifest names, is not there."""

    default_code = "missing"


class TooLarge(Unusable):
    """An object exceeds the size that was recorded for it, or a limit."""

    default_code = "too-large"


class NewerSchema(Unavailable):
    """A newer release wrote it. It may be in order, and this release cannot tell, so it is not Unusable."""

    default_code = "manifest-newer"


class NoCredentials(Unavailable):
    """The store was asked without credentials, or with some that are not accepted."""

    default_code = "credentials"


class AccessDenied(SnapshotterError):
    """The origin or the store knows what was asked and refuses it."""

    exit_code = 5
    default_code = "access-denied"


class Defect(SnapshotterError):
    """A fault of this program: an exception that no other error stands for."""

    default_code = "defect"


class Interrupted(SnapshotterError):
    """Stopped by a signal or by a caller's cancellation."""

    exit_code = 130
    default_code = "interrupted"


class OutOfTime(Interrupted):
    """Stopped by the limit of a whole job: what was done before stands, and the rest could not be done."""

    exit_code = 4
    default_code = "job-timeout"


class Terminated(Interrupted):
    """Stopped by SIGTERM, as a scheduler does."""

    exit_code = 143
    default_code = "terminated"


class HungUp(Interrupted):
    """Stopped by SIGHUP: the terminal, or the session that it ran in, is gone."""

    exit_code = 129
    default_code = "hung-up"


class Quit(Interrupted):
    """Stopped by SIGQUIT, as a terminal's Ctrl-\\ does."""

    exit_code = 131
    default_code = "quit"


class OutOfProcessorTime(Interrupted):
    """Stopped by SIGXCPU: this machine's limit of processor time, as `ulimit -t` sets it, is reached."""

    exit_code = 152
    default_code = "processor-time"
