"""Which snapshots a query is about: of each repo the newest, the newest at a time, or all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

import msgspec

from snapshotter import __version__
from snapshotter.archive import layout
from snapshotter.archive.catalog import Catalog, Run
from snapshotter.archive.manifest import Manifest, Scan
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import NewerSchema, SnapshotterError, Unavailable, Unusable
from snapshotter.base.text import printable
from snapshotter.query.cache import Cache
from snapshotter.query.scans import scans_of
from snapshotter.query.terms import LeftOut, QueryOptions

_PARALLEL: Final = 16
_INDEX_BYTES: Final = 32 * 1024 * 1024  # of manifests that are remembered for one store
_INDEXED: Final = 64 * 1024  # bytes of the largest manifest that is remembered


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that a query is about: its folder as listed, its manifest, and its scan if it has one."""

    run: Run
    manifest: Manifest
    scan: Scan | None = None


class ChosenSnapshots(NamedTuple):
    """The snapshots, by repo and time, and what of them does not read."""

    snapshots: list[Snapshot]
    left_out: list[LeftOut]


def choose(
    catalog: Catalog, cache: Cache, options: QueryOptions, cancel: Cancel, *, scans: bool = True
) -> ChosenSnapshots:
    """The snapshots that the options mean, with their `scans` if those are wanted. Everything is found by
    listing, each time anew; only manifests, which never change, are remembered.

    Raises Unavailable (code `no-snapshot`) if no repo's name matches the globs.
    """
    repos = _matching(catalog, options)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        found = list(pool.map(lambda repo: _runs(catalog, repo, options, cancel), repos))
    runs = [run for each in found for run in each]
    selection = _read(catalog, Index(cache, catalog.store.place.uri), runs, cancel)
    if not scans:
        return selection
    held, unusable = scans_of(catalog, (each.manifest for each in selection.snapshots), cancel)
    with_scans = [replace(each, scan=held.get(each.run.key)) for each in selection.snapshots]
    return ChosenSnapshots(with_scans, selection.left_out + unusable)


def _matching(catalog: Catalog, options: QueryOptions) -> list[str]:
    globs = [glob.removeprefix("https://").replace("/", "__") for glob in options.repos]
    repos = [repo for repo in catalog.repos() if not globs or any(fnmatchcase(repo, glob) for glob in globs)]
    if globs and not repos:
        raise Unavailable(
            f"no repository is called like {printable(' or '.join(options.repos))[:200]}",
            code="no-snapshot",
            hint="`snapshotter list` shows them; write it like 'github.com/psf/*'",
        )
    return repos


def _runs(catalog: Catalog, repo: str, options: QueryOptions, cancel: Cancel) -> list[Run]:
    cancel.check()
    if options.history:
        runs = catalog.snapshots(repo)
        return [run for run in runs if options.at is None or run.key.run_id.started_at <= options.at]
    newest = catalog.latest(repo, at=options.at)
    return [newest] if newest else []


def _read(catalog: Catalog, index: Index, runs: Sequence[Run], cancel: Cancel) -> ChosenSnapshots:
    def read(run: Run) -> Manifest | SnapshotterError:
        cancel.check()
        try:
            return catalog.manifest(run.key, listed=True).manifest
        except (Unusable, NewerSchema) as error:
            return error

    known = {run.key: index.find(run) for run in runs}
    fresh = [run for run in runs if known[run.key] is None]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        answers = {run.key: answer for run, answer in zip(fresh, pool.map(read, fresh), strict=True)}
    selection = ChosenSnapshots([], [])
    for run in runs:
        answer = known[run.key] or answers[run.key]
        if isinstance(answer, SnapshotterError):
            selection.left_out.append(LeftOut(run.key, "snapshot", answer.message))
        else:
            selection.snapshots.append(Snapshot(run, answer))
    index.remember(selection.snapshots)
    return selection


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    size: int
    data: bytes


class Index:
    """The manifests of one store that were read before, by key.

    A manifest never changes under its key; one whose size is not the listed one is read again. Only manifests that
    were checked when they were read come in, and only this user can write here.
    """

    def __init__(self, cache: Cache, uri: str) -> None:
        # The release is part of the name: another one may know other fields.
        name = hashlib.sha256(f"{__version__} {uri}".encode()).hexdigest()[:32]
        self._cache, self._path = cache, cache.index(f"{name}.manifests")
        try:
            self._entries = msgspec.msgpack.decode(self._path.read_bytes(), type=dict[str, _Entry])
        except (FileNotFoundError, msgspec.MsgspecError):
            self._entries = {}
        self._decoder = msgspec.msgpack.Decoder(Manifest)

    def find(self, run: Run) -> Manifest | None:
        """The manifest of a run as listed, if it is remembered."""
        if not self._knows(run):
            return None
        try:
            return self._decoder.decode(self._entries[run.key.folder].data)
        except msgspec.MsgspecError:
            return None

    def remember(self, snapshots: Iterable[Snapshot]) -> None:
        """Add the manifests of `snapshots`; those of earlier queries stay while there is room."""
        encode = msgspec.msgpack.Encoder().encode
        fresh = {
            each.run.key.folder: _Entry(each.run.files[layout.MANIFEST], encode(each.manifest))
            for each in snapshots
            if each.run.files[layout.MANIFEST] <= _INDEXED and not self._knows(each.run)
        }
        if not fresh:
            return
        kept: dict[str, _Entry] = {}
        room = _INDEX_BYTES
        for key, entry in {**fresh, **self._entries}.items():
            room -= len(entry.data)
            if room >= 0:
                kept[key] = entry
        self._cache.write(self._path, encode(kept))

    def _knows(self, run: Run) -> bool:
        entry = self._entries.get(run.key.folder)
        return entry is not None and entry.size == run.files[layout.MANIFEST]
