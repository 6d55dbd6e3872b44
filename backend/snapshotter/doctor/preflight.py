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
from typing import TYPE_CHECKING

from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog
from snapshotter.aws import endpoint, identity
from snapshotter.aws.refusal import TASK_ROLE
from snapshotter.base import runbook
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import (
    AccessDenied,
    Finding,
    NoCredentials,
    SnapshotterError,
    Unavailable,
    UsageError,
)
from snapshotter.base.text import human_bytes, plural
from snapshotter.base.urls import redact
from snapshotter.doctor import checks
from snapshotter.doctor.checks import Check, State, failed, guarded
from snapshotter.git.origin import parse
from snapshotter.store.objects import Store

if TYPE_CHECKING:
    from snapshotter.transport.connect import Connector

LEAST_DISK = 1024**3  # bytes free for verify where the size of the chain is not known


@dataclass(frozen=True)
class Patient:
    """What is examined. `bucket` is the one that `open_store` opens, '' for a folder."""

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
    yield guarded("git", runbook.GIT, checks.installed_git)
    yield guarded("disk", runbook.DISK, doctor.disk)


def verdict(made: list[Check]) -> SnapshotterError | None:
    """The error that the examination ends with: of the kind of the first failed check, the likely cause."""
    bad = [check for check in made if check.state == "failed"]
    if not bad:
        return None
    known = bad[0].error or Finding("")
    kind = next((k for k in (AccessDenied, Finding, UsageError) if isinstance(known, k)), Unavailable)
    message = f"{len(bad)} of {len(made)} checks failed, the first of them: {bad[0].name}"
    return kind(message, code="doctor", hint=f"see {runbook.link(bad[0].heading)}")


class _Doctor:
    def __init__(self, patient: Patient, cancel: Cancel) -> None:
        self._patient, self._cancel = patient, cancel
        self._blocked = ""  # why the checks of the store cannot be made
        self._store: Store | None = None

    def reach(self) -> Iterator[Check]:
        """The endpoint, asked without credentials: HTTPS, region, the bucket's being there, the clocks."""
        try:
            self._session = endpoint.session()
            url = endpoint.url(self._session, self._patient.env)
        except UsageError as error:
            self._blocked = "the AWS settings cannot be used"
            yield failed("endpoint", error, runbook.REGION)
            return
        region = self._session.region_name
        shown = f"{redact(url)}, region {region or 'us-east-1 (assumed)'}"
        if not url.startswith("https://"):
            hint = "unset AWS_ENDPOINT_URL_S3, or give an https endpoint"
            yield Check("endpoint", "failed", f"{shown}: plain HTTP", hint, runbook.PLAIN_HTTP)
        try:
            answer = endpoint.ask(url, self._patient.bucket, self._patient.env)
        except Unavailable as error:
            self._blocked = "the endpoint does not answer"
            yield failed("endpoint", error, runbook.REGION)
            return
        if url.startswith("https://"):
            yield self._place(answer, shown, region)
        yield checks.clock(answer)

    def _place(self, answer: endpoint.EndpointReply, shown: str, region: str | None) -> Check:
        """Whether the bucket is where it is looked for."""
        if answer.status == 404:
            self._blocked = "there is no such bucket"
            gone = Unavailable(
                f"no such bucket: {self._patient.bucket}", code="no-bucket", hint="check --store"
            )
            return failed("endpoint", gone, runbook.REGION)
        if answer.region and answer.region != (region or "us-east-1"):
            self._blocked = "the region is wrong"
            away = Unavailable(
                f"the bucket is in {answer.region}, and {shown} is asked",
                code="region",
                hint=f"set AWS_REGION={answer.region}",
            )
            return failed("endpoint", away, runbook.REGION)
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
            yield failed("credentials", error, runbook.CREDENTIALS)
            return
        yield checks.credentials(found)
        try:
            yield checks.caller(identity.caller(self._session), self._patient.role)
        except NoCredentials as error:
            self._blocked = "the credentials are not accepted"
            yield failed("identity", error, runbook.CREDENTIALS)
        except Unavailable as error:
            yield Check("identity", "warning", error.message, error.hint, runbook.CREDENTIALS, error)

    def use(self) -> Iterator[Check]:
        """One write, a list of its folder, and the same bytes read back, all as a snapshot would."""
        key = f"{layout.DIAGNOSTICS}/{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.txt"
        data = f"snapshotter doctor {key}\n".encode()
        if self._blocked:
            yield from (Check(name, "skipped", self._blocked) for name in ("write", "list", "read"))
            return
        write = guarded("write", runbook.PUT_DENIED, lambda: ("ok", self._write(key, data)))
        yield write
        if self._store is None:
            yield from (Check(name, "skipped", "the store does not open") for name in ("list", "read"))
            return
        store, written = self._store, write.state == "ok"
        yield guarded("list", runbook.LIST_DENIED, lambda: ("ok", _list(store, key if written else "")))
        if written:
            yield guarded("read", runbook.MISSING_KEY, lambda: ("ok", _read(store, key, data)))
        else:
            yield Check("read", "skipped", "nothing could be written")
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
            return "ok", f"{parse(text)}: {plural(len(ledger), 'ref')}, HEAD {ledger.head_text or 'none'}"

        return guarded("origin", runbook.ORIGIN, look)

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


def _list(store: Store, key: str) -> str:
    """List the folder that doctor writes to; a `key` that was written must be in the list."""
    entries = store.list(layout.DIAGNOSTICS)
    if key and key not in {entry.key for entry in entries}:
        raise Finding(f"the list of {layout.DIAGNOSTICS}/ lacks the object just written", hint="try again")
    return f"{len(entries):,} under {layout.DIAGNOSTICS}/"


def _read(store: Store, key: str, data: bytes) -> str:
    if store.get(key, limit=2 * len(data)) != data:
        raise Finding("other bytes came back than were written", hint="check what stands before the store")
    return "the same bytes came back"
