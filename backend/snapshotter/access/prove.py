"""Run the table of probes with given credentials, and compare what S3 answers with what it must answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from snapshotter.access import configuration
from snapshotter.access.bucket_probes import PROBES
from snapshotter.access.probe import Actor, Probe
from snapshotter.access.probe_folder import ProbeFolder
from snapshotter.access.probe_run import look, result
from snapshotter.access.proof import Proof, Result, Status, Target
from snapshotter.access.wire import Connection, connect
from snapshotter.aws.endpoint import check_bucket
from snapshotter.base.errors import SnapshotterError, UsageError


def select(only: Sequence[str], skip: Sequence[str] = ()) -> tuple[tuple[Probe, ...], frozenset[str]]:
    """The rows whose id or group matches a pattern (`put-*`, `delete`), and the ids of the owner's settings
    (group `configuration`) that do. Raises UsageError for a pattern that matches none."""
    names = {name for probe in PROBES for name in (probe.id, probe.group)} | configuration.NAMES
    for pattern in (*only, *skip):
        if not any(fnmatchcase(name, pattern) for name in names):
            groups = sorted({probe.group for probe in PROBES} | {configuration.GROUP})
            raise UsageError(
                f"no row is called {pattern}",
                hint=f"groups: {', '.join(groups)}; rows: see `snapshotter prove --json`",
            )

    def chosen(*names: str) -> bool:
        wanted = not only or any(fnmatchcase(name, pattern) for name in names for pattern in only)
        return wanted and not any(fnmatchcase(name, pattern) for name in names for pattern in skip)

    return (
        tuple(probe for probe in PROBES if chosen(probe.id, probe.group)),
        frozenset(each.id for each in configuration.SETTINGS if chosen(each.id, configuration.GROUP)),
    )


def prove(
    connection: Connection,
    target: Target,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    scoped: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Proof:
    """Send the probes and judge the answers; `check` is called before each and may raise to stop, and what
    was left behind until then is in the error's details.

    `scoped` credentials are meant to be those of the task role or of an operator. What only an owner may do is then a
    broken rule; without it, whoever may do all of that is taken for an owner.

    Raises UsageError for what is no prefix and for a pattern that no row matches, Unavailable if nothing can be asked
    at all: no credentials, no network, no such bucket.
    """
    _check(target)
    probes, settings = select(only, skip)
    start = time.monotonic()
    folder = ProbeFolder(connect(connection), target)
    caller = look(folder, scoped=scoped)
    try:
        results = [result(folder, caller, probe) for probe in _each(probes, check)]
        if caller.owner or only:
            states = configuration.read(folder.wire.send, target.bucket, target.prefix, settings)
            results += [_setting(state) for state in states]
    except SnapshotterError as stopped:
        stopped.details += _told(folder)
        raise
    finally:
        folder.clean_up()
    return Proof(
        target.bucket,
        target.prefix,
        folder.path,
        caller.identity,
        caller.server.name,
        caller.owner,
        tuple(results),
        tuple(folder.leftovers),
        time.monotonic() - start,
    )


def _told(folder: ProbeFolder) -> tuple[str, ...]:
    """What was left behind, for the details of an error: nobody gets the proof that would list it."""
    return tuple(f"left behind: {each.key}; remove it: {each.remove}" for each in folder.leftovers)


def _check(target: Target) -> None:
    check_bucket(target.bucket)
    if not re.fullmatch(r"(?:[^/]+/)+", target.prefix) or ".." in target.prefix.split("/"):
        raise UsageError(f"not a prefix: {target.prefix}", hint="give one like repo-scans/snapshotter/")


def _each(probes: Sequence[Probe], check: Callable[[], None]) -> Iterator[Probe]:
    for probe in probes:
        check()
        yield probe


def _setting(state: configuration.SettingState) -> Result:
    status = {True: Status.PASSED, False: Status.FAILED, None: Status.UNCHECKED}[state.holds]
    setting = state.setting
    return Result(
        setting.id,
        configuration.GROUP,
        str(Actor.OWNER),
        setting.source.operation,
        None,
        "–",
        setting.expected,
        state.got,
        status,
        setting.rule,
        "",
        setting.fix,
    )
