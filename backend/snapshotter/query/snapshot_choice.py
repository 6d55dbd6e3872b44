"""Which snapshots a query is about: of each repo the newest, the newest at a time, or all."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.every_repo import of_each, raise_if_all_denied
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.manifest import Manifest, Scan
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, NewerSchema, SnapshotterError, Unavailable, Unusable
from snapshotter.base.text import printable
from snapshotter.query.left_out import LeftOut
from snapshotter.query.manifest_index import ManifestIndex
from snapshotter.query.scans import scans_of
from snapshotter.query.sources import Sources
from snapshotter.query.terms import QueryOptions
from snapshotter.store.backend import READS_AT_ONCE


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that a query is about: its folder as listed, its manifest, and its scan if it has one."""

    run: ListedRun
    manifest: Manifest
    scan: Scan | None = None


class ChosenSnapshots(NamedTuple):
    """The snapshots, by repo and time, and what could not be read of others."""

    snapshots: list[Snapshot]
    left_out: list[LeftOut]


def choose(sources: Sources, options: QueryOptions, *, scans: bool = True) -> ChosenSnapshots:
    """The snapshots that the options mean, with their `scans` if those are wanted.

    Everything is found by listing, each time anew. Only manifests are remembered: they never change.
    Raises Unavailable (code `no-snapshot`) if no repo's name matches the globs.
    """
    catalog, cancel = sources.catalog, sources.cancel
    repos = _matching(catalog, options)
    listed = of_each(repos, lambda repo: _runs(catalog, repo, options, cancel))
    chosen = _read(sources, [run for runs in listed.results.values() for run in runs])
    chosen.left_out[:0] = [LeftOut(repo, "repository", error.message) for repo, error in listed.unread]
    if not scans:
        return chosen
    held, unusable = scans_of(sources, (each.manifest for each in chosen.snapshots))
    with_scans = [replace(each, scan=held.get(each.run.key)) for each in chosen.snapshots]
    return ChosenSnapshots(with_scans, chosen.left_out + unusable)


def _matching(catalog: Catalog, options: QueryOptions) -> list[str]:
    # People paste addresses; a repo's name has two underscores for each slash.
    globs = [glob.removeprefix("https://").replace("/", "__") for glob in options.repos]
    repos = [repo for repo in catalog.repos() if not globs or any(fnmatchcase(repo, glob) for glob in globs)]
    if globs and not repos:
        raise Unavailable(
            f"no repository is called like {printable(' or '.join(options.repos))[:200]}",
            code="no-snapshot",
            hint="`snapshotter list` shows them; write it like 'github.com/psf/*'",
        )
    return repos


def _runs(catalog: Catalog, repo: str, options: QueryOptions, cancel: Cancel) -> list[ListedRun]:
    cancel.check()
    if options.history:
        runs = catalog.snapshots(repo)
        return [run for run in runs if options.at is None or run.key.run_id.started_at <= options.at]
    newest = catalog.latest(repo, at=options.at)
    return [newest] if newest else []


def _read(sources: Sources, runs: Sequence[ListedRun]) -> ChosenSnapshots:
    """The runs with their manifests; one whose manifest cannot be read is left out. Raises if none may be read."""
    index = ManifestIndex(sources.cache, sources.catalog.store.place.uri)

    def read(run: ListedRun) -> Manifest | SnapshotterError:
        sources.cancel.check()
        try:
            return sources.catalog.manifest(run.key, listed=True).manifest
        except (Unusable, NewerSchema, AccessDenied) as error:
            return error

    known = {run.key: index.find(run) for run in runs}
    fresh = [run for run in runs if known[run.key] is None]
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        answers = {run.key: answer for run, answer in zip(fresh, pool.map(read, fresh), strict=True)}
    raise_if_all_denied(answers.values())
    chosen = ChosenSnapshots([], [])
    for run in runs:
        answer = known[run.key] or answers[run.key]
        if isinstance(answer, SnapshotterError):
            chosen.left_out.append(LeftOut(run.key, "snapshot", answer.message))
        else:
            chosen.snapshots.append(Snapshot(run, answer))
    index.remember((each.run, each.manifest) for each in chosen.snapshots)
    return chosen
