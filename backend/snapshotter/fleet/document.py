"""The two JSON documents of a job: the one that says what to do, and the one that holds its results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from snapshotter import __version__
from snapshotter.archive import layout
from snapshotter.archive.lfs_facts import lfs_facts
from snapshotter.archive.manifest import Gap, Manifest, Scan
from snapshotter.archive.sealed import Sealed
from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.base.text import printable
from snapshotter.capture.plan import RequestedOptions
from snapshotter.capture.scan_step import NO_HEAD
from snapshotter.scan.scanners import FAILED

VARIABLE = "SNAPSHOTTER_JOB"
MAX_DOCUMENT = 4 * 1024 * 1024  # bytes: room for some 50,000 origins

Text = Annotated[str, msgspec.Meta(min_length=1)]  # an empty one is a template that was not filled in


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to do. `snapshot` needs `origin` or `origins`; `verify` is about the whole store, and takes `newest` and
    `quick`; `prove` takes `only` and `skip`. Each takes `store`.
    """

    verb: Literal["snapshot", "verify", "prove"] = "snapshot"
    origin: Text | None = None
    origins: list[Text] | None = None
    store: Text | None = None
    labels: dict[Text, str] = {}
    options: RequestedOptions = RequestedOptions()
    only: list[str] = []
    skip: list[str] = []
    newest: bool = False
    quick: bool = False

    @property
    def all_origins(self) -> list[str]:
        """The origins as written, in order."""
        return [self.origin] if self.origin is not None else list(self.origins or [])


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """In a job's place, where its document lies: below `_jobs/` of the store in force, as in
    ``s3://bucket/prefix/_jobs/daily.json``, and the document's SHA-256 in hexadecimal.
    """

    document: Text
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


_JOBS: Final = msgspec.json.Decoder(Job)


def read(document: bytes) -> Job:
    """The job that a JSON document describes.

    Raises UsageError, which names the field and never its value: that may hold a credential.
    """
    if len(document) > MAX_DOCUMENT:
        raise refused(f"it is larger than {MAX_DOCUMENT} bytes")
    try:
        job = _JOBS.decode(document)
        # msgspec takes the last of two equal keys without a word; json's hook sees both.
        json.loads(document, object_pairs_hook=without_a_key_twice)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refused(printable(str(error))[:300]) from None
    if why := _contradiction(job):
        raise refused(why)
    return job


def refused(why: str) -> UsageError:
    """The error for a document that is not a job, and `why` it is not."""
    return UsageError(f"not a job: {why}", code="job", hint="docs/job.schema.json says what a job may hold")


def without_a_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON. Raises UsageError if it has a key twice: of two lists of origins, one would be lost."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise refused("it has a key twice")
    return members


def _contradiction(job: Job) -> str | None:
    """Why the fields of a job contradict each other. Returns None if they do not."""
    if (job.only or job.skip) and job.verb != "prove":
        return "`only` and `skip` are for `prove`"
    if (job.newest or job.quick) and job.verb != "verify":
        return "`newest` and `quick` are for `verify`"
    if job.verb != "snapshot":
        given = (
            job.origin is not None
            or job.origins is not None
            or job.labels
            or job.options != RequestedOptions()
        )
        return f"`{job.verb}` takes no origin, labels or options" if given else None
    if job.origin is not None and job.origins is not None:
        return "it names `origin` and `origins`; one of them is enough"
    return None if job.all_origins else "it names no origin"


def json_schema() -> dict[str, object]:
    """The job's JSON Schema (draft 2020-12), as kept in docs/job.schema.json."""
    _, schemas = msgspec.json.schema_components((Job, Reference), ref_template="#/$defs/{name}")
    # The rules of `_contradiction`, which the fields' types cannot tell.
    null, empty, false = {"type": "null"}, {"maxProperties": 0}, {"const": False}
    no_rows = {"only": {"maxItems": 0}, "skip": {"maxItems": 0}}
    no_depth = {"newest": false, "quick": false}
    no_origin = {"origin": null, "origins": null, "labels": empty, "options": empty}
    one = {"origin": {"type": "string"}, "origins": null, **no_rows, **no_depth}
    several = {"origin": null, "origins": {"type": "array", "minItems": 1}, **no_rows, **no_depth}
    schemas["Job"] |= {
        "if": {"required": ["verb"], "properties": {"verb": {"const": "prove"}}},
        "then": {"properties": no_origin | no_depth},
        "else": {
            "if": {"required": ["verb"], "properties": {"verb": {"const": "verify"}}},
            "then": {"properties": no_origin | no_rows},
            "else": {
                "oneOf": [
                    {"required": ["origin"], "properties": one},
                    {"required": ["origins"], "properties": several},
                ]
            },
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": [{"$ref": "#/$defs/Job"}, {"$ref": "#/$defs/Reference"}],
        "$defs": schemas,
    }


@dataclass(frozen=True)
class OriginResult:
    """The result of one origin: a sealed manifest, or an error; both if the snapshot was taken and a gate tripped.

    `origin` is redacted. `stage` is "done", or the stage at which the error came.
    """

    origin: str
    stage: str
    sealed: Sealed | None = None
    error: SnapshotterError | None = None
    seconds: float = 0.0

    @property
    def scan_failed(self) -> bool:
        """Whether the snapshot was taken and lacks a scan, or a part of it, that it should have."""
        if self.sealed is None:
            return False
        manifest = self.sealed.manifest
        missing = any(gap.kind == "scan" and gap.sample != [NO_HEAD] for gap in manifest.gaps)
        return missing or (manifest.scan is not None and any(g.kind == FAILED for g in manifest.scan.gaps))

    def document(self) -> dict[str, object]:
        """The result as `snapshotter job` prints it; keys are relative to the store's root."""
        facts: dict[str, object] = {
            "ok": self.error is None,
            "origin": self.origin,
            "stage": self.stage,
            "error": self.error.as_dict() if self.error else None,
            "seconds": round(self.seconds, 3),
        }
        return facts | _snapshot(self.sealed.manifest, self.sealed.sha256) if self.sealed else facts


def _snapshot(manifest: Manifest, sha256: str) -> dict[str, object]:
    return {
        "repo": manifest.repo,
        "run_id": manifest.run_id,
        "kind": manifest.kind,
        "reason": manifest.reason,
        "refs": {"count": manifest.refs.count, "sha256": manifest.refs.sha256},
        "manifest": {"key": manifest.key.key(layout.MANIFEST), "sha256": sha256},
        "artifacts": [{"key": a.key, "bytes": a.bytes, "sha256": a.sha256} for a in manifest.artifacts],
        "gaps": _gaps(manifest.gaps),
        "scan": _scan(manifest.scan) if manifest.scan else None,
        **lfs_facts(manifest.lfs),
    }


def _scan(scan: Scan) -> dict[str, object]:
    """A scan in a result document; `run_id` is the run that made it, this one or one before."""
    return {"run_id": scan.run_id, "ref": scan.ref, "tables": scan.tables, "gaps": _gaps(scan.gaps)}


def _gaps(gaps: Sequence[Gap]) -> list[dict[str, object]]:
    return [{"kind": gap.kind, "count": gap.count} for gap in gaps]


def summary(
    verb: str, store: str, stage: str, error: SnapshotterError | None, results: Sequence[OriginResult]
) -> dict[str, object]:
    """The one document that a job prints. `store` is the store's name as it is safe to show."""
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
