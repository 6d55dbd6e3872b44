"""The flags that several verbs share, so that they are the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URI",
        help="A folder, or s3://bucket/prefix/; by default SNAPSHOTTER_STORE, or ./snapshots.",
    ),
]
HttpOption = Annotated[
    bool, typer.Option("--allow-http", help="Allow plain http, which others can read and alter on the way.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress, only warnings and errors.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")]

SNAPSHOT_NAMES = (
    "An origin or repo name, for its newest snapshot; with @RUN-ID, one snapshot; with @2026-11-23 or "
    "@2026-11-23T12:00 (UTC), the newest at that time; or a full key."
)
"""How a snapshot is named, in the help of every verb that takes one."""

SnapshotArgument = Annotated[str, typer.Argument(metavar="SNAPSHOT", help=SNAPSHOT_NAMES)]
ScanRefOption = Annotated[
    str | None,
    typer.Option("--ref", metavar="REF", help="Scan this branch or tag instead of the default branch."),
]
SecretGateOption = Annotated[
    bool, typer.Option("--secret-gate", help="Exit 1 if the scan finds leaked secrets; the snapshot is kept.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Write to this file, which must not exist, instead of stdout."
    ),
]


@dataclass(frozen=True)
class Flags:
    """The flags that every verb has."""

    store: StoreOption = None
    allow_http: HttpOption = False
    json: JsonOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False
