"""`snapshotter restore` and `verify`: from the store back to git, and proof that it would work."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snapshotter.base.errors import Finding, Unavailable, UsageError
from snapshotter.base.text import human_bytes, plural
from snapshotter.cli import options as flag
from snapshotter.cli.session import Flags, Outcome, Session
from snapshotter.cli.session import run as run_verb

if TYPE_CHECKING:
    from snapshotter.archive.catalog import Catalog, Run
    from snapshotter.recover.replays import Verdict


def restore(
    snapshot: flag.SnapshotArgument,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="A folder that does not exist, or is empty.")],
    bare: Annotated[bool, typer.Option("--bare", help="A bare repository.")] = False,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="A bare repository set to follow the origin.")
    ] = False,
    store: flag.StoreOption = None,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Restore a snapshot to DEST: exactly its refs, aliases and HEAD, proven whole.

    Without --bare or --mirror, HEAD is checked out too; no hook and no filter of anybody's runs.
    A failed restore leaves nothing at DEST; one that was killed leaves a hidden .DEST.partial-… beside it, which
    the next restore to DEST removes.

    \b
    Examples:
      snapshotter restore github.com/psf/requests ./requests
      snapshotter restore github.com/psf/requests@2026-11-23 requests.git --mirror
    """
    if bare and mirror:
        raise typer.BadParameter("--bare and --mirror exclude each other")
    mode = "mirror" if mirror else "bare" if bare else "worktree"
    run_verb(
        Flags(store, json, quiet, verbose, allow_http),
        lambda session: _restore(session, snapshot, dest, mode),
    )


