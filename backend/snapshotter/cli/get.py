"""`snapshotter get`: one artifact of a snapshot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from snapshotter.base.errors import Unavailable, UsageError
from snapshotter.base.text import human_bytes
from snapshotter.cli import options as flag
from snapshotter.cli.session import Flags, Outcome, Session, run


def get(
    snapshot: flag.SnapshotArgument,
    artifact: Annotated[
        str,
        typer.Argument(
            metavar="ARTIFACT",
            help="An artifact's name, like refs.txt, report.html, digest.md, or manifest.json.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write to this file, which must not exist, instead of stdout."),
    ] = None,
    store: flag.StoreOption = None,
    allow_http: flag.HttpOption = False,
    json: flag.JsonOption = False,
    quiet: flag.QuietOption = False,
    verbose: flag.VerboseOption = False,
) -> None:
    """Get one artifact of a snapshot, checked against its manifest.

    \b
    Examples:
      snapshotter get github.com/psf/requests refs.txt
      snapshotter get github.com/psf/requests report.html -o report.html
      snapshotter get github.com/psf/requests history.bundle -o requests.bundle
    """
    run(
        Flags(store, json, quiet, verbose, allow_http),
        lambda session: _get(session, snapshot, artifact, output),
    )


def _get(session: Session, name: str, artifact: str, output: Path | None) -> Outcome:
    from snapshotter.archive import layout
    from snapshotter.archive.catalog import Catalog
    from snapshotter.archive.later_scans import scan_of
    from snapshotter.archive.segments import checked_get

    catalog = Catalog(session.store(reading=True))
    found = catalog.resolve(name)
    sealed = catalog.manifest(found.key, listed=True)
    record = sealed.manifest.artifact(artifact)
    if artifact == layout.MANIFEST:
        data = sealed.data
    elif artifact == layout.REFS and record is None:  # an unchanged snapshot's refs are its parent's
        data = catalog.ledger(sealed.manifest).encoded
    elif record is not None:
        data = checked_get(catalog.store, record)
    else:  # a scan's artifacts may be an earlier run's, or a later one's
        scan = scan_of(catalog, sealed.manifest)
        record = scan.artifact(artifact) if scan else None
        if record is None:
            own = [*sealed.manifest.artifacts, *(scan.artifacts if scan else [])]
            names = ", ".join(dict.fromkeys([*(a.name for a in own), layout.REFS, layout.MANIFEST]))
            more = "" if scan else f"; `snapshotter scan {name}` makes its scan, report.html and digest.md"
            raise UsageError(f"{found.key.folder} has no artifact {artifact}", hint=f"it has {names}{more}")
        data = catalog.artifact(record)
    return _deliver(data, artifact, output, session)


def _deliver(data: bytes, artifact: str, output: Path | None, session: Session) -> Outcome:
    facts = {"artifact": artifact, "bytes": len(data), "output": str(output) if output else None}
    if output is None:
        if session.flags.json:
            raise UsageError("--json and an artifact on stdout would mix", hint="add -o FILE")
        sys.stdout.buffer.write(data)
        return Outcome(facts)
    try:
        file = output.open("xb")
    except FileExistsError:
        raise UsageError(f"the file exists: {output}", hint="name another; nothing is overwritten") from None
    except OSError as error:
        raise Unavailable(
            f"cannot write {output}: {error.strerror}", code="disk", hint="check the path"
        ) from error
    try:
        with file:
            file.write(data)
    except OSError as error:
        output.unlink(missing_ok=True)  # half of an artifact would pass for one
        raise Unavailable(
            f"cannot write {output}: {error.strerror}", code="disk", hint="free space and run again"
        ) from error
    return Outcome(facts, [f"{output}  {human_bytes(len(data))}"])
