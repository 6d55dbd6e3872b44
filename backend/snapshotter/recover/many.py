"""The verification of what a name means, or of everything: trouble with one repo costs no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.every_repo import Unread, of_each
from snapshotter.archive.expiry import Expiry
from snapshotter.archive.layout import RunKey
from snapshotter.archive.listed_run import ListedRun
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError, Unavailable, UsageError
from snapshotter.base.observer import Observer
from snapshotter.recover.verdict import Verdict
from snapshotter.recover.verify import VerifyOptions, verify


@dataclass(frozen=True)
class Verification:
    """What was found about each snapshot, which repos could not be checked at all, and which snapshots have expired."""

    verdicts: list[Verdict]
    unread: list[Unread] = field(default_factory=list)
    expired: list[RunKey] = field(default_factory=list)


def verify_named(
    catalog: Catalog,
    name: str | None,
    options: VerifyOptions,
    *,
    newest: bool = False,
    observer: Observer | None = None,
    cancel: Cancel | None = None,
) -> Verification:
    """Verify the snapshot that `name` names, all of a repo that it names, or, without a name, all of every repo.
    With `newest`, of each repo only the newest. Of whole repos, what has expired by the options is left out.

    Raises Unavailable (code `no-snapshot`) if there are none; Unavailable or AccessDenied if nothing can be checked.
    """

    def of_runs(repo: str, runs: list[ListedRun]) -> list[Verdict]:
        return verify(catalog, repo, runs, options, observer=observer, cancel=cancel) if runs else []

    now = datetime.now(UTC)
    expired: list[RunKey] = []

    def of_repo(repo: str) -> list[Verdict]:
        last = catalog.latest(repo) if newest else None
        runs = catalog.snapshots(repo) if not newest else [last] if last else []
        gone = {run.key for run in runs if _has_expired(catalog, run, options.expiry, now)}
        expired.extend(sorted(gone))
        return of_runs(repo, [run for run in runs if run.key not in gone])

    repos = catalog.repos() if name is None else []
    if name is not None:
        run = catalog.resolve(name)
        if newest or not _names_repo(catalog, name, run):
            return Verification(of_runs(run.key.repo, [run]))
        repos = [run.key.repo]
    # One at a time: each replays chains with git, which takes the disk, and the processors, of the whole machine.
    checked = of_each(repos, of_repo, at_once=1)
    verdicts = [verdict for verdicts in checked.results.values() for verdict in verdicts]
    if verdicts or (expired and not checked.unread):
        return Verification(verdicts, checked.unread, expired)
    if checked.unread:
        raise checked.unread[0].error
    raise _no_snapshots(catalog.store.place.uri)


def _has_expired(catalog: Catalog, run: ListedRun, expiry: Expiry | None, now: datetime) -> bool:
    """Whether a snapshot's chain has expired; of one whose manifest cannot be read, the verification says why."""
    if expiry is None:
        return False
    try:
        return expiry.over(catalog.manifest(run.key, listed=True).manifest, now)
    except SnapshotterError:
        return False


def _no_snapshots(where: str) -> Unavailable:
    return Unavailable(
        f"no snapshots in {where}", code="no-snapshot", hint="take one: `snapshotter snapshot ORIGIN`"
    )


def _names_repo(catalog: Catalog, name: str, run: ListedRun) -> bool:
    """Whether a name is a whole repository's, not one snapshot's."""
    try:
        return catalog.repo_of(name) == run.key.repo
    except UsageError:
        return False
