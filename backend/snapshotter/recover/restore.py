"""Restore a snapshot into a git repository, and prove it whole before it gets its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.listed_run import ListedRun
from snapshotter.archive.replay import replay_chain
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Finding, SnapshotterError, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.git.errors import GitCrashed, GitFailed
from snapshotter.git.ref_names import named
from snapshotter.git.refs import RefsLedger
from snapshotter.git.repository import NotWhole, Repository
from snapshotter.recover import build_folder
from snapshotter.recover.lfs_restore import RestoredLfs, place_objects


@dataclass(frozen=True)
class Restored:
    """What a restore made.

    `snapshot` is the folder of its run, `head` what HEAD names or None, `chain` the run ids that were replayed,
    `bytes` what their bundles weigh, and `lfs` what became of LFS objects.
    """

    snapshot: str
    destination: str
    refs: int
    head: str | None
    chain: list[str]
    bytes: int
    lfs: RestoredLfs

    @property
    def ending(self) -> SnapshotterError | None:
        """The error to end with if LFS objects that the store should hold are not in place."""
        return self.lfs.ending(
            "the repository is restored, but without", "restore it again, to another folder"
        )


def restore(
    catalog: Catalog,
    run: ListedRun,
    destination: Path,
    *,
    mode: str = "worktree",
    observer: Observer | None = None,
    cancel: Cancel | None = None,
) -> Restored:
    """Restore the snapshot `run` to `destination`, which must not exist or be empty.

    `mode` is ``worktree`` (a repository with HEAD checked out), ``bare``, or ``mirror`` (bare, and set to
    follow the origin). Every ref, alias and HEAD are exactly the snapshot's. The repository is built beside
    `destination`, or inside it if it is a folder, and takes its place when it is proven: a failed restore leaves
    nothing, or the empty folder as it was, and what a killed one left is removed by the next to the same destination.
    LFS objects that the snapshot has are put where git-lfs looks; what of them is damaged, or cannot be read, is left
    out and warned of, and `ending` of the result tells it.

    Raises UsageError for a destination in use, Finding if the history is not whole, Unavailable if it cannot
    be read or written.
    """
    observer, cancel = observer or Observer(), cancel or Cancel()
    destination = destination.absolute()
    try:
        build_folder.check_free(destination)
        manifest = catalog.manifest(run.key, listed=True).manifest
        ledger = catalog.ledger(manifest)
        with build_folder.building(destination, observer, cancel) as build:
            git_dir = build.work if mode != "worktree" else build.work / ".git"
            repository = Repository.create(git_dir, manifest.object_format, cancel)
            total = replay_chain(catalog, manifest, repository, observer=observer, cancel=cancel)
            _set_refs(repository, ledger, observer)
            _configure(repository, manifest.origin, mode)
            lfs = place_objects(catalog, manifest, git_dir, observer, cancel)
            if mode == "worktree":
                _check_out(repository, ledger, build.work)
            # Moved files get a new ctime, and git would read each of them again at the first `git status`.
            build.place(repository.refresh if mode == "worktree" else lambda _: None)
    except OSError as error:
        cancel.check()  # which takes the folder away
        raise _not_written(destination, error) from error
    head = ledger.head_text
    return Restored(run.key.folder, str(destination), len(ledger), head, manifest.chain, total, lfs)


def _not_written(destination: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"could not write {destination}: {error.strerror}",
        code="disk",
        hint="check free space and permissions",
    )


def _set_refs(repository: Repository, ledger: RefsLedger, observer: Observer) -> None:
    """Set the refs, and compare what git has now with the snapshot: every object, every ref with its alias, HEAD."""
    observer.stage("setting the refs")
    repository.write_refs(ledger)
    try:
        repository.check_held(ledger)
    except NotWhole as error:
        raise Finding(
            f"the snapshot is damaged: {error.message}",
            hint="the stored bytes are those that the origin sent: run `git fsck` there; restore an older snapshot "
            "meanwhile",
        ) from error
    # Read back from git, not believed: a file system may fold or refuse names that git was told to write.
    if differences := repository.differences(ledger):
        raise Finding(
            f"the snapshot's refs cannot be restored here: {'; '.join(differences)}",
            hint="run `snapshotter verify` on it; a file system that ignores case cannot hold every alias",
        )
    if wrong := repository.wrongly_peeled(ledger):
        observer.warn(
            f"the origin listed a wrong id as peeled, and the tag's own is restored: {named(wrong)}"
        )


def _configure(repository: Repository, origin: str, mode: str) -> None:
    """The configuration of a clone that `mode` stands for; a bare repository has none."""
    if mode == "mirror":
        repository.configure(
            [
                ("remote.origin.url", origin),
                ("remote.origin.fetch", "+refs/*:refs/*"),
                ("remote.origin.mirror", "true"),
            ]
        )
    elif mode == "worktree":
        repository.configure(
            [
                ("core.bare", "false"),
                ("remote.origin.url", origin),
                ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
            ]
        )


def _check_out(repository: Repository, ledger: RefsLedger, work: Path) -> None:
    """Check out HEAD into `work`. Raises Unavailable if git cannot."""
    # A HEAD that names a branch without commits is restored as it is: there is nothing to check out.
    if not ledger.head_oid and not ledger.oids.get(ledger.head_target or b""):
        return
    try:
        repository.checkout(work)
    except (GitCrashed, GitFailed) as error:
        raise Unavailable(
            f"the snapshot is whole, but its HEAD cannot be checked out: {error.message}",
            code="checkout",
            hint="restore it with --bare, and look at its tree with `git ls-tree HEAD`",
        ) from error
