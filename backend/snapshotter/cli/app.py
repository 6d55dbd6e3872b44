"""The command line: one verb a function, tied together here; no logic."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from snapshotter import __version__
from snapshotter.base.errors import UsageError
from snapshotter.cli import access, doctor, find, get, job, query, restore, scan, snapshot
from snapshotter.cli.session import refuse

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


app.command("snapshot")(snapshot.snapshot)
app.command("list")(find.list_)
app.command("show")(find.show)
app.command("diff")(find.diff)
app.command("get")(get.get)
app.command("restore")(restore.restore)
app.command("verify")(restore.verify)
app.command("scan")(scan.scan)
app.command("query")(query.query)
app.command("prove")(access.prove)
app.command("job")(job.job)
app.command("doctor")(doctor.doctor)


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
        command = context.command_path if context else "snapshotter"
        sys.exit(
            refuse(UsageError(error.format_message(), hint=f"`{command} --help` shows what can be given"))
        )
    sys.exit(code)