def verify(
    snapshot: Annotated[
        str | None,
        typer.Argument(
            metavar="[SNAPSHOT|REPO]",
            help="A snapshot (…@RUN-ID or …@TIME), or a repository: all its snapshots.",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every snapshot of every repository.")] = False,
    newest: Annotated[
        bool, typer.Option("--newest", help="Of each repository only the newest snapshot.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Digests and manifests only, without git.")] = False,
    fsck: Annotated[
        bool, typer.Option("--fsck", help="Record what `git fsck --strict` finds, too; never a failure.")
    ] = False,
    store: flag.StoreOption = None,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Prove that snapshots are whole, and leave a receipt beside each.

    Checks every artifact's size and SHA-256 and the manifests' hash chain, then replays the chain
    with real git into a temporary repository and compares it with the refs ledger. After a failed
    verification the next snapshot is a base.

    \b
    Examples:
      snapshotter verify github.com/psf/requests
      snapshotter verify --all --newest
      snapshotter verify github.com/psf/requests@2026-11-23 --quick

    Exit 0: all proven. 1: something is damaged. 4: could not check.
    """
    if (snapshot is None) is not every:
        raise typer.BadParameter("name a SNAPSHOT or REPO, or give --all")
    run_verb(
        Flags(store, json, quiet, verbose, allow_http),
        lambda session: _verify(session, snapshot, newest=newest, quick=quick, fsck=fsck),
    )


def _restore(session: Session, name: str, dest: Path, mode: str) -> Outcome:
    from snapshotter.archive.catalog import Catalog
    from snapshotter.recover import restore as restoring

    catalog = Catalog(session.store(reading=True))
    found = catalog.resolve(name)
    done = restoring.restore(
        catalog, found, dest, mode=mode, observer=session.observer, cancel=session.cancel
    )
    lines = [
        f"{found.key.repo}@{found.key.run_id} restored to {done.destination}",
        f"  {plural(done.refs, 'ref')}, HEAD {done.head or 'none'}, {plural(len(done.chain), 'bundle')}, "
        f"{human_bytes(done.bytes)}; "
        "every object is there",
    ]
    return Outcome(asdict(done), lines)


def _verify(session: Session, name: str | None, *, newest: bool, quick: bool, fsck: bool) -> Outcome:
    from snapshotter.archive.catalog import Catalog
    from snapshotter.recover import verify as verifying

    catalog = Catalog(session.store(reading=True))
    temp = session.settings["SNAPSHOTTER_TEMP"]
    options = verifying.Options(quick=quick, fsck=fsck, temp=Path(temp) if temp else None)
    verdicts: list[Verdict] = []
    for repo, runs in _chosen(catalog, name, newest=newest).items():
        verdicts += verifying.verify(
            catalog, repo, runs, options, observer=session.observer, cancel=session.cancel
        )
    return _outcome(catalog, verdicts, quick=quick)


def _chosen(catalog: Catalog, name: str | None, *, newest: bool) -> dict[str, list[Run]]:
    """The snapshots to verify, by repo. Raises Unavailable if there are none."""
    if name is None:
        repos = catalog.repos()
    else:
        found = catalog.resolve(name)
        if not _names_repo(catalog, name, found) or newest:
            return {found.key.repo: [found]}
        repos = [found.key.repo]
    picked = {
        repo: [run] if (run := catalog.latest(repo)) and newest else catalog.snapshots(repo) for repo in repos
    }
    picked = {repo: runs for repo, runs in picked.items() if runs}
    if not picked:
        raise Unavailable(
            f"no snapshots in {catalog.store.place.uri}",
            code="no-snapshot",
            hint="take one: `snapshotter snapshot ORIGIN`",
        )
    return picked


def _names_repo(catalog: Catalog, name: str, found: Run) -> bool:
    """Whether a name is a whole repository's, not one snapshot's."""
    try:
        return catalog.repo_of(name) == found.key.repo
    except UsageError:
        return False


def _outcome(catalog: Catalog, verdicts: list[Verdict], *, quick: bool) -> Outcome:
    from snapshotter.recover.verify import affected

    lines, rows = [], []
    damaged: dict[str, list[Any]] = {}
    for verdict in verdicts:
        state = "ok" if verdict.ok else "DAMAGED" if verdict.problems else "UNCHECKED"
        lines.append(
            f"{state}  {verdict.run.repo}@{verdict.run.run_id}  {plural(verdict.refs, 'ref')}, {verdict.seconds:.2f} s"
        )
        lines += [f"    {problem}" for problem in [*verdict.problems, verdict.unchecked] if problem]
        rows.append(
            {
                "repo": verdict.run.repo,
                "run_id": str(verdict.run.run_id),
                "ok": verdict.ok,
                "refs": verdict.refs,
                "problems": verdict.problems,
                "unchecked": verdict.unchecked or None,
                "fsck": verdict.fsck,
                "receipt": verdict.receipt,
                "seconds": round(verdict.seconds, 3),
            }
        )
        if verdict.problems:
            damaged.setdefault(verdict.run.repo, []).extend(verdict.damaged_runs)
    hit = [
        f"{key.repo}@{key.run_id}" for repo, keys in damaged.items() for key in affected(catalog, repo, keys)
    ]
    lines += ["", "affected snapshots:", *(f"  {name}" for name in hit)] if hit else []
    bad = [verdict for verdict in verdicts if verdict.problems]
    unchecked = [verdict for verdict in verdicts if verdict.unchecked]
    error = next((verdict.unrecorded for verdict in verdicts if verdict.unrecorded), None)
    if error:
        lines += ["", f"without a receipt, so the next snapshot will not know: {error.message}"]
    if unchecked:
        error = Unavailable(
            f"{len(unchecked)} of {plural(len(verdicts), 'snapshot')} could not be checked: a newer release wrote them",
            code="manifest-newer",
            hint="verify them with that release; the others were checked",
        )
    if bad:
        error = Finding(
            f"damaged: {len(bad)} of {plural(len(verdicts), 'snapshot')} checked",
            code="damaged",
            hint="take a new snapshot: it will be a base where the newest chain is damaged; restore one that is "
            "not listed as affected",
        )
    mode = "quick" if quick else "full"
    return Outcome({"mode": mode, "snapshots": rows, "affected": hit}, lines, error)
