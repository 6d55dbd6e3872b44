"""A job whose document lies in the store, for those that are too large for where jobs are given.

Whoever may write to the store may put a document there. So the reference to it has its SHA-256, and the document may
not say what only the operator may: where snapshots are put, and what of this machine or its secrets goes into them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from snapshotter.base.errors import SnapshotterError, UsageError
from snapshotter.base.text import printable
from snapshotter.fleet.document import MAX_DOCUMENT, Job, Reference, read, refused, without_a_key_twice
from snapshotter.fleet.pinned import read_pinned, uri_inside
from snapshotter.git.origin_parsing import parse
from snapshotter.store.objects import Store
from snapshotter.transport import host_tokens
from snapshotter.transport.credentials import setting_without_host

_OBJECTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REFERENCES: Final = msgspec.json.Decoder(Reference)


def reference_in(document: bytes) -> Reference | None:
    """The reference that a document is. Returns None if it is anything else, which `read` may take.

    Raises UsageError for a reference that cannot be meant.
    """
    if len(document) > MAX_DOCUMENT:
        return None
    try:
        names = _OBJECTS.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if "document" not in names:
        return None
    try:
        reference = _REFERENCES.decode(document)
        json.loads(document, object_pairs_hook=without_a_key_twice)
    except msgspec.MsgspecError as error:
        raise refused(printable(str(error))[:300]) from None
    return reference


def check_outside(file: Path, store: str) -> None:
    """Raise UsageError (code `job`) for a document's file that lies in the folder of `store`, a URI: only a reference,
    from elsewhere, may lead there."""
    if inside := uri_inside(file, store):
        raise UsageError(
            f"the job's document lies in the store, where others may have written it: {printable(str(file))}",
            code="job",
            hint=f'keep it outside, or give {{"document": "{printable(inside)}", "sha256": "…"}} in its place',
        )


def read_stored(store: Store, reference: Reference, settings: Mapping[str, str]) -> Job:
    """The job that a reference leads to.

    Raises UsageError for a document that is no job or says what a stored one may not, and as `read_pinned` does.
    """
    data = read_pinned(store, reference.document, reference.sha256, limit=MAX_DOCUMENT)
    job = read(data)
    if why := _forbidden(job, setting_without_host(settings)):
        raise refused(f"in a document from the store, {why}")
    return job


def _forbidden(job: Job, without_host: str | None) -> str | None:
    """What a document from the store says and may not. Returns None if there is nothing."""
    if job.store is not None:
        return "`store` is not allowed: it is the one that the document is in"
    if job.options.allow_http:
        return "`allow_http` is not allowed: set SNAPSHOTTER_ALLOW_HTTP"
    for number, text in enumerate(job.all_origins, 1):
        try:
            origin = parse(text)
        except SnapshotterError:
            continue  # nobody is asked: its own result says why
        if origin.is_local:
            return f"origin {number} is a path on this machine"
        if origin.credential is not None and origin.credential.secret:
            return f"origin {number} holds a credential: {host_tokens.VARIABLE} is the place for it"
        if without_host and origin.scheme in ("https", "http"):
            return f"no origin may be given a token that names no host ({without_host}): use {host_tokens.VARIABLE}"
    return None
