"""A read-mostly preflight: everything that a snapshot and its verification need, checked one by one.

It writes one small object under `_diagnostics/`, which expires after a day, and changes nothing else.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from snapshotter import endpoint, git, identity, layout, runbook
from snapshotter.cancel import Cancel
from snapshotter.catalog import Catalog
from snapshotter.denial import TASK_ROLE, is_execution_role, role_of
from snapshotter.errors import AccessDenied, Finding, SnapshotterError, Unavailable
from snapshotter.origin import parse
from snapshotter.store import Store
from snapshotter.text import human_bytes
from snapshotter.unexpected import as_error

if TYPE_CHECKING:
    import boto3

    from snapshotter.transport.connect import Connector

State = Literal["ok", "warning", "failed", "skipped"]

OLDEST_GIT = (2, 34)
LEAST_DISK = 1024**3  # bytes free for verify where the size of the chain is not known
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
            "name": self.name, "state": self.state, "says": self.says, "hint": self.hint,
            "runbook": runbook.link(self.heading) if self.heading else None,
            "error": self.error.as_dict() if self.error else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Patient:
    """What is examined. `open_store` opens the store at `uri`; `bucket` is '' for a folder."""

    uri: str
    bucket: str
    open_store: Callable[[], Store]
    connect: Connector
    origin: str | None = None
    role: str = TASK_ROLE
    temp: Path | None = None
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)


def examine(patient: Patient, cancel: Cancel) -> Iterator[Check]:
    """Every check in the order of causes, each as it is done. Raises only the caller's Interrupted."""
    doctor = _Doctor(patient, cancel)
    if patient.bucket:
        yield from doctor.reach()
        yield from doctor.identify()
    yield from doctor.use()
    if patient.origin is not None:
        yield doctor.origin(patient.origin)
    yield _guarded("git", runbook.GIT, _git)
    yield _guarded("disk", runbook.DISK, doctor.disk)


def verdict(checks: list[Check]) -> SnapshotterError | None:
    """The error that the examination ends with: of the kind of the first failed check, the likely cause."""
    failed = [check for check in checks if check.state == "failed"]
    if not failed:
        return None
    first = failed[0]
    known = first.error or Finding("")
    kind = next((k for k in (AccessDenied, Finding) if isinstance(known, k)), Unavailable)
    message = f"{len(failed)} of {len(checks)} checks failed, the first of them: {first.name}"
    return kind(message, code="doctor", hint=f"see {runbook.link(first.heading)}")


