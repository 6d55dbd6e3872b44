"""`snapshotter list`, `show` and `diff`: what the store holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from snapshotter.base.errors import SnapshotterError, Unavailable
from snapshotter.base.text import human_bytes
from snapshotter.cli import options as flag
from snapshotter.cli.scan import lines as scan_lines
from snapshotter.cli.session import Flags, Outcome, Session, run
from snapshotter.cli.snapshot import change_parts, changes_line, describe, document

_PARALLEL = 16


def list_(
    repo: Annotated[
        str | None, typer.Argument(metavar="[REPO]", help="An origin or a repo name: list its snapshots.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Only snapshots from this time on, like 2026-11-01 or 2026-11-01T12:00 (UTC).",
        ),
    ] = None,
    store: flag.StoreOption = None,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """List the repositories with their newest snapshot, or one repository's snapshots.

    \b
    Examples:
      snapshotter list
      snapshotter list github.com/psf/requests --since 2026-11-01
    """
    run(Flags(store, json, quiet, verbose, allow_http), lambda session: _list(session, repo, since))


def show(
    snapshot: flag.SnapshotArgument,
    store: flag.StoreOption = None,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Show a snapshot: its kind, chain, artifacts, ref changes, gaps and receipts.

    \b
    Examples:
      snapshotter show github.com/psf/requests
      snapshotter show github.com__psf__requests@2026-11-23 --json
    """
    run(Flags(store, json, quiet, verbose, allow_http), lambda session: _show(session, snapshot))


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="The older SNAPSHOT.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The newer SNAPSHOT.")],
    store: flag.StoreOption = None,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Compare the refs of two snapshots: created, deleted, moved, rewritten.

    Whether a branch was rewritten comes from the manifests between the two; where they cannot
    tell, it is listed as of unknown ancestry. No ref is listed twice; with --json, as in manifests,
    `moved` holds the rewritten and unknown ones too.

    \b
    Example:
      snapshotter diff github.com/psf/requests@2026-11-01 github.com/psf/requests
    """
    run(Flags(store, json, quiet, verbose, allow_http), lambda session: _diff(session, a, b))


def _list(session: Session, repo: str | None, since: str | None) -> Outcome:
    from snapshotter.archive.catalog import Catalog, Run
    from snapshotter.archive.layout import not_a_time, time_span

    catalog = Catalog(session.store(reading=True))
    span = time_span(since) if since is not None else None
    if since is not None and span is None:
        raise not_a_time(since)
    bound = span[0] if span else None
    runs: list[Run]
    if repo is None:
        runs = [run for run in catalog.newest_of_all() if not bound or run.key.run_id.started_at >= bound]
    else:
        runs = catalog.snapshots(catalog.repo_of(repo), since=bound)
        if not runs and not bound:
            raise Unavailable(
                f"no snapshot of {repo} in {catalog.store.place.uri}",
                code="no-snapshot",
                hint="`snapshotter list` shows all",
            )
    with ThreadPoolExecutor(_PARALLEL) as pool:  # one manifest a row, and on S3 each is a round trip
        rows: list[dict[str, Any]] = list(pool.map(lambda run: _row(catalog, run), runs))
    lines = _table(rows) if rows else [f"no snapshots in {catalog.store.place.uri}"]
    return Outcome({"snapshots": rows, "store": catalog.store.place.uri}, lines)


def _row(catalog: Any, run: Any) -> dict[str, Any]:
    row = {
        "repo": run.key.repo,
        "run_id": str(run.key.run_id),
        "taken_at": run.key.run_id.started_at.isoformat(),
    }
    try:
        manifest = catalog.manifest(run.key, listed=True).manifest
    except SnapshotterError as error:
        return row | {"kind": None, "error": error.message}
    stored = sum(artifact.bytes for artifact in manifest.artifacts)
    facts = {"kind": manifest.kind, "refs": manifest.refs.count, "bytes": stored, "origin": manifest.origin}
    return row | facts | {"verified": run.verified, "changes": changes_line(manifest)}


def _table(rows: list[dict[str, Any]]) -> list[str]:
    head = ("SNAPSHOT", "TAKEN (UTC)", "KIND", "REFS", "STORED", "VERIFIED", "CHANGES")
    body = [
        (
            f"{row['repo']}@{row['run_id']}",
            _age(row["taken_at"]),
            row["kind"] or "unreadable",
            f"{row.get('refs', 0):,}",
            human_bytes(row.get("bytes", 0)),
            {True: "yes", False: "FAILED", None: "-"}[row.get("verified")],
            row.get("changes") or row.get("error", ""),
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [head, *body]
    ]


def _age(taken: str) -> str:
    when = datetime.fromisoformat(taken)
    hours = (datetime.now(UTC) - when).total_seconds() / 3600
    age = f"{hours * 60:.0f} min" if hours < 1 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"
    return f"{when:%Y-%m-%d %H:%M} ({age} ago)" if hours >= 0 else f"{when:%Y-%m-%d %H:%M} (in the future)"


def _show(session: Session, name: str) -> Outcome:
    import msgspec

    from snapshotter.archive.catalog import Catalog
    from snapshotter.archive.later_scans import scan_of

    catalog = Catalog(session.store(reading=True))
    found = catalog.resolve(name)
    sealed = catalog.manifest(found.key, listed=True)
    manifest = sealed.manifest
    later = scan_of(catalog, manifest) if manifest.scan is None else None
    elsewhere = [a for a in (manifest.scan.artifacts if manifest.scan else []) if a not in manifest.artifacts]
    lines = [
        *describe(manifest, f"{catalog.store.place.uri.rstrip('/')}/{manifest.key.folder}/"),
        f"  origin {manifest.origin}, HEAD {manifest.head or 'none'}, {manifest.object_format}",
        f"  parent {manifest.parent.run_id if manifest.parent else 'none'}",
        f"  chain {' '.join(manifest.chain) or 'none'}",
        *(f"  label {key}={value}" for key, value in sorted(manifest.labels.items())),
        *(f"  {a.name}  {human_bytes(a.bytes)}  sha256 {a.sha256}" for a in manifest.artifacts),
        f"  manifest.json  sha256 {sealed.sha256}",
        *(f"  {a.name}  {human_bytes(a.bytes)}  in {a.key.rpartition('/' + a.name)[0]}" for a in elsewhere),
        *([f"  scanned later, by run {later.run_id}", *scan_lines(later)] if later else []),
        *(f"  {name}" for name in found.receipts),
    ]
    more = {
        "receipts": [found.key.key(name) for name in found.receipts],
        "later_scan": later and msgspec.to_builtins(later),
    }
    return Outcome(document(sealed) | more, lines)


def _diff(session: Session, a: str, b: str) -> Outcome:
    import msgspec

    from snapshotter.archive.catalog import Catalog
    from snapshotter.capture import changes

    catalog = Catalog(session.store(reading=True))
    old, new = (
        catalog.manifest(catalog.resolve(a).key).manifest,
        catalog.manifest(catalog.resolve(b).key).manifest,
    )
    judge = changes.by_record(catalog.steps(old, new))
    found = changes.compare(catalog.ledger(old), catalog.ledger(new), judge)
    lines = [f"{old.repo}@{old.run_id} -> {new.repo}@{new.run_id}"]
    plain: dict[str, Any] = msgspec.to_builtins(found)
    for sign, (name, listed) in zip("+-~!?", change_parts(found).items(), strict=True):
        lines.append(f"{name}: {listed.count:,}")
        lines += [f"  {sign} {c.ref}  {(c.old or '')[:12]} -> {(c.new or '')[:12]}" for c in listed.refs]
        if more := listed.count - len(listed.refs):
            lines.append(f"  … and {more:,} more")
    where = {"a": f"{old.repo}@{old.run_id}", "b": f"{new.repo}@{new.run_id}"}
    return Outcome(where | plain, lines)
