"""`snapshotter scan`: the scan of a snapshot that was taken without one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from snapshotter.base.errors import UsageError
from snapshotter.cli import describe, documents, flags
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

_LARGEST: Final = 1 << 20  # bytes of a secret's value


@dataclass(frozen=True)
class ScanFlags:
    """What `scan` is given."""

    snapshot: Annotated[
        str | None, typer.Argument(metavar="[ORIGIN|SNAPSHOT]", help=flags.SNAPSHOT_NAMES)
    ] = None
    ref: flags.ScanRefOption = None
    secret_gate: flags.SecretGateOption = False
    fingerprint: Annotated[
        bool,
        typer.Option(
            "--fingerprint",
            help="Scan nothing: read a secret's value from stdin, and print its fingerprint under "
            "SNAPSHOTTER_FINGERPRINT_KEY.",
        ),
    ] = False


def scan(session: Session, given: ScanFlags) -> Output:
    """Scan a snapshot that was taken without one: its files, symbols, imports, dependencies and leaked secrets.

    The scan is stored as a run of its own that refers to the snapshot, which
    stays as it is. The tree comes from the origin, without a clone; if the origin
    no longer has it, it comes from the snapshot.

    With --fingerprint, a known secret's value becomes the fingerprint that it has
    in the table of secrets. The value comes by stdin only, less one line end.

    \b
    Examples:
      snapshotter scan https://github.com/psf/requests
      snapshotter scan github.com__psf__requests@2026-11-23 --ref v2.31.0
      snapshotter scan --fingerprint < value.txt
    """
    if given.fingerprint:
        return _fingerprint(session, given)
    if given.snapshot is None:
        raise UsageError("`scan` needs an ORIGIN or a SNAPSHOT", hint="`snapshotter list` shows them")
    from snapshotter.archive.catalog import Catalog
    from snapshotter.capture import plan, reaching
    from snapshotter.capture.later_scan import scan_snapshot
    from snapshotter.scan.gate import secret_gate

    limits = reaching.wire_limits(session.settings)
    catalog = Catalog(session.store(reading=True))
    scanned = scan_snapshot(
        catalog,
        catalog.resolve(given.snapshot),
        plan.scan_options(session.settings, given.ref),
        reaching.connector(session.settings, limits, allow_http=session.allow_http),
        observer=session.observer,
        cancel=session.cancel,
    )
    tripped = secret_gate(scanned.scan) if given.secret_gate else None
    return Output(documents.later_scan(scanned), describe.later_scan(scanned), tripped)


def _fingerprint(session: Session, given: ScanFlags) -> Output:
    """The fingerprint of the value on stdin. Neither the value nor a part of it is put out, in errors neither."""
    from snapshotter.capture import plan
    from snapshotter.scan.secrets import fingerprint

    if given.snapshot is not None or given.ref is not None or given.secret_gate:
        raise UsageError("--fingerprint scans nothing", hint="leave out the snapshot and the other flags")
    resources = plan.scan_options(session.settings, None).resources
    if resources.fingerprint_key is None:
        raise UsageError(
            "without SNAPSHOTTER_FINGERPRINT_KEY no fingerprint says anything of a value",
            hint="set it to the key that the scans were made with; those that were made without one cannot be asked",
        )
    mark = fingerprint(_value(), resources.fingerprint_key)
    return Output({"fingerprint": mark, "fingerprint_key": resources.key_name}, [mark])


def _value() -> str:
    """The value on stdin, less one line end. Raises UsageError for none, and for a terminal, which would show it."""
    if sys.stdin.isatty():
        raise UsageError(
            "the value would be shown on this terminal",
            hint='read it unseen: `read -rs VALUE; printf %s "$VALUE" | snapshotter scan --fingerprint; unset VALUE`',
        )
    data = sys.stdin.buffer.read(_LARGEST + 1)
    try:
        text = data.decode()
    except UnicodeDecodeError:  # whose message quotes a byte of the value
        raise UsageError("the value on stdin is not UTF-8", hint="secrets are found in text") from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value or len(data) > _LARGEST:
        raise UsageError(
            f"stdin holds no value of 1 to {_LARGEST:,} bytes", hint="give it by a pipe or a file"
        )
    return value
