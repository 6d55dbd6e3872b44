"""From what was asked for, and the settings below it, to how a snapshot is taken.

The one place where the `snapshot` verb and the `job` document turn options into limits, so that
the same words mean the same thing in both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from snapshotter.archive.expiry import Expiry
from snapshotter.archive.manifest import ScanSettings
from snapshotter.base import runbook
from snapshotter.base.errors import UsageError
from snapshotter.base.settings import Settings, parse_size, parse_span
from snapshotter.base.text import human_span, printable
from snapshotter.capture.options import CaptureOptions, LfsOptions, ScanOptions
from snapshotter.capture.reaching import connector, wire_limits
from snapshotter.transport.connect import Connector


class RequestedOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was asked for, under the names of the `snapshot` verb's flags; None leaves it to the settings.

    Sizes are written like ``16MiB``, spans like ``30d``.
    """

    full: bool = False
    refs: list[str] | None = None
    exclude_refs: list[str] | None = None
    segment_size: str | None = None
    max_chain_age: str | None = None
    idle_timeout: str | None = None
    max_refs: Annotated[int, msgspec.Meta(ge=1)] | None = None
    allow_http: bool = False
    scan: bool | None = None
    ref: str | None = None
    secret_gate: bool = False
    lfs: Literal["all", "tips", "none"] | None = None
    wiki: bool = False


@dataclass(frozen=True)
class Plan:
    """How snapshots are taken, and how their origins are reached; with `wiki`, an origin's wiki, too. One serves any
    number of origins."""

    options: CaptureOptions
    connect: Connector
    wiki: bool = False


def make(
    settings: Settings, requested: RequestedOptions, labels: Mapping[str, str], *, allow_http: bool = False
) -> Plan:
    """The plan in force. Raises UsageError for a size, span or number that cannot be read, an empty
    pattern, a label with control characters, and an age of chains that was asked for and lets a base expire too early.

    Plain http is allowed if `allow_http`, or what was asked for, says so.
    """
    limits = wire_limits(settings, idle_timeout=requested.idle_timeout, max_refs=requested.max_refs)
    scans = settings.flag("SNAPSHOTTER_SCAN") if requested.scan is None else requested.scan
    if not scans and (requested.ref or requested.secret_gate):
        raise UsageError("a ref to scan, or a secret gate, without a scan", hint="leave out --no-scan")
    age = requested.max_chain_age or settings["SNAPSHOTTER_MAX_CHAIN_AGE"]
    if requested.max_chain_age:
        _check_age(parse_span(requested.max_chain_age), Expiry.stated(settings))
    exclude = (
        settings.words("SNAPSHOTTER_EXCLUDE_REFS")
        if requested.exclude_refs is None
        else requested.exclude_refs
    )
    options = CaptureOptions(
        full=requested.full,
        refs=_patterns(requested.refs) or settings.words("SNAPSHOTTER_REFS"),
        exclude_refs=tuple(
            pattern for pattern in exclude if pattern
        ),  # an empty one alone means: leave none out
        labels=checked_labels(labels),
        segment_bytes=parse_size(requested.segment_size or settings["SNAPSHOTTER_SEGMENT_SIZE"]),
        in_flight=settings.number("SNAPSHOTTER_UPLOADS"),
        max_chain_age=parse_span(age) if age else None,
        max_refs=limits.max_refs,
        idle_seconds=limits.idle_seconds,
        # What expires a base expires its scan too, so both have the same greatest age.
        scan=scan_options(settings, requested.ref, age) if scans else None,
        lfs=_lfs_options(settings, requested.lfs),
    )
    connect = connector(settings, limits, allow_http=allow_http or requested.allow_http)
    return Plan(options, connect, requested.wiki)


@contextmanager
def keeping_workers(plan: Plan, at_once: int = 1) -> Iterator[Plan]:
    """The plan, by which all scans, so many `at_once`, use the same processes; they end with the block."""
    scan = plan.options.scan
    if scan is None:
        yield plan
        return
    resources = scan.resources
    with resources.keeping() if at_once == 1 else resources.shared(at_once, large=1, alone=True) as kept:
        options = replace(plan.options, scan=replace(scan, resources=kept))
        yield replace(plan, options=options)


def _lfs_options(settings: Settings, asked: str | None) -> LfsOptions | None:
    """Which LFS objects are taken; None for none."""
    asked = asked or settings["SNAPSHOTTER_LFS"].lower()
    if asked in ("none", "0", "off"):
        return None
    if asked not in ("all", "tips"):
        raise UsageError(
            f"SNAPSHOTTER_LFS is none of all, tips and none: {printable(asked)[:100]}", hint="give all"
        )
    limit = parse_size(settings["SNAPSHOTTER_LFS_MAX_OBJECT"])
    return LfsOptions("tips" if asked == "tips" else "all", limit, _folder(settings["SNAPSHOTTER_TEMP"]))


def _check_age(age: timedelta, expiry: Expiry | None) -> None:
    """Raise UsageError for an age of chains with which snapshots cannot be restored for as long as is stated."""
    if expiry is None or expiry.keeps(age):
        return
    raise UsageError(
        f"the oldest base that was asked for, of {human_span(age)}, would expire under snapshots that are to be kept",
        code="retention",
        hint="leave max_chain_age out, or make it shorter: objects expire by SNAPSHOTTER_EXPIRY, and "
        f"SNAPSHOTTER_RETENTION is for how long each snapshot must be restorable {runbook.see(runbook.EXPIRY)}",
    )


def _patterns(refs: Sequence[str] | None) -> tuple[str, ...]:
    if refs and not all(refs):
        raise UsageError("an empty pattern of refs takes none", hint="leave --refs out to take all")
    return tuple(refs or ())


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels, if each is a line of text that can be shown as it is. Raises UsageError if one is not."""
    for key, value in labels.items():
        # The manifest keeps them for ever, and every terminal and page that lists it shows them.
        if printable(key + value) != key + value or "\t" in key + value:
            raise UsageError(
                f"a label holds control characters: {printable(key)}={printable(value)}",
                hint="give plain text, in one line",
            )
    return dict(labels)


def scan_options(settings: Settings, ref: str | None, age: str | None = None) -> ScanOptions:
    """How a scan is made; one older than `age`, a span, is not referred to.

    Raises UsageError for a size, span or number that cannot be read.
    """
    key = settings["SNAPSHOTTER_FINGERPRINT_KEY"]
    from snapshotter.scan.resources import ScanResources  # which runs without a scan do not load

    resources = ScanResources(
        fingerprint_key=key.encode() if key else None,
        rules=_folder(settings["SNAPSHOTTER_RULE_CACHE"]),
        temp=_folder(settings["SNAPSHOTTER_TEMP"]),
        workers=len(os.sched_getaffinity(0)),  # not cpu_count: a container may use fewer than its machine has
    )
    held_to = ScanSettings(
        max_file_bytes=parse_size(settings["SNAPSHOTTER_SCAN_MAX_FILE"]),
        max_total_bytes=parse_size(settings["SNAPSHOTTER_SCAN_MAX_TOTAL"]),
        max_files=settings.number("SNAPSHOTTER_SCAN_MAX_FILES"),
        scanner_seconds=parse_span(settings["SNAPSHOTTER_SCAN_TIMEOUT"]).total_seconds(),
        exclude=list(settings.words("SNAPSHOTTER_SCAN_EXCLUDE")),
        fingerprint_key=resources.key_name,
    )
    return ScanOptions(held_to, resources, ref, parse_span(age) if age else None)


def _folder(text: str) -> Path | None:
    return Path(text) if text else None
