"""A bucket of S3 as the place of a store: each write creates, in one PUT with AES256; each list has a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from snapshotter.base.errors import SnapshotterError
from snapshotter.store import bucket_errors, s3_objects
from snapshotter.store.backend import ListPage, ListRequest, ObjectAttributes
from snapshotter.store.s3 import Bucket
from snapshotter.store.s3_requests import S3Failed

_TRIES_OF_STRANGER: Final = 2  # of a server that answers 404 and has never answered as S3 does


class BucketBackend:
    """See Backend."""

    troubles: tuple[type[Exception], ...] = (S3Failed,)

    def __init__(self, bucket: Bucket, uri: str) -> None:
        self._bucket, self._uri = bucket, uri

    def create(self, key: str, data: bytes | memoryview, attributes: ObjectAttributes) -> None:
        """See Backend."""
        s3_objects.create(self._bucket.requests, self._full(key), data, attributes)

    def read(self, key: str, limit: int | None) -> bytes:
        """See Backend."""
        return s3_objects.read(self._bucket.requests, self._full(key), limit)

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """See Backend."""
        return s3_objects.read_range(self._bucket.requests, self._full(key), start, end)

    def pieces(self, key: str, size: int) -> Iterator[memoryview]:
        """See Backend."""
        download = s3_objects.ObjectDownload(self._bucket.requests, self._full(key))
        download.open()
        return download.pieces(size)

    def file(self, key: str) -> None:
        """See Backend."""

    def page(self, request: ListRequest, token: str | None) -> ListPage:
        """See Backend."""
        return self._bucket.lister.page(request, token)

    def transient(self, error: Exception, tries: int) -> bool:
        """See Backend."""
        if not isinstance(error, S3Failed) or not error.passes:
            return False
        # A gateway of S3's that starts may answer so. What has never answered otherwise mostly is a mistyped endpoint.
        stranger = error.status == 404 and not self._bucket.requests.is_s3
        return tries < _TRIES_OF_STRANGER or not stranger

    def translate(self, error: Exception, action: str, key: str) -> SnapshotterError:
        """See Backend."""
        full = self._full(f"{key}/" if action == "ListBucket" and key else key)
        failed = error if isinstance(error, S3Failed) else S3Failed(None, str(error))
        return bucket_errors.in_bucket(failed, self._uri, action, full, secure=self._bucket.requests.secure)

    def _full(self, key: str) -> str:
        return f"{self._bucket.prefix}{key}"
