"""`snapshotter snapshot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from snapshotter.archive.manifest import Manifest, RefChangeList, RefChanges, Sealed
from snapshotter.base.errors import UsageError
from snapshotter.base.text import human_bytes, plural, printable
from snapshotter.cli import options as flag
from snapshotter.cli.scan import lines as scan_lines
from snapshotter.cli.session import Flags, Outcome, Session, run

if TYPE_CHECKING:
    from snapshotter.capture.plan import RequestedOptions


def snapshot(
    origin: Annotated[
        str, typer.Argument(metavar="ORIGIN", help="https, ssh or git URL, user@host:path, or a local path.")
    ],
    store: flag.StoreOption = None,
    full: Annotated[bool, typer.Option("--full", help="Take a base even if an increment would do.")] = False,
    refs: Annotated[
        list[str] | None,
        typer.Option(
            "--refs", metavar="PATTERN", help="Take only these refs, like 'refs/heads/*'. Repeatable."
        ),
    ] = None,
    exclude_refs: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude-refs",
            metavar="PATTERN",
            help="Leave these refs out, instead of the hosts' synthetic merges. Repeatable; '' for none.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="K=V", help="A label for the manifest. Repeatable.")
    ] = None,
    segment_size: Annotated[
        str | None, typer.Option("--segment-size", metavar="SIZE", help="Largest stored object, like 16MiB.")
    ] = None,
    max_chain_age: Annotated[
        str | None,
        typer.Option(
            "--max-chain-age", metavar="SPAN", help="Take a base when the chain's is older, like 30d."
        ),
    ] = None,
    idle_timeout: Annotated[
        str | None,
        typer.Option(
            "--idle-timeout", metavar="SPAN", help="Give up on an origin that is silent for so long."
        ),
    ] = None,
    max_refs: Annotated[
        int | None, typer.Option("--max-refs", min=1, help="Refuse an origin with more refs.")
    ] = None,
    scan: Annotated[
        bool | None,
        typer.Option("--scan/--no-scan", help="Scan the tree too; the default, unless SNAPSHOTTER_SCAN=0."),
    ] = None,
    ref: flag.ScanRefOption = None,
    secret_gate: flag.SecretGateOption = False,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Take a snapshot of ORIGIN: all its refs and the history behind them, straight into the store, and a scan
    of its default branch: files, symbols, imports, dependencies, leaked secrets, a report and a digest.

    Nothing is cloned and nothing is kept: the origin's pack becomes plain git bundles. The first
    snapshot is a base, later ones are increments, or `unchanged` when no ref moved.

    \b
    Examples:
      snapshotter snapshot https://github.com/psf/requests
      snapshotter snapshot git@github.com:psf/requests --store s3://bucket/prefix/
      snapshotter snapshot /srv/git/project.git --label team=core
    """
    from snapshotter.capture.plan import RequestedOptions

    asked = RequestedOptions(
        full=full,
        refs=refs,
        exclude_refs=exclude_refs,
        segment_size=segment_size,
        max_chain_age=max_chain_age,
        idle_timeout=idle_timeout,
        max_refs=max_refs,
        scan=scan,
        ref=ref,
        secret_gate=secret_gate,
    )
    flags = Flags(store, json, quiet, verbose, allow_http)
    run(flags, lambda session: work(session, origin, asked, label or []))


def work(session: Session, text: str, asked: RequestedOptions, labels: list[str]) -> Outcome:
    """Take the snapshot that was asked for."""
    from snapshotter.capture import plan
    from snapshotter.capture.snapshot import take
    from snapshotter.git.origin import parse
    from snapshotter.scan.gate import secret_gate

    origin = parse(text)
    made = plan.make(session.settings, asked, parse_labels(labels), allow_http=session.allow_http)
    transport = made.connect(origin, session.cancel)
    store = session.store()
    try:
        sealed = take(
            origin, transport, store, made.options, observer=session.observer, cancel=session.cancel
        )
    finally:
        transport.close()
    tripped = secret_gate(sealed.manifest.scan) if asked.secret_gate else None
    return Outcome(document(sealed), describe(sealed.manifest, store.place.uri), tripped)


def parse_labels(labels: list[str]) -> dict[str, str]:
    """``K=V`` texts as a mapping. Raises UsageError for one without a key, and for a key given twice."""
    found: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or not key:
            raise UsageError(f"not a label: {printable(label)}", hint="write it as --label key=value")
        if key in found:
            raise UsageError(f"the label {printable(key)} is given twice", hint="give each key once")
        found[key] = value
    return found


def document(sealed: Sealed) -> dict[str, Any]:
    """A manifest as `--json` prints it: its own fields, its folder, its digest."""
    plain: dict[str, Any] = msgspec.to_builtins(sealed.manifest)
    return plain | {"folder": sealed.manifest.key.folder, "manifest_sha256": sealed.sha256}


def describe(manifest: Manifest, where: str) -> list[str]:
    """A snapshot in a few lines for people."""
    facts = [plural(manifest.refs.count, "ref")]
    if manifest.history:
        facts += [plural(manifest.history.objects, "object"), human_bytes(manifest.history.bytes)]
        facts += [plural(len(manifest.history.segments), "segment")]
    seconds = (manifest.finished_at - manifest.started_at).total_seconds()
    lines = [
        f"{manifest.repo}@{manifest.run_id}",
        f"  {manifest.kind} ({manifest.reason}): {', '.join(facts)}, {seconds:.2f} s",
    ]
    if manifest.ref_changes and (said := changes_line(manifest)):
        lines.append(f"  refs {said}")
    if manifest.scan:
        lines += scan_lines(manifest.scan)
    lines += [f"  gap: {gap.kind}, {gap.count:,} (like {', '.join(gap.sample[:2])})" for gap in manifest.gaps]
    return [*lines, f"  in {where}"]


def changes_line(manifest: Manifest) -> str:
    """``created 2, moved 1, rewritten 1``, or '' when nothing changed. No ref is counted twice."""
    if manifest.ref_changes is None:
        return ""
    parts = change_parts(manifest.ref_changes).items()
    return ", ".join(f"{name} {listed.count:,}" for name, listed in parts if listed.count)


def change_parts(found: RefChanges) -> dict[str, RefChangeList]:
    """Ref changes under the names that people are shown; every changed ref is in one of them."""
    from snapshotter.capture.changes import forward

    return {
        "created": found.created,
        "deleted": found.deleted,
        "moved": forward(found),
        "rewritten": found.rewritten,
        "of unknown ancestry": found.unknown,
    }
