"""A bucket of S3 as the place of a store: each write creates, in one PUT with AES256; each list has a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import obstore
from obstore import exceptions as obs

from snapshotter.base.errors import SnapshotterError
from snapshotter.store import bucket_errors
from snapshotter.store.backend import ListPage, ListRequest, ObjectAttributes, OverLimit, Taken
from snapshotter.store.s3 import Bucket
from snapshotter.store.s3_listing import ListFailed


class BucketBackend:
    """See Backend."""

    troubles: tuple[type[Exception], ...] = (obs.BaseError, OSError, ListFailed)

    def __init__(self, bucket: Bucket, uri: str) -> None:
        self._bucket, self._uri = bucket, uri

    def create(self, key: str, data: bytes | memoryview, attributes: ObjectAttributes) -> None:
        """See Backend."""
        options: dict[str, Any] = {
            "mode": "create",
            "use_multipart": False,
            "attributes": {"Content-Type": attributes.content_type},
            "tags": dict(attributes.tags) or None,
        }
        try:
            obstore.put(self._bucket.objects, self._full(key), data, **options)
        except obs.AlreadyExistsError:
            raise Taken from None

    def read(self, key: str, limit: int | None) -> bytes:
        """See Backend."""
        result = obstore.get(self._bucket.objects, self._full(key))
        if limit is not None and result.meta["size"] > limit:
            raise OverLimit(result.meta["size"])
        return bytes(result.bytes())

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """See Backend."""
        return bytes(obstore.get_range(self._bucket.objects, self._full(key), start=start, end=end))

    def pieces(self, key: str, size: int) -> Iterator[memoryview]:
        """See Backend."""
        stream = obstore.get(self._bucket.objects, self._full(key)).stream(min_chunk_size=size)
        return (memoryview(piece) for piece in stream)

    def file(self, key: str) -> None:
        """See Backend."""

    def page(self, request: ListRequest, token: str | None) -> ListPage:
        """See Backend."""
        return self._bucket.lister.page(request, token)

    def transient(self, error: Exception) -> bool:
        """See Backend."""
        return bucket_errors.transient(error)

    def translate(self, error: Exception, action: str, key: str) -> SnapshotterError:
        """See Backend."""
        full = self._full(f"{key}/" if action == "ListBucket" and key else key)
        secure = self._bucket.lister.url.startswith("https://")
        return bucket_errors.in_bucket(error, self._uri, action, full, secure=secure)

    def _full(self, key: str) -> str:
        return f"{self._bucket.prefix}{key}"
