"""The checks of what the store has no part in: the origin, git, room on the disk, and settings that agree."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from snapshotter.archive.catalog import Catalog
from snapshotter.archive.expiry import Expiry
from snapshotter.base import runbook
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Finding, SnapshotterError
from snapshotter.base.text import human_bytes, plural
from snapshotter.doctor.check import Check, Setup, State, guarded
from snapshotter.git import program
from snapshotter.git.origin_parsing import parse
from snapshotter.store.objects import Store

LEAST_DISK = 1024**3  # bytes free for verify where the size of the chain is not known
OLDEST_GIT = (2, 34)


def origin(setup: Setup, text: str, cancel: Cancel) -> Check:
    """The origin's refs, listed."""

    def look() -> tuple[State, str]:
        transport = setup.connect(parse(text), cancel)
        try:
            ledger = transport.ls_refs()
        finally:
            transport.close()
        return "ok", f"{parse(text)}: {plural(len(ledger), 'ref')}, HEAD {ledger.head_text or 'none'}"

    return guarded("origin", runbook.ORIGIN, look)


def installed_git() -> tuple[State, str]:
    """The installed git. Raises Finding if it is too old, Unavailable if there is none."""
    text = program.version()
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_GIT:
        raise Finding(f"git {text} is too old", hint="install git 2.34 or newer")
    return "ok", f"git {text}"


def disk(setup: Setup, store: Store | None, least: int = LEAST_DISK) -> tuple[State, str]:
    """Room for verify's replay: twice the newest snapshot's chain, or `least` bytes where that is not known."""
    folder = setup.temp or Path(tempfile.gettempdir())
    with tempfile.TemporaryFile(dir=folder):
        free = shutil.disk_usage(folder).free
    chain = _chain(setup, store)
    need = 2 * chain if chain else least
    for_what = f"a chain of {human_bytes(chain)}" if chain else "a chain of unknown size"
    says = f"{human_bytes(free)} free in {folder} to verify {for_what}"
    return ("ok" if free >= need else "warning"), says


def retention(expiry: Expiry, max_chain_age: timedelta | None) -> tuple[State, str]:
    """For how long every snapshot can be restored. Raises Finding if that is less than the settings promise."""
    if max_chain_age is None:
        raise Finding(
            f"objects expire after {days(expiry.after)}, and no base has a greatest age: that of a quiet repository "
            "goes before its increments",
            code="retention",
            hint="set SNAPSHOTTER_MAX_CHAIN_AGE to what MaxChainAgeDays is",
        )
    kept = expiry.kept_for(max_chain_age)
    how = f"{days(expiry.after)} of expiry less {days(max_chain_age)} of the chain's age"
    if not expiry.keeps(max_chain_age):
        asked = f", and {days(expiry.retention)} are promised" if expiry.retention else ""
        left = f"leave {days(kept)}" if kept > timedelta(0) else "leave nothing"
        raise Finding(
            f"{how} {left}{asked}",
            code="retention",
            hint="let objects expire later (SnapshotRetentionDays makes the expiry), or take bases more often",
        )
    return "ok", f"every snapshot can be restored for {days(kept)}: {how}"


def days(span: timedelta) -> str:
    """A span in days, with its hours if it is not whole days."""
    whole, rest = divmod(span, timedelta(days=1))
    return plural(whole, "day") if not rest else f"{span / timedelta(days=1):,.2f} days"


def _chain(setup: Setup, store: Store | None) -> int:
    """Bytes of the chain of the origin's newest snapshot; 0 if there is none, or it cannot be read."""
    if store is None or setup.origin is None:
        return 0
    try:
        catalog = Catalog(store)
        run = catalog.latest(parse(setup.origin).repo)
        weight = catalog.manifest(run.key, listed=True).manifest.chain_bytes if run else None
    except SnapshotterError:
        return 0
    return weight.base + weight.increments if weight else 0