class _Doctor:
    def __init__(self, patient: Patient, cancel: Cancel) -> None:
        self._patient, self._cancel = patient, cancel
        self._blocked = ""  # why the checks of the store cannot be made
        self._store: Store | None = None

    def reach(self) -> Iterator[Check]:
        """The endpoint, asked without credentials: HTTPS, region, the bucket's being there, the clocks."""
        self._session = _session()
        region = self._session.region_name
        url = endpoint.url(self._session, self._patient.env)
        shown = f"{url}, region {region or 'us-east-1 (assumed)'}"
        if not url.startswith("https://"):
            hint = "unset AWS_ENDPOINT_URL_S3, or give an https endpoint"
            yield Check("endpoint", "failed", f"{shown}: plain HTTP", hint, runbook.PLAIN_HTTP)
        try:
            answer = endpoint.ask(url, self._patient.bucket, self._patient.env)
        except Unavailable as error:
            self._blocked = "the endpoint does not answer"
            yield _failed("endpoint", error, runbook.REGION)
            return
        if url.startswith("https://"):
            yield self._place(answer, shown, region)
        yield _clock(answer)

    def _place(self, answer: endpoint.Answer, shown: str, region: str | None) -> Check:
        """Whether the bucket is where it is looked for."""
        if answer.status == 404:
            self._blocked = "there is no such bucket"
            gone = Unavailable(
                f"no such bucket: {self._patient.bucket}", code="no-bucket", hint="check --store"
            )
            return _failed("endpoint", gone, runbook.REGION)
        if answer.region and answer.region != (region or "us-east-1"):
            self._blocked = "the region is wrong"
            away = Unavailable(
                f"the bucket is in {answer.region}, and {shown} is asked",
                code="region",
                hint=f"set AWS_REGION={answer.region}",
            )
            return _failed("endpoint", away, runbook.REGION)
        if region is None:
            return Check("endpoint", "warning", shown, "set AWS_REGION", runbook.REGION)
        return Check("endpoint", "ok", shown)

    def identify(self) -> Iterator[Check]:
        """Where the credentials come from, and who they are."""
        if self._blocked:
            yield Check("credentials", "skipped", self._blocked)
            return
        try:
            found = identity.source(self._session, self._patient.env)
        except SnapshotterError as error:
            self._blocked = "there are no credentials"
            yield _failed("credentials", error, runbook.CREDENTIALS)
            return
        yield _credentials(found)
        try:
            yield _caller(identity.caller(self._session), self._patient.role)
        except Unavailable as error:
            if error.code == "credentials":
                self._blocked = "the credentials are not accepted"
                yield _failed("identity", error, runbook.CREDENTIALS)
            else:
                yield Check("identity", "warning", error.message, error.hint, runbook.CREDENTIALS, error)

    def use(self) -> Iterator[Check]:
        """One write, a list of its folder, and the same bytes read back, all as a snapshot would."""
        key = f"{layout.DIAGNOSTICS}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.txt"
        data = f"snapshotter doctor {key}\n".encode()
        steps: tuple[tuple[str, str, Callable[[], str]], ...] = (
            ("write", runbook.PUT_DENIED, lambda: self._write(key, data)),
            ("list", runbook.LIST_DENIED, lambda: self._list(key)),
            ("read", runbook.MISSING_KEY, lambda: self._read(key, data)),
        )
        for name, heading, step in steps:
            if self._blocked:
                yield Check(name, "skipped", self._blocked)
                continue
            check = _guarded(name, heading, lambda step=step: ("ok", step()))  # type: ignore[misc]
            if check.state == "failed" and name == "write":
                self._blocked = "nothing could be written" if self._store else "the store does not open"
            yield check
        if self._store and self._store.place.folder:
            (self._store.place.folder / key).unlink(missing_ok=True)  # a folder has no rule that expires it

    def origin(self, text: str) -> Check:
        """The origin's refs, listed."""

        def look() -> tuple[State, str]:
            transport = self._patient.connect(parse(text), self._cancel)
            try:
                ledger = transport.ls_refs()
            finally:
                transport.close()
            return "ok", f"{parse(text)}: {len(ledger):,} refs, HEAD {ledger.head_text or 'none'}"

        return _guarded("origin", runbook.ORIGIN, look)

    def disk(self) -> tuple[State, str]:
        """Room for verify's replay: twice the newest snapshot's chain, where that is known."""
        folder = self._patient.temp or Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
        chain = self._chain()
        need = 2 * chain if chain else LEAST_DISK
        for_what = f"a chain of {human_bytes(chain)}" if chain else "a chain of unknown size"
        says = f"{human_bytes(free)} free in {folder} to verify {for_what}"
        return ("ok" if free >= need else "warning"), says

    def _chain(self) -> int:
        """Bytes of the chain of the origin's newest snapshot; 0 if there is none, or it cannot be read."""
        if self._store is None or self._patient.origin is None or self._blocked:
            return 0
        try:
            catalog = Catalog(self._store)
            run = catalog.latest(parse(self._patient.origin).repo)
            weight = catalog.manifest(run.key, listed=True).manifest.chain_bytes if run else None
        except SnapshotterError:
            return 0
        return weight.base + weight.increments if weight else 0

    def _write(self, key: str, data: bytes) -> str:
        self._store = self._patient.open_store()
        self._store.put_new(key, data, content_type="text/plain", cancel=self._cancel)
        return f"one object of {len(data)} bytes, {key}"

    def _list(self, key: str) -> str:
        assert self._store  # noqa: S101 - written before
        entries = self._store.list(layout.DIAGNOSTICS)
        if key not in {entry.key for entry in entries}:
            raise Finding(
                f"the list of {layout.DIAGNOSTICS}/ lacks the object just written", hint="try again"
            )
        return f"{len(entries):,} under {layout.DIAGNOSTICS}/"

    def _read(self, key: str, data: bytes) -> str:
        assert self._store  # noqa: S101 - written before
        if self._store.get(key, limit=2 * len(data)) != data:
            raise Finding(
                "other bytes came back than were written", hint="check what stands before the store"
            )
        return "the same bytes came back"


def _guarded(name: str, heading: str, look: Callable[[], tuple[State, str]]) -> Check:
    """A check whose trouble is its result."""
    try:
        state, says = look()
    except Exception as error:  # whatever it is, the other checks are still worth making
        found = identity.with_identity(as_error(error))
        if found.exit_code >= 128:
            raise
        return _failed(name, found, heading)
    return Check(name, state, says, heading="" if state == "ok" else heading)


def _failed(name: str, error: SnapshotterError, heading: str) -> Check:
    """A failed check, with the heading that its hint names, else the check's own."""
    named = next((known for known in runbook.HEADINGS if f"'{known}'" in error.hint), heading)
    says = "; ".join((error.message, *error.details))
    return Check(name, "failed", says, error.hint, named, error)


def _clock(answer: endpoint.Answer) -> Check:
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


def _credentials(found: identity.Source) -> Check:
    until = f", until {found.expires_at:%H:%M:%S} UTC" if found.expires_at else ""
    says = f"from {found}{until}"
    if found.static:
        hint = "static keys do not expire and leak: use the task role, or single sign-on"
        return Check("credentials", "warning", f"{says}: static keys", hint, runbook.CREDENTIALS)
    if not found.renewed:
        hint = "nothing renews them: a run that outlives them fails"
        return Check("credentials", "warning", f"{says}: temporary keys", hint, runbook.CREDENTIALS)
    return Check("credentials", "ok", says)


def _caller(arn: str, expected: str) -> Check:
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


def _git() -> tuple[State, str]:
    text = git.version()
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_GIT:
        raise Finding(f"git {text} is too old", hint="install git 2.34 or newer")
    return "ok", f"git {text}"


def _session() -> boto3.Session:
    import boto3

    return boto3.Session()
