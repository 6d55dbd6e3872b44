"""One job: a JSON document that names origins, carried out origin by origin, with one result document.

What the scheduled service runs. One bad origin never costs the others their snapshots.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from snapshotter import __version__
from snapshotter.archive import layout
from snapshotter.archive.manifest import Scan, Sealed
from snapshotter.aws.identity import with_identity
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import (
    AccessDenied,
    Finding,
    Interrupted,
    PartialFailure,
    SnapshotterError,
    Unavailable,
    UsageError,
)
from snapshotter.base.observer import Observer
from snapshotter.base.text import printable
from snapshotter.base.unexpected import as_error
from snapshotter.base.urls import redact
from snapshotter.capture.plan import Plan, RequestedOptions
from snapshotter.capture.snapshot import take
from snapshotter.git.origin import MAX_ORIGIN, parse
from snapshotter.store.objects import Store

VARIABLE = "SNAPSHOTTER_JOB"
MAX_DOCUMENT = 4 * 1024 * 1024  # bytes
_BY_CODE = {kind.exit_code: kind for kind in (Finding, UsageError, PartialFailure, Unavailable, AccessDenied)}


Text = Annotated[str, msgspec.Meta(min_length=1)]  # an empty one is a template that was not filled in


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to do. `snapshot` needs `origin` or `origins`; `prove` takes `store`, `only` and `skip`."""

    verb: Literal["snapshot", "prove"] = "snapshot"
    origin: Text | None = None
    origins: list[Text] | None = None
    store: Text | None = None
    labels: dict[Text, str] = {}
    options: RequestedOptions = RequestedOptions()
    only: list[str] = []
    skip: list[str] = []

    @property
    def all_origins(self) -> list[str]:
        """The origins as written, in order."""
        return [self.origin] if self.origin is not None else list(self.origins or [])


def read(document: bytes) -> Job:
    """The job in a JSON document.

    Raises UsageError that names the field and never its value, which may hold a credential.
    """
    if len(document) > MAX_DOCUMENT:
        raise _bad(f"it is larger than {MAX_DOCUMENT} bytes")
    try:
        job = msgspec.json.decode(document, type=Job)
        json.loads(document, object_pairs_hook=_once)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(printable(str(error))[:300]) from None
    if job.verb == "prove":
        if (
            job.origin is not None
            or job.origins is not None
            or job.labels
            or job.options != RequestedOptions()
        ):
            raise _bad("`prove` takes no origin, labels or options")
    elif job.only or job.skip:
        raise _bad("`only` and `skip` are for `prove`")
    elif job.origin is not None and job.origins is not None:
        raise _bad("it names `origin` and `origins`; one of them is enough")
    elif not job.all_origins:
        raise _bad("it names no origin")
    return job


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all different: of two origins lists, one would be lost without a word."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _bad("it has a key twice")
    return made


def _bad(why: str) -> UsageError:
    return UsageError(f"not a job: {why}", code="job", hint="docs/job.schema.json says what a job may hold")


