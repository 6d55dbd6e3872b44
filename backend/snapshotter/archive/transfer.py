"""Artifacts on their way: put once and described, later got and checked against that description."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Artifact
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Damaged, Missing, TooLarge
from snapshotter.base.room import Stay
from snapshotter.store.objects import Store

JSON = "application/json"
_VERIFY = (
    "run `snapshotter verify` on it: its receipt makes the next run take a base; "
    "restore an older snapshot meanwhile"
)


@dataclass(frozen=True)
class RunFolder:
    """Where the run `key` puts its objects, each tagged with the repo and with `kind`, by which an expiry may choose.

    What is on its way there prolongs its `stay` in memory. Safe to share between threads.
    """

    store: Store
    key: RunKey
    kind: str
    cancel: Cancel = field(default_factory=Cancel)
    stay: Stay = field(default_factory=Stay)

    def put(self, name: str, data: bytes | memoryview, content_type: str) -> Artifact:
        """Put a new object and describe it. Raises what `Store.put_new` raises."""
        key = self.key.key(name)
        digest = hashlib.sha256(data).hexdigest()
        tags = {"kind": self.kind, "repo": self.key.repo}
        self.store.put_new(key, data, content_type=content_type, tags=tags, sha256=digest, cancel=self.cancel)
        return Artifact(name=name, key=key, bytes=len(data), sha256=digest, content_type=content_type)


def checked_get(store: Store, artifact: Artifact, cancel: Cancel | None = None) -> bytes:
    """An artifact's bytes. Raises Damaged unless size and SHA-256 are as recorded, and as `Store.get` does."""
    try:
        data = store.get(artifact.key, limit=artifact.bytes, cancel=cancel)
    except Missing as error:
        raise damaged(artifact.key, "it is missing") from error
    except TooLarge as error:
        raise damaged(artifact.key, error.message) from error
    if len(data) != artifact.bytes:
        raise damaged(artifact.key, f"it has {len(data)} bytes, not {artifact.bytes}")
    if hashlib.sha256(data).hexdigest() != artifact.sha256:
        raise damaged(artifact.key, "its bytes are not what was written (SHA-256 differs)")
    return data


def damaged(key: str, what: str) -> Damaged:
    """For a stored object that is not what its manifest says."""
    return Damaged(f"{key}: {what}", hint=_VERIFY, key=key)


def missing(key: str) -> Missing:
    """For an object that a manifest names, and that a listing does not show."""
    return Missing(f"{key}: it is missing", hint=_VERIFY, key=key)
