"""`snapshotter get`: one artifact of a snapshot."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from snapshotter.base.errors import UsageError
from snapshotter.base.text import human_bytes
from snapshotter.cli import flags
from snapshotter.cli.new_file import write_new
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session


@dataclass(frozen=True)
class GetFlags:
    """What `get` is given."""

    snapshot: flags.SnapshotArgument
    artifact: Annotated[
        str,
        typer.Argument(
            metavar="ARTIFACT",
            help="An artifact's name, like refs.txt, report.html, digest.md, or manifest.json.",
        ),
    ]
    output: flags.OutputOption = None


def get(session: Session, given: GetFlags) -> Output:
    """Get one artifact of a snapshot, checked against its manifest.

    Without -o, its bytes go to stdout. A long history is in several artifacts:
    history.bundle.0000, history.bundle.0001, and so on.

    \b
    Examples:
      snapshotter get github.com/psf/requests refs.txt
      snapshotter get github.com/psf/requests report.html -o report.html
      snapshotter get github.com/psf/requests history.bundle -o requests.bundle
    """
    from snapshotter.archive.catalog import Catalog
    from snapshotter.archive.named_artifact import read_artifact

    if given.output is None and session.flags.json:
        raise UsageError("stdout cannot take both the artifact and --json", hint="add -o FILE")
    data = read_artifact(Catalog(session.store(reading=True)), given.snapshot, given.artifact)
    if given.output is None:
        # Bytes as they are, also on a terminal: an artifact that was altered on its way out would not be the artifact.
        sys.stdout.buffer.write(data)
        return Output(None)
    write_new(given.output, data)
    document = {"artifact": given.artifact, "bytes": len(data), "output": str(given.output)}
    return Output(document, [f"{given.output}  {human_bytes(len(data))}"])