def json_schema() -> dict[str, Any]:
    """The job's JSON Schema (draft 2020-12), as kept in docs/job.schema.json."""
    schema = msgspec.json.schema(Job)
    null, empty = {"type": "null"}, {"maxProperties": 0}
    none = {"only": {"maxItems": 0}, "skip": {"maxItems": 0}}
    one = {"origin": {"type": "string"}, "origins": null, **none}
    several = {"origin": null, "origins": {"type": "array", "minItems": 1}, **none}
    schema["$defs"]["Job"] |= {
        "if": {"required": ["verb"], "properties": {"verb": {"const": "prove"}}},
        "then": {"properties": {"origin": null, "origins": null, "labels": empty, "options": empty}},
        "else": {
            "oneOf": [
                {"required": ["origin"], "properties": one},
                {"required": ["origins"], "properties": several},
            ]
        },
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


Gate = Callable[[Sealed], SnapshotterError | None]
"""What a snapshot, which stands, is found wanting in; None for nothing."""


@dataclass(frozen=True)
class Result:
    """What came of one origin: a sealed manifest, or an error and the stage at which it came; both, if a gate
    tripped. `origin` is redacted.
    """

    origin: str
    stage: str
    sealed: Sealed | None = None
    error: SnapshotterError | None = None
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """The result as `snapshotter job` prints it; keys are relative to the store's root."""
        facts: dict[str, Any] = {
            "ok": self.error is None,
            "origin": self.origin,
            "stage": self.stage,
            "error": self.error.as_dict() if self.error else None,
            "seconds": round(self.seconds, 3),
        }
        if self.sealed is None:
            return facts
        manifest = self.sealed.manifest
        return facts | {
            "repo": manifest.repo,
            "run_id": manifest.run_id,
            "kind": manifest.kind,
            "reason": manifest.reason,
            "refs": {"count": manifest.refs.count, "sha256": manifest.refs.sha256},
            "manifest": {"key": manifest.key.key(layout.MANIFEST), "sha256": self.sealed.sha256},
            "artifacts": [{"key": a.key, "bytes": a.bytes, "sha256": a.sha256} for a in manifest.artifacts],
            "gaps": [{"kind": gap.kind, "count": gap.count} for gap in manifest.gaps],
            "scan": _scan(manifest.scan),
        }


def _scan(made: Scan | None) -> dict[str, Any] | None:
    """A scan in a result document; `run_id` is the run that made it, this one or one before."""
    if made is None:
        return None
    gaps = [{"kind": gap.kind, "count": gap.count} for gap in made.gaps]
    return {"run_id": made.run_id, "ref": made.ref, "tables": made.tables, "gaps": gaps}


def take_each(
    origins: Sequence[str],
    store: Store,
    plan: Plan,
    *,
    observer: Observer,
    cancel: Cancel,
    gate: Gate = lambda _: None,
) -> Iterator[Result]:
    """Take a snapshot of each origin in turn; each result as it is there, with what `gate` says of it.

    Raises nothing: after a cancellation, the origins that were not done have its error.
    """
    seen: dict[str, str] = {}
    for text in origins:
        watch = _Stage(observer)
        began = time.monotonic()
        try:
            sealed = _take_one(text, seen, store, plan, watch, cancel)
        except Exception as error:  # noqa: BLE001 - one origin's trouble is that origin's result
            yield Result(
                shown(text), watch.at, error=with_identity(as_error(error)), seconds=time.monotonic() - began
            )
        else:
            yield Result(
                sealed.manifest.origin, "done", sealed, gate(sealed), seconds=time.monotonic() - began
            )


def _take_one(
    text: str, seen: dict[str, str], store: Store, plan: Plan, observer: Observer, cancel: Cancel
) -> Sealed:
    cancel.check()
    origin = parse(text)
    if before := seen.get(origin.canonical):
        raise UsageError(
            f"the job names this origin twice, before as {before}", code="job", hint="name it once"
        )
    seen[origin.canonical] = origin.url
    transport = plan.connect(origin, cancel)
    try:
        return take(origin, transport, store, plan.options, observer=observer, cancel=cancel)
    finally:
        transport.close()


def shown(origin: str) -> str:
    """An origin as written, safe to show: without credentials, in one line."""
    return printable(redact(origin))[:MAX_ORIGIN]


def not_done(origins: Sequence[str], error: SnapshotterError, stage: str) -> list[Result]:
    """The results of origins that were not come to."""
    return [Result(shown(text), stage, error=error) for text in origins]


def verdict(results: Sequence[Result]) -> SnapshotterError | None:
    """The error that the whole job ends with, or None: an interruption, the only one, or one that counts."""
    failed = [result.error for result in results if result.error is not None and result.sealed is None]
    if not failed:
        return _tripped([result.error for result in results if result.error is not None])
    for error in failed:
        if isinstance(error, Interrupted):
            return error
    if len(results) == 1:
        return failed[0]
    message = f"{len(failed)} of {len(results)} snapshots failed"
    hint = "each origin's own error says why"
    if len(failed) < len(results):
        return PartialFailure(message, hint=hint)
    alike = len({error.exit_code for error in failed}) == 1
    ending = _BY_CODE[failed[0].exit_code] if alike else Unavailable
    return ending(message, hint=failed[0].hint or hint, code=failed[0].code, details=(failed[0].message,))


def _tripped(found: Sequence[SnapshotterError]) -> SnapshotterError | None:
    """What a job ends with whose snapshots were all taken: a finding, if there is one, before "could not"."""
    if len(found) <= 1:
        return next(iter(found), None)
    ending = Finding if any(isinstance(error, Finding) for error in found) else Unavailable
    return ending(
        f"{len(found)} origins did not pass the gate",
        code=found[0].code,
        hint="each origin's own error says why",
    )


def summary(
    verb: str, store: str, stage: str, error: SnapshotterError | None, results: Sequence[Result]
) -> dict[str, Any]:
    """The one document that a job prints. `store` is shown as the store shows itself."""
    succeeded = sum(result.sealed is not None for result in results)
    return {
        "ok": error is None,
        "verb": verb,
        "tool_version": __version__,
        "store": store,
        "stage": stage,
        "error": error.as_dict() if error else None,
        "succeeded": succeeded,
        "failed": len(results) - succeeded,
        "origins": [result.document() for result in results],
    }


class _Stage(Observer):
    """Passes on what it hears and remembers the stage."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.at = "reading the origin"

    def stage(self, what: str, total: int | None = None) -> None:
        self.at = what
        self._observer.stage(what, total)

    def advance(self, count: int) -> None:
        self._observer.advance(count)

    def warn(self, what: str) -> None:
        self._observer.warn(what)
