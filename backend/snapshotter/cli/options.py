"""The flags that several verbs share, so that they are the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URI",
        help="Folder or s3://bucket/prefix/ [env: SNAPSHOTTER_STORE; default: ./snapshots]",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only warnings and errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks.")]
HttpOption = Annotated[
    bool, typer.Option("--allow-http", help="Allow plain http, which can be read and altered on its way.")
]
ScanRefOption = Annotated[
    str | None,
    typer.Option("--ref", metavar="REF", help="Scan this branch or tag instead of the default branch."),
]
SecretGateOption = Annotated[
    bool, typer.Option("--secret-gate", help="Exit 1 if the scan finds leaked secrets; the snapshot stands.")
]
SnapshotArgument = Annotated[
    str,
    typer.Argument(
        metavar="SNAPSHOT",
        help="ORIGIN or REPO (its newest), …@RUN-ID, …@2026-11-23, …@2026-11-23T12:00 (UTC), or a full key.",
    ),
]
