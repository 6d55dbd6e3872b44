"""What a list of snapshots shows: each with its manifest, or with why that does not read."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.every_repo import Unread, of_each
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.manifest import Manifest
from snapshotter.base.errors import PartialFailure, SnapshotterError, Unavailable, Unusable
from snapshotter.base.text import plural, printable
from snapshotter.store.backend import READS_AT_ONCE


@dataclass(frozen=True)
class ListedSnapshot:
    """One snapshot: its folder as listed, and its manifest or, if that is None, the error of reading it."""

    run: ListedRun
    manifest: Manifest | None
    error: SnapshotterError | None = None

    @property
    def stored_bytes(self) -> int:
        """The size of everything that its run wrote; 0 if the manifest does not read."""
        return sum(artifact.bytes for artifact in self.manifest.artifacts) if self.manifest else 0


@dataclass(frozen=True)
class SnapshotList:
    """What a list shows: snapshots, and the repos that could not be listed."""

    snapshots: list[ListedSnapshot]
    unread: list[Unread] = field(default_factory=list)

    @property
    def ending(self) -> SnapshotterError | None:
        """The error to end with if not all could be read; None if all was."""
        errors = [listed.error for listed in self.snapshots if listed.error]
        if errors and len(errors) == len(self.snapshots) and not isinstance(errors[0], Unusable):
            return errors[0]  # the store's trouble, not one snapshot's
        parts = [
            *([plural(len(errors), "manifest")] if errors else []),
            *([plural(len(self.unread), "repository", "repositories")] if self.unread else []),
        ]
        if not parts:
            return None
        return PartialFailure(
            f"{' and '.join(parts)} could not be read",
            code="unread",
            hint="the list says which; `snapshotter verify` says more of what is damaged",
        )


def newest_of_each(catalog: Catalog, *, since: datetime | None = None) -> SnapshotList:
    """The newest snapshot of every repo, of those that were taken from `since` on.

    Raises Unavailable or AccessDenied if no repo can be listed.
    """
    newest = of_each(catalog.repos(), catalog.latest)
    runs = [
        run for run in newest.results.values() if run and (not since or run.key.run_id.started_at >= since)
    ]
    return SnapshotList(_read(catalog, runs), newest.unread)


def of_repo(catalog: Catalog, name: str, *, since: datetime | None = None) -> SnapshotList:
    """The snapshots of one repo, oldest first; `name` is its own or an origin.

    Raises Unavailable (code `no-snapshot`) if there is none at all; none from `since` on is an empty list.
    """
    runs = catalog.snapshots(catalog.repo_of(name), since=since)
    if not runs and not since:
        raise Unavailable(
            f"no snapshot of {printable(name)[:200]} in {catalog.store.place.uri}",
            code="no-snapshot",
            hint="`snapshotter list` shows all",
        )
    return SnapshotList(_read(catalog, runs))


def _read(catalog: Catalog, runs: Sequence[ListedRun]) -> list[ListedSnapshot]:
    def listed(run: ListedRun) -> ListedSnapshot:
        try:
            return ListedSnapshot(run, catalog.manifest(run.key, listed=True).manifest)
        except SnapshotterError as error:
            return ListedSnapshot(run, None, error)

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:  # one manifest each, and on S3 each is a round trip
        return list(pool.map(listed, runs))
