"""Manifests of one store that were read before, kept on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import Final

import msgspec

from snapshotter import __version__
from snapshotter.archive import layout
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.manifest import Manifest
from snapshotter.query.cache import Cache

_INDEX_BYTES: Final = 32 * 1024 * 1024  # of manifests that are remembered for one store
_INDEXED: Final = 64 * 1024  # bytes of the largest manifest that is remembered


class _Remembered(msgspec.Struct, frozen=True, array_like=True):
    size: int
    data: bytes


_INDEX: Final = msgspec.msgpack.Decoder(dict[str, _Remembered])
_MANIFESTS: Final = msgspec.msgpack.Decoder(Manifest)


class ManifestIndex:
    """The manifests of one store that were read before, by key.

    A manifest never changes under its key; one whose size is not the listed one is read again. Only manifests that
    were checked when they were read come in, and only this user can write here.
    """

    def __init__(self, cache: Cache, uri: str) -> None:
        # The release is part of the name: another one may know other fields.
        name = hashlib.sha256(f"{__version__} {uri}".encode()).hexdigest()[:32]
        self._cache, self._path = cache, cache.index(f"{name}.manifests")

    @cached_property
    def _entries(self) -> dict[str, _Remembered]:
        try:
            return _INDEX.decode(self._path.read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError):
            return {}

    def find(self, run: ListedRun) -> Manifest | None:
        """The manifest of a run as listed, if it is remembered."""
        if not self._knows(run):
            return None
        try:
            return _MANIFESTS.decode(self._entries[run.key.folder].data)
        except msgspec.MsgspecError:
            return None

    def remember(self, manifests: Iterable[tuple[ListedRun, Manifest]]) -> None:
        """Add manifests that were read and checked; those of earlier queries stay while there is room."""
        encode = msgspec.msgpack.Encoder().encode
        fresh: dict[str, _Remembered] = {}
        for run, manifest in manifests:
            size = run.files[layout.MANIFEST]
            if size <= _INDEXED and not self._knows(run):
                with suppress(OverflowError):  # a limit as large as nobody needs
                    fresh[run.key.folder] = _Remembered(size, encode(manifest))
        if not fresh:
            return
        kept: dict[str, _Remembered] = {}
        room = _INDEX_BYTES
        # The fresh ones first, as in earlier queries: so the oldest fall out.
        for key, entry in {**fresh, **self._entries}.items():
            room -= len(entry.data)
            if room >= 0:
                kept[key] = entry
        self._cache.write(self._path, encode(kept))

    def _knows(self, run: ListedRun) -> bool:
        entry = self._entries.get(run.key.folder)
        return entry is not None and entry.size == run.files[layout.MANIFEST]
