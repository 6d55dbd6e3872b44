"""An origin together with its wiki, which is a repository of its own beside it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from msgspec import Struct

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.sealed import Sealed
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import AccessDenied, Interrupted, PartialFailure, SnapshotterError, Unavailable
from snapshotter.base.observer import Observer
from snapshotter.capture.plan import Plan
from snapshotter.capture.snapshot import take
from snapshotter.git.origin import Origin
from snapshotter.git.repo_name import strip_git
from snapshotter.store.objects import Store
from snapshotter.transport import OriginNotFound, Transport

_ENDING: Final = ".wiki.git"


class TakenEach(Struct, frozen=True):
    """A snapshot, and that of the wiki; None if there is no wiki, if none was asked for, or if `error` says why it was
    not taken."""

    sealed: Sealed
    wiki: Sealed | None = None
    error: SnapshotterError | None = None

    @property
    def ending(self) -> SnapshotterError | None:
        """The error to end with if the wiki was not taken, though there may be one."""
        if self.error is None:
            return None
        return PartialFailure(
            "the snapshot was taken, and that of the wiki was not",
            code="wiki",
            details=(self.error.message,),
            hint=self.error.hint,
        )


def origin_of_wiki(origin: Origin) -> Origin:
    """Where GitHub, GitLab, Gitea and Forgejo keep the wiki of a repository: beside it, named ``….wiki.git``."""
    return replace(origin, path=f"{strip_git(origin.path.rstrip('/'))}{_ENDING}")


def repo_of_wiki(wiki: Origin) -> str | None:
    """The repo of the origin whose wiki this is, where `origin_of_wiki` put it. Returns None for another place."""
    path = wiki.path.removesuffix(_ENDING)
    if path == wiki.path:
        return None
    # Of a folder the name tells less: with and without .git they are two repositories.
    bare = wiki.is_local and Path(f"{path}.git").exists()
    return replace(wiki, path=f"{path}.git" if bare else path).repo


def newest_wiki(catalog: Catalog, origin: Origin) -> str | None:
    """The newest snapshot of an origin's wiki, as ``repo@run``. Returns None if there is none, and if the store does
    not tell: nothing depends on it."""
    try:
        run = catalog.latest(origin_of_wiki(origin).repo)
    except (Unavailable, AccessDenied):
        return None
    return f"{run.key.repo}@{run.key.run_id}" if run else None


def take_each(
    origin: Origin, transport: Transport, store: Store, plan: Plan, *, observer: Observer, cancel: Cancel
) -> TakenEach:
    """Take the snapshot of an origin through `transport`; before it, if the plan has wikis, that of its wiki.

    Each names the other. The wiki never costs the origin its snapshot. It has no patterns of refs and no ref to scan
    of its own. Raises as `take` does.
    """
    wiki, error = _wiki(origin, store, plan, observer, cancel) if plan.wiki else (None, None)
    named = f"{wiki.manifest.repo}@{wiki.manifest.run_id}" if wiki else None
    options = replace(plan.options, wiki=lambda: named)
    lfs = plan.connect.lfs(origin, cancel) if options.lfs else None
    sealed = take(origin, transport, store, options, lfs=lfs, observer=observer, cancel=cancel)
    return TakenEach(sealed, wiki, error)


def _wiki(
    origin: Origin, store: Store, plan: Plan, observer: Observer, cancel: Cancel
) -> tuple[Sealed | None, SnapshotterError | None]:
    """The snapshot of the wiki, if it has one, or why it was not taken."""
    beside = origin_of_wiki(origin)
    scan = replace(plan.options.scan, ref=None) if plan.options.scan else None
    options = replace(plan.options, refs=(), exclude_refs=(), scan=scan, wiki_of=origin.repo)
    lfs = plan.connect.lfs(beside, cancel) if options.lfs else None
    try:
        with closing(plan.connect(beside, cancel)) as transport:
            return take(beside, transport, store, options, lfs=lfs, observer=observer, cancel=cancel), None
    except OriginNotFound:
        return None, None
    except AccessDenied as denied:
        # Hosts answer so for what is not there, too; whoever may read the origin may read its wiki.
        observer.warn(f"no wiki is taken: {denied.message}")
        return None, None
    except Interrupted:
        raise
    except SnapshotterError as other:
        return None, other
