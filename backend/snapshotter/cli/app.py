"""The command line: the verbs tied together; no logic.

Only the verb that is called is loaded. To load all of them would take a fifth of a small run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Final

import typer
from typer.exceptions import TyperException

from snapshotter import __version__
from snapshotter.base.errors import UsageError
from snapshotter.cli.command import Verb, command
from snapshotter.cli.output import refuse


def _snapshot() -> Verb:
    from snapshotter.cli.snapshot import SnapshotFlags, snapshot

    return command(snapshot, SnapshotFlags)


def _list() -> Verb:
    from snapshotter.cli.list import ListFlags, list_snapshots

    return command(list_snapshots, ListFlags)


def _show() -> Verb:
    from snapshotter.cli.show import ShowFlags, show

    return command(show, ShowFlags)


def _diff() -> Verb:
    from snapshotter.cli.diff import DiffFlags, diff

    return command(diff, DiffFlags)


def _get() -> Verb:
    from snapshotter.cli.get import GetFlags, get

    return command(get, GetFlags)


def _restore() -> Verb:
    from snapshotter.cli.restore import RestoreFlags, restore

    return command(restore, RestoreFlags)


def _push() -> Verb:
    from snapshotter.cli.push import PushFlags, push

    return command(push, PushFlags)


def _verify() -> Verb:
    from snapshotter.cli.verify import VerifyFlags, verify

    return command(verify, VerifyFlags)


def _scan() -> Verb:
    from snapshotter.cli.scan import ScanFlags, scan

    return command(scan, ScanFlags)


def _query() -> Verb:
    from snapshotter.cli.query import QueryFlags, query

    return command(query, QueryFlags)


def _prove() -> Verb:
    from snapshotter.cli.prove import ProveFlags, prove

    return command(prove, ProveFlags)


def _job() -> Verb:
    from snapshotter.cli.job import job

    return job


def _doctor() -> Verb:
    from snapshotter.cli.doctor import DoctorFlags, doctor

    return command(doctor, DoctorFlags)


def _fleet_plan() -> Verb:
    from snapshotter.cli.fleet_plan import FleetPlanFlags, fleet_plan

    return command(fleet_plan, FleetPlanFlags)


def _fleet_status() -> Verb:
    from snapshotter.cli.fleet_status import FleetStatusFlags, fleet_status

    return command(fleet_status, FleetStatusFlags)


def _fleet_worker() -> Verb:
    from snapshotter.cli.fleet_worker import FleetWorkerFlags, fleet_worker

    return command(fleet_worker, FleetWorkerFlags)


def _fleet_run() -> Verb:
    from snapshotter.cli.fleet_run import FleetRunFlags, fleet_run

    return command(fleet_run, FleetRunFlags)


def _fleet_verify() -> Verb:
    from snapshotter.cli.fleet_verify import FleetVerifyFlags, fleet_verify

    return command(fleet_verify, FleetVerifyFlags)


# In the order of `--help`. Functions, since loading a verb's module is what costs.
_VERBS: Final[dict[str, Callable[[], Verb]]] = {
    "snapshot": _snapshot,
    "list": _list,
    "show": _show,
    "diff": _diff,
    "get": _get,
    "restore": _restore,
    "push": _push,
    "verify": _verify,
    "scan": _scan,
    "query": _query,
    "prove": _prove,
    "job": _job,
    "doctor": _doctor,
}
# Verbs of several words, by their first. Each group's help is for `--help`.
_GROUPS: Final[dict[str, dict[str, Callable[[], Verb]]]] = {
    "fleet": {
        "plan": _fleet_plan,
        "run": _fleet_run,
        "status": _fleet_status,
        "verify": _fleet_verify,
        "worker": _fleet_worker,
    }
}
_GROUP_HELP: Final = {
    "fleet": "Many repositories, by an inventory: what an organisation has, in one command."
}


def _main(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """See the app's help."""
    if version:
        typer.echo(f"snapshotter {__version__}")
        raise typer.Exit


def app(verbs: Iterable[str] = (*_VERBS, *_GROUPS), of_group: str | None = None) -> typer.Typer:
    """The command line with these verbs and groups of verbs; of the groups, only the verb `of_group` if it is given."""
    line = typer.Typer(
        name="snapshotter",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Point-in-time snapshots of git repositories: taken without a clone, kept as plain git bundles in a "
        "folder or S3, searched by SQL, restored, and proven whole.",
        epilog="Exit codes: 0 done, 1 a finding, 2 usage, 3 some of many failed, 4 could not (network, origin, git, "
        "disk), 5 access denied, 129/130/131/143/152 stopped by a signal.",
    )
    line.callback(invoke_without_command=True)(_main)
    for name in verbs:
        if name in _VERBS:
            line.command(name)(_VERBS[name]())
        else:
            line.add_typer(_group(name, of_group), name=name)
    return line


def _group(name: str, only: str | None) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, help=_GROUP_HELP[name])
    group.callback()(lambda: None)  # a group of one verb is a group
    for verb, load in _GROUPS[name].items():
        if only is None or verb == only:
            group.command(verb)(load())
    return group


def _line_for(arguments: list[str]) -> typer.Typer:
    """The command line with what the arguments need of it."""
    first, second = (*arguments, "", "")[:2]
    if first in _GROUPS:
        return app([first], second if second in _GROUPS[first] else None)
    return app([first]) if first in _VERBS else app()


def run() -> None:
    """Parse the arguments and run the verb. Never returns.

    Arguments that make no sense end with exit code 2; if JSON was asked for, as one document.
    """
    arguments = sys.argv[1:]
    line = _line_for(arguments)
    # Whoever reads JSON finds a document on stdout in every case; typer prints its refusals for people only. That
    # of `job` is always JSON.
    if "--json" not in arguments and arguments[:1] != ["job"]:
        _for_people(line)
    try:
        code = line(prog_name="snapshotter", standalone_mode=False)
    except TyperException as error:
        context: typer.Context | None = getattr(error, "ctx", None)  # only some of its subclasses have one
        name = context.command_path if context else "snapshotter"
        sys.exit(refuse(UsageError(error.format_message(), hint=f"`{name} --help` shows what can be given")))
    sys.exit(code)


def _for_people(line: typer.Typer) -> None:
    """Parse the arguments and run the verb, with typer's own refusals. Never returns."""
    try:
        line(prog_name="snapshotter")
    except SystemExit as done:
        # To typer, and to rich below it, the reader of a help who has seen enough is a failure.
        if isinstance(done.__context__, BrokenPipeError):
            sys.exit(0)
        raise
