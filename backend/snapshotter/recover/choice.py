"""Which snapshots a name means to a verification."""

from __future__ import annotations

from snapshotter.archive.catalog import Catalog, Run
from snapshotter.base.errors import Unavailable, UsageError


def chosen(catalog: Catalog, name: str | None, *, newest: bool = False) -> dict[str, list[Run]]:
    """The snapshots to verify, by repo: one that `name` names, all of a repo that it names, or, without a name,
    all of every repo. With `newest`, of each repo only the newest.

    Raises Unavailable (code `no-snapshot`) if there are none.
    """
    if name is None:
        repos = catalog.repos()
    else:
        run = catalog.resolve(name)
        if newest or not _names_repo(catalog, name, run):
            return {run.key.repo: [run]}
        repos = [run.key.repo]
    runs = {repo: _newest(catalog, repo) if newest else catalog.snapshots(repo) for repo in repos}
    if not any(runs.values()):
        raise Unavailable(
            f"no snapshots in {catalog.store.place.uri}",
            code="no-snapshot",
            hint="take one: `snapshotter snapshot ORIGIN`",
        )
    return {repo: of_repo for repo, of_repo in runs.items() if of_repo}


def _newest(catalog: Catalog, repo: str) -> list[Run]:
    run = catalog.latest(repo)
    return [run] if run else []


def _names_repo(catalog: Catalog, name: str, run: Run) -> bool:
    """Whether a name is a whole repository's, not one snapshot's."""
    try:
        return catalog.repo_of(name) == run.key.repo
    except UsageError:
        return False
