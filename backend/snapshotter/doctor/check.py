"""One check of `snapshotter doctor`, and the judgements that need nothing but what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from snapshotter.aws import endpoint, identity
from snapshotter.aws.refusal import StoreDenied, is_execution_role, role_of
from snapshotter.base import runbook
from snapshotter.base.errors import Finding, SnapshotterError
from snapshotter.base.unexpected import as_error
from snapshotter.git import program

State = Literal["ok", "warning", "failed", "skipped"]

OLDEST_GIT = (2, 34)
_REFUSALS = (runbook.PUT_DENIED, runbook.LIST_DENIED, runbook.MISSING_KEY)
_SKEW_WARN, _SKEW_FAIL = 60, 15 * 60  # seconds; S3 refuses beyond a quarter of an hour


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and for a warning or a failure what to do about it."""

    name: str
    state: State
    says: str
    hint: str = ""
    heading: str = ""
    error: SnapshotterError | None = None

    def document(self) -> dict[str, Any]:
        """The check as `--json` prints it; `runbook` is the page and anchor of its entry."""
        return {
            "name": self.name,
            "state": self.state,
            "says": self.says,
            "hint": self.hint,
            "runbook": runbook.link(self.heading) if self.heading else None,
            "error": self.error.as_dict() if self.error else None,
        }


def guarded(name: str, heading: str, look: Callable[[], tuple[State, str]]) -> Check:
    """A check whose trouble is its result."""
    try:
        state, says = look()
    except Exception as error:  # whatever it is, the other checks are still worth making
        found = identity.with_identity(as_error(error))
        if found.exit_code >= 128:
            raise
        return failed(name, found, heading)
    return Check(name, state, says, heading="" if state == "ok" else heading)


def failed(name: str, error: SnapshotterError, heading: str) -> Check:
    """A failed check, with the heading that its hint names, else the check's own; for a store that fails without
    a refusal by the bucket, that is where it is."""
    own = runbook.REGION if heading in _REFUSALS and not isinstance(error, StoreDenied) else heading
    named = next((known for known in runbook.HEADINGS if f"'{known}'" in error.hint), own)
    says = "; ".join((error.message, *error.details))
    return Check(name, "failed", says, error.hint, named, error)


def clock(answer: endpoint.EndpointReply) -> Check:
    """This machine's clock against the endpoint's."""
    if answer.skew is None:
        return Check(
            "clock", "warning", "the endpoint did not say what time it is", "check ntp", runbook.CLOCK
        )
    skew = abs(answer.skew)
    state: State = "failed" if skew >= _SKEW_FAIL else "warning" if skew >= _SKEW_WARN else "ok"
    says = f"{skew:.0f} s {'behind' if answer.skew > 0 else 'ahead of'} the endpoint's"
    return Check(
        "clock", state, says, "" if state == "ok" else "set this machine's clock (ntp)", runbook.CLOCK
    )


def credentials(found: identity.Source) -> Check:
    """Whether the credentials are of a kind that lasts and cannot leak."""
    until = f", until {found.expires_at:%H:%M:%S} UTC" if found.expires_at else ""
    says = f"from {found}{until}"
    if found.static:
        hint = "static keys do not expire and leak: use the task role, or single sign-on"
        return Check("credentials", "warning", f"{says}: static keys", hint, runbook.CREDENTIALS)
    if not found.renewed:
        hint = "nothing renews them: a run that outlives them fails"
        return Check("credentials", "warning", f"{says}: temporary keys", hint, runbook.CREDENTIALS)
    return Check("credentials", "ok", says)


def caller(arn: str, expected: str) -> Check:
    """Whether the caller is the role that a task should be, or an operator."""
    role = role_of(arn)
    if role == expected:
        return Check("identity", "ok", arn)
    if is_execution_role(role):
        hint = f"set the task definition's taskRoleArn to {expected}: the execution role only starts the task"
        return Check("identity", "failed", f"{arn} is an execution role", hint, runbook.ROLES)
    if arn.endswith(":root"):
        hint = "use the task role or an operator's identity: the account's root user is bound by no policy"
        return Check("identity", "warning", f"{arn} is the account itself", hint, runbook.ROLES)
    if role:
        hint = f"it works if it has the same policy; a task should be {expected}"
        return Check("identity", "warning", f"{arn}, not {expected}", hint, runbook.ROLES)
    return Check("identity", "ok", f"{arn}, an operator")


def installed_git() -> tuple[State, str]:
    """The installed git. Raises Finding if it is too old, Unavailable if there is none."""
    text = program.version()
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_GIT:
        raise Finding(f"git {text} is too old", hint="install git 2.34 or newer")
    return "ok", f"git {text}"
