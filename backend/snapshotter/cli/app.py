"""The command line: the verbs tied together; no logic."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from snapshotter import __version__
from snapshotter.base.errors import UsageError
from snapshotter.cli.command import command
from snapshotter.cli.diff import DiffFlags, diff
from snapshotter.cli.doctor import DoctorFlags, doctor
from snapshotter.cli.get import GetFlags, get
from snapshotter.cli.job import job
from snapshotter.cli.list import ListFlags, list_snapshots
from snapshotter.cli.output import refuse
from snapshotter.cli.prove import ProveFlags, prove
from snapshotter.cli.query import QueryFlags, query
from snapshotter.cli.restore import RestoreFlags, restore
from snapshotter.cli.scan import ScanFlags, scan
from snapshotter.cli.show import ShowFlags, show
from snapshotter.cli.snapshot import SnapshotFlags, snapshot
from snapshotter.cli.verify import VerifyFlags, verify

app = typer.Typer(
    name="snapshotter",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Point-in-time snapshots of git repositories: streamed straight into plain git bundles in a folder or S3, "
    "found, restored, and proven whole.",
    epilog="Exit codes: 0 done, 1 a finding, 2 usage, 3 partial, 4 could not, 5 access denied, 130/143 interrupted.",
)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """See the app's help."""
    if version:
        typer.echo(f"snapshotter {__version__}")
        raise typer.Exit


app.command("snapshot")(command(snapshot, SnapshotFlags))
app.command("list")(command(list_snapshots, ListFlags))
app.command("show")(command(show, ShowFlags))
app.command("diff")(command(diff, DiffFlags))
app.command("get")(command(get, GetFlags))
app.command("restore")(command(restore, RestoreFlags))
app.command("verify")(command(verify, VerifyFlags))
app.command("scan")(command(scan, ScanFlags))
app.command("query")(command(query, QueryFlags))
app.command("prove")(command(prove, ProveFlags))
app.command("job")(job)
app.command("doctor")(command(doctor, DoctorFlags))


def run() -> None:
    """Parse the arguments and run the verb; never returns.

    Arguments that cannot be meant end with exit code 2, and where JSON was asked for, with one document.
    """
    arguments = sys.argv[1:]
    if "--json" not in arguments and arguments[:1] != ["job"]:
        app(prog_name="snapshotter")
    try:
        code = app(prog_name="snapshotter", standalone_mode=False)
    except TyperException as error:
        context: typer.Context | None = getattr(error, "ctx", None)
        name = context.command_path if context else "snapshotter"
        sys.exit(refuse(UsageError(error.format_message(), hint=f"`{name} --help` shows what can be given")))
    sys.exit(code)
