"""Push a snapshot back into a host's repository: restored and proven first, compared afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.listed_run import ListedRun
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Finding, PartialFailure, SnapshotterError, Unavailable, UsageError
from snapshotter.base.folders import locked_folder, sweep
from snapshotter.base.observer import Observer
from snapshotter.base.text import decode_name, noun, plural
from snapshotter.git.ref_names import shown
from snapshotter.git.refs import RefListing
from snapshotter.git.revisions import Revisions
from snapshotter.recover import push_plan
from snapshotter.recover.lfs_restore import RestoredLfs
from snapshotter.recover.push_batches import batches
from snapshotter.recover.push_plan import PushPlan, RefUpdate
from snapshotter.recover.restore import restore
from snapshotter.transport.lfs.source import LfsPointer, LfsUnavailable, Reason
from snapshotter.transport.pushing import PushedRef, Refusal

_FOLDER: Final = "snapshotter-push-"
_TOLD: Final = 20  # refs that an error names
BATCH_BYTES: Final = 1536 * 1024 * 1024  # below the 2 GB that the large hosts take in one push


class Host(Protocol):
    """A repository that can be listed and pushed into."""

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        ...

    def ls_refs(self) -> RefListing:
        """Its refs, as of now."""
        ...

    def upload(self, files: Mapping[LfsPointer, Path]) -> Mapping[LfsPointer, LfsUnavailable]:
        """Upload LFS objects, those that it has not; returns the ones that it did not take."""
        ...

    def push(self, git_dir: Path, refs: Sequence[PushedRef]) -> Mapping[bytes, Refusal]:
        """Set refs; returns those that were not taken."""
        ...


@dataclass(frozen=True)
class PushOptions:
    """How a push is made. With `prune`, refs are rewritten and deleted, if `digest` is the plan's.

    `batch_bytes` is what one push weighs at most, about; `temp` the folder for the restored repository.
    """

    dry_run: bool = False
    prune: bool = False
    digest: str | None = None
    batch_bytes: int = BATCH_BYTES
    temp: Path | None = None


_LFS_HINTS: Final[dict[Reason, str]] = {
    "no-server": "turn LFS on for the repository at the host, and run it again",
    "forbidden": "the token must be allowed to write LFS objects, too",
    "over-quota": "make room for LFS objects at the host, and run it again",
}


@dataclass(frozen=True)
class PushedLfs:
    """LFS objects of a push: how many go along, which weigh `bytes`; what became of the snapshot's others as it was
    restored; and which of them the host did not take."""

    objects: int = 0
    bytes: int = 0
    restored: RestoredLfs = field(default_factory=RestoredLfs)
    refused: Mapping[LfsPointer, LfsUnavailable] = field(default_factory=dict)


@dataclass(frozen=True)
class Pushed:
    """What a push did: the plan; the refs that were set, by their names; what was refused; how many pushes it took.

    `head_there` is the repository's default branch afterwards, None if it tells none.
    """

    plan: PushPlan
    taken: Sequence[bytes] = ()
    refused: Mapping[bytes, Refusal] = field(default_factory=dict)
    pushes: int = 0
    head_there: bytes | None = None
    lfs: PushedLfs = PushedLfs()

    @property
    def ending(self) -> SnapshotterError | None:
        """The error to end with: the host did not take refs that it takes from others, the store did not give LFS
        objects that it should hold, or the host did not take some."""
        failed = {name: refusal for name, refusal in self.refused.items() if not refusal.hidden}
        if not failed:
            return self._lacking or self._lfs_ending
        details = tuple(f"{shown(name)}: {refusal.why}" for name, refusal in [*failed.items()][:_TOLD])
        details += tuple({refusal.said: None for refusal in failed.values() if refusal.said})[:_TOLD]
        if self.lfs.refused:
            details += (f"beside these, {self._without_lfs} there:", *self._lfs_details)
        if self._lacking:
            details += (f"beside these, {self._lacking.message}",)
        kind = PartialFailure if self.taken else Unavailable
        return kind(
            f"the host did not take {len(failed):,} of {plural(len(self.plan.updates), 'ref')}",
            code="refs-refused",
            details=details,
            hint="rules for branches and tags at the host may protect them: lift these, and run it again",
        )

    @property
    def _lacking(self) -> SnapshotterError | None:
        """The error for LFS objects that the store should hold, and that did not go along."""
        ending = self.lfs.restored.ending("the push is without", "run it again")
        if ending and self.lfs.refused:
            ending.details += (f"beside these, {self._without_lfs} there:", *self._lfs_details)
        return ending

    @property
    def _lfs_ending(self) -> SnapshotterError | None:
        if not self.lfs.refused:
            return None
        first = next(iter(self.lfs.refused.values()))
        return PartialFailure(
            f"the refs are there, and {self._without_lfs}",
            code="lfs-refused",
            details=self._lfs_details,
            hint=_LFS_HINTS.get(first.reason, "run it again: what is there is not sent again"),
        )

    @property
    def _without_lfs(self) -> str:
        count = len(self.lfs.refused)
        return f"{count:,} of {plural(self.lfs.objects, 'LFS object')} {noun(count, 'is', 'are')} not"

    @property
    def _lfs_details(self) -> tuple[str, ...]:
        return tuple({error.message: None for error in self.lfs.refused.values()})[:_TOLD]


def push(
    catalog: Catalog, run: ListedRun, host: Host, options: PushOptions, *, observer: Observer, cancel: Cancel
) -> Pushed:
    """Push the snapshot `run` into the host's repository, so that its refs are the snapshot's.

    The snapshot is restored into a temporary folder, which proves it, and which is gone at the end. What the
    repository has is not sent again. Raises UsageError for a repository that would lose something without `prune`,
    and for a digest that is not the plan's, before anything is sent; Finding if the refs are not what was pushed.
    """
    parent = options.temp or Path(tempfile.gettempdir())
    with _private_folder(parent, cancel) as folder:
        git_dir = folder / "restored"
        restored = restore(catalog, run, git_dir, mode="bare", observer=observer, cancel=cancel)
        objects = lfs_files(git_dir)
        weight = sum(pointer.bytes for pointer in objects)
        lfs = PushedLfs(len(objects), weight, restored.lfs)
        revisions = Revisions(git_dir, cancel)
        observer.stage(f"asking {host.url} for its refs")
        there = host.ls_refs()
        plan = _planned(catalog, run, host.url, there, revisions)
        if options.dry_run:
            return Pushed(plan, head_there=there.head_target, lfs=lfs)
        _check(plan, options)
        if objects:  # before the refs: hosts refuse those whose objects they lack
            observer.stage(f"uploading LFS objects, at most {len(objects):,}", weight)
            lfs = replace(lfs, refused=host.upload(objects))
        done = replace(_push_all(host, plan, revisions, options, observer), lfs=lfs)
    observer.stage("comparing the refs")
    after = host.ls_refs()
    if wrong := push_plan.differences(plan, after, [*done.refused]):
        raise Finding(
            f"{host.url} does not have the refs that were pushed: {'; '.join(wrong[:10])}",
            code="push-compared",
            hint="somebody else may have pushed meanwhile: run it again",
        )
    return replace(done, head_there=after.head_target)


def _planned(catalog: Catalog, run: ListedRun, url: str, there: RefListing, revisions: Revisions) -> PushPlan:
    """The plan, with about what it weighs."""
    manifest = catalog.manifest(run.key, listed=True).manifest
    if there.refs and there.object_format != manifest.object_format:
        raise UsageError(
            f"{url} is a {there.object_format} repository, and the snapshot is of a {manifest.object_format} one",
            hint="push into a new repository of the same object format",
        )
    held = revisions.holds(there.tips)

    def judge(old: str, new: str | None) -> tuple[bool, bool]:
        return (old in held and new is not None and revisions.leads_to(old, new), old in held)

    plan = push_plan.make(run.key.folder, url, catalog.ledger(manifest), there, judge)
    tips = [each.new for each in plan.updates if each.new]
    return replace(plan, weight=revisions.weight(tips, held) if tips else 0)


def _check(plan: PushPlan, options: PushOptions) -> None:
    if not options.prune:
        plan.check_additive()
    elif plan.losing and options.digest != plan.digest:
        changed = "is another one" if options.digest else "is missing"
        raise UsageError(
            f"the digest of what would be lost {changed}",
            code="digest",
            hint="run with --prune --dry-run, read what would be lost, and give the digest that it prints as --digest",
        )


def _push_all(
    host: Host, plan: PushPlan, revisions: Revisions, options: PushOptions, observer: Observer
) -> Pushed:
    """Push in batches. What is refused in one costs no other, but for a lighter history that it would have brought."""
    refused: dict[bytes, Refusal] = {}
    taken: list[bytes] = []
    held = revisions.holds(each.old for each in plan.updates if each.old)
    pushes = 0
    for batch in batches(plan.updates, revisions, held, options.batch_bytes):
        due = [each for each in batch if each.name not in refused]
        if not due:
            continue
        pushes += 1
        observer.stage(_stage(due, pushes))
        refused |= host.push(revisions.path, [PushedRef(each.name, each.old, each.new) for each in due])
        taken += [each.name for each in due if each.name not in refused]
    final = [each.name for each in plan.updates if each.name in {*taken} and each.name not in refused]
    return Pushed(plan, final, refused, pushes)


def _stage(due: Sequence[RefUpdate], number: int) -> str:
    return (
        f"push {number}: {plural(len(due), 'ref')}, {decode_name(due[0].name)}{' …' if len(due) > 1 else ''}"
    )


def lfs_files(git_dir: Path) -> dict[LfsPointer, Path]:
    """The LFS objects in a restored repository."""
    files = [path for path in (git_dir / "lfs" / "objects").rglob("*") if path.is_file()]
    return {LfsPointer(path.name, path.stat().st_size): path for path in sorted(files)}


@contextmanager
def _private_folder(parent: Path, cancel: Cancel) -> Iterator[Path]:
    """A folder that is gone when the block ends, or is cancelled. What killed pushes left is removed first."""
    sweep(parent, _FOLDER)
    try:
        with locked_folder(parent, _FOLDER, cancel=cancel) as folder:
            yield folder
    except OSError as error:
        cancel.check()  # which takes the folder away
        raise Unavailable(
            f"could not write to {parent}: {error.strerror}",
            code="disk",
            hint="the snapshot is restored there first; SNAPSHOTTER_TEMP names another folder, with room for it",
        ) from error
