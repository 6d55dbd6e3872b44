"""One run's folder, to write into: each object is put once, and described as an artifact."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from snapshotter.archive.layout import RunKey
from snapshotter.archive.manifest import Artifact
from snapshotter.base.cancel import Cancel
from snapshotter.store.objects import Store

JSON = "application/json"


@dataclass(frozen=True)
class RunFolder:
    """Where the run `key` puts its objects, each tagged with the repo and with `kind`: what an expiry may go by.

    Safe to share between threads.
    """

    store: Store
    key: RunKey
    kind: str
    cancel: Cancel = field(default_factory=Cancel)

    def put(self, name: str, data: bytes | memoryview, content_type: str) -> Artifact:
        """Put a new object and describe it. Raises what `Store.put_new` raises."""
        key = self.key.key(name)
        digest = hashlib.sha256(data).hexdigest()
        tags = {"kind": self.kind, "repo": self.key.repo}
        self.store.put_new(key, data, content_type=content_type, tags=tags, cancel=self.cancel)
        return Artifact(name=name, key=key, bytes=len(data), sha256=digest, content_type=content_type)
