"""One check of `snapshotter doctor`: what it says, how trouble becomes one, and what is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from snapshotter.aws import identity
from snapshotter.aws.refusal import StoreDenied
from snapshotter.aws.scope import TASK_ROLE
from snapshotter.base import runbook
from snapshotter.base.errors import SnapshotterError
from snapshotter.base.unexpected import as_error
from snapshotter.store.objects import Store

if TYPE_CHECKING:
    from snapshotter.archive.expiry import Expiry
    from snapshotter.transport.connect import Connector

State = Literal["ok", "warning", "failed", "skipped"]

_REFUSALS = (runbook.PUT_DENIED, runbook.LIST_DENIED, runbook.MISSING_KEY)


@dataclass(frozen=True)
class Setup:
    """With what a snapshot would be taken. `bucket` is the one that `open_store` opens, None for a folder."""

    bucket: str | None
    open_store: Callable[[], Store]
    connect: Connector
    origin: str | None = None
    role: str = TASK_ROLE
    temp: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    allow_http: bool = False
    expiry: Expiry | None = None
    max_chain_age: timedelta | None = None


@dataclass(frozen=True)
class Check:
    """What one check showed, and for a warning or a failure what to do about it."""

    name: str
    state: State
    says: str
    hint: str = ""
    heading: str = ""
    error: SnapshotterError | None = None

    def document(self) -> dict[str, object]:
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
    """The check that `look` makes; if it raises, a failed check. Raises only Interrupted."""
    try:
        state, says = look()
    except Exception as unexpected:  # whatever it is, the other checks are still worth making
        error = identity.with_identity(as_error(unexpected))
        if error.exit_code >= 128:
            raise
        return failed(name, error, heading)
    return Check(name, state, says, heading="" if state == "ok" else heading)


def failed(name: str, error: SnapshotterError, heading: str) -> Check:
    """A failed check. It leads to the runbook's entry that the error's hint names, else to the check's own.

    An entry about refusals is for refusals by the bucket only: a store that fails otherwise leads to where it is.
    """
    own = runbook.REGION if heading in _REFUSALS and not isinstance(error, StoreDenied) else heading
    named = next((known for known in runbook.HEADINGS if f"'{known}'" in error.hint), own)
    says = "; ".join((error.message, *error.details))
    return Check(name, "failed", says, error.hint, named, error)
