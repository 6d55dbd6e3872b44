"""From a URI to the store that it names: a local folder, memory, or a bucket of S3."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.store.objects import Place, Store


def open_store(
    uri: str,
    *,
    allow_http: bool = False,
    must_exist: bool = False,
    env: Mapping[str, str] = os.environ,
    observer: Observer | None = None,
) -> Store:
    """The store that a URI names: ``file:PATH`` or a path, ``s3://bucket/prefix/``, or ``memory:``.

    A folder is made, unless it `must_exist`: whoever only reads should hear of a typing error or an unmounted
    disk. Raises UsageError for any other URI, and for S3 over plain HTTP unless it is loopback and allowed.
    """
    scheme, colon, _ = uri.partition(":")
    if scheme == "memory" and colon:
        from snapshotter.store.memory import MemoryBackend  # each loaded only if it is used: start-up

        return Store(MemoryBackend("memory:"), Place("memory:"), observer)
    if scheme == "s3" and colon:
        from snapshotter.store.bucket import BucketBackend
        from snapshotter.store.s3 import open_bucket

        opened = open_bucket(uri, allow_http=allow_http, env=env)
        canonical = f"s3://{opened.name}/{opened.prefix}"
        return Store(BucketBackend(opened, canonical), Place(canonical), observer)
    named = folder_of(uri)
    if named is None:
        raise UsageError(f"not a store: {uri}", hint="give file:PATH or s3://bucket/prefix/")
    folder = _folder(named, must_exist=must_exist)
    from snapshotter.store.folder import FolderBackend

    return Store(FolderBackend(folder), Place(f"file:{folder}", folder=folder), observer)


def folder_of(uri: str) -> Path | None:
    """The folder that a store's URI names, whether it exists or not. Returns None for a store that is no folder."""
    scheme, colon, rest = uri.partition(":")
    if (colon and scheme in ("memory", "s3")) or ("://" in uri and scheme != "file"):
        return None
    path = (rest.removeprefix("//") if scheme == "file" and colon else uri) or "."
    return Path(path).expanduser().absolute()


def _folder(folder: Path, *, must_exist: bool) -> Path:
    """The store's folder, made unless it `must_exist`. Raises Unavailable if there is none, or none can be made."""
    if must_exist and not folder.is_dir():
        raise Unavailable(
            f"no such store: {folder}",
            code="no-store",
            hint="check --store; the first `snapshotter snapshot` makes it",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"cannot make the store's folder {folder}: {error.strerror}",
            code="store",
            hint="give another --store",
        ) from error
    return folder
