"""What a worker process keeps from one batch to the next: its store, its tokens, and the processes of its scans."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from snapshotter.base import settings as settings_module
from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import SnapshotterError
from snapshotter.base.room import Room
from snapshotter.base.settings import Settings, parse_size
from snapshotter.capture import plan as plans
from snapshotter.capture.plan import Plan, RequestedOptions
from snapshotter.fleet.verdict import Rules
from snapshotter.scan.resources import ScanResources
from snapshotter.store.objects import Store
from snapshotter.store.opening import open_store
from snapshotter.transport.connect import Connector

CARRIED: Final = (
    "SNAPSHOTTER_STORE",
    "SNAPSHOTTER_SEGMENT_SIZE",
    "SNAPSHOTTER_UPLOADS",
    "SNAPSHOTTER_REFS",
    "SNAPSHOTTER_EXCLUDE_REFS",
    "SNAPSHOTTER_MAX_CHAIN_AGE",
    "SNAPSHOTTER_MAX_REFS",
    "SNAPSHOTTER_IDLE_TIMEOUT",
    "SNAPSHOTTER_STALL_TIMEOUT",
    "SNAPSHOTTER_ALLOW_HTTP",
    "SNAPSHOTTER_LFS",
    "SNAPSHOTTER_LFS_MAX_OBJECT",
    "SNAPSHOTTER_LFS_HOSTS",
    "SNAPSHOTTER_SCAN",
    "SNAPSHOTTER_SCAN_EXCLUDE",
    "SNAPSHOTTER_SCAN_MAX_FILE",
    "SNAPSHOTTER_SCAN_MAX_TOTAL",
    "SNAPSHOTTER_SCAN_MAX_FILES",
    "SNAPSHOTTER_SCAN_TIMEOUT",
    "SNAPSHOTTER_EXPIRY",
    "SNAPSHOTTER_RETENTION",
    "SNAPSHOTTER_FLEET_SHRUNK",
    "SNAPSHOTTER_FLEET_GAPS",
    "SNAPSHOTTER_FLEET_MEMORY",
)
"""The settings that a batch carries: those that make every worker's snapshots alike. None of them is a secret, or is
about one machine alone."""

_MOST_PLANS: Final = 100  # kept: an inventory may have options of its own for every repository
_SCANS_AT_ONCE: Final = 16  # in a process: one search for secrets serves them all
_LARGE_SCANS: Final = 2  # of them: while one waits for its tree, another analyses


def carried(settings: Settings, store: str, *, allow_http: bool) -> dict[str, str]:
    """The settings that batches carry, with the `store` in force: another process may be in another folder."""
    if ":" not in store:
        store = str(Path(store).expanduser().absolute())
    values = {name: settings[name] for name in CARRIED}
    return values | {"SNAPSHOTTER_STORE": store, "SNAPSHOTTER_ALLOW_HTTP": "1" if allow_http else "0"}


class Workshop:
    """The tools of one worker process, for batches with the same settings. Safe to share between threads."""

    def __init__(self, settings: Settings, cancel: Cancel) -> None:
        """Raises UsageError for settings that make no sense, Unavailable if the store cannot be opened."""
        self.cancel = cancel
        self.rules = Rules.of(settings)
        self.store: Store = open_store(
            settings["SNAPSHOTTER_STORE"], allow_http=settings.flag("SNAPSHOTTER_ALLOW_HTTP")
        )
        self._settings = settings
        self._lock = threading.Lock()
        self._plans: dict[bytes, Plan] = {}
        self._connect: Connector | None = None  # whose tokens and connections all plans have
        self._room = Room(parse_size(settings["SNAPSHOTTER_FLEET_MEMORY"]), cancel)
        self._stack = ExitStack()
        self._resources: ScanResources | None = None  # of all scans

    def plan(self, options: RequestedOptions, labels: Mapping[str, str], *, ledger_only: bool) -> Plan:
        """The plan of a task. Raises UsageError for options and labels that make no sense."""
        key = msgspec.json.encode((options, ledger_only))
        with self._lock:
            made = self._plans.get(key)
            if made is None:
                if len(self._plans) >= _MOST_PLANS:
                    self._plans.clear()
                made = self._plans[key] = self._made(options, ledger_only=ledger_only)
        if not labels:
            return made
        return replace(made, options=replace(made.options, labels=plans.checked_labels(labels)))

    def scans(self, options: RequestedOptions) -> bool:
        """Whether snapshots with these options have scans."""
        return self._settings.flag("SNAPSHOTTER_SCAN") if options.scan is None else options.scan

    def let_go(self) -> None:
        """Close connections that are not used now: the host's are the next lease's."""
        if self._connect is not None:
            self._connect.let_go()

    def close(self) -> None:
        """End the processes of the scans."""
        self._stack.close()

    def _made(self, options: RequestedOptions, *, ledger_only: bool) -> Plan:
        made = plans.make(
            self._settings, options, {}, allow_http=self._settings.flag("SNAPSHOTTER_ALLOW_HTTP")
        )
        # Tokens that are made anew, CAs that were read, and connections serve every plan.
        self._connect = self._connect or made.connect
        connect = made.connect.beside(self._connect)
        scan = made.options.scan
        if scan is not None:
            scan = replace(scan, resources=self._shared(scan.resources))
        room = self._room.of(made.options.held_bytes)
        kept = replace(made.options, scan=scan, changes_only=ledger_only, room=room)
        return Plan(kept, connect, made.wiki)

    def _shared(self, resources: ScanResources) -> ScanResources:
        """The same for every plan, with what all scans share."""
        if self._resources is None:
            shared = resources.shared(_SCANS_AT_ONCE, _LARGE_SCANS, alone=False)
            self._resources = self._stack.enter_context(shared)
        return self._resources


_lock: Final = threading.Lock()
_kept: dict[tuple[tuple[str, str], ...], Workshop] = {}
_cancel = Cancel()


@contextmanager
def workshop(values: Mapping[str, str]) -> Iterator[Workshop]:
    """The workshop of this process for these settings, over those of its environment. It is kept for the next batch."""
    key = tuple(sorted(values.items()))
    with _lock:
        if key not in _kept:
            _kept[key] = Workshop(settings_module.load().under(values), _cancel)
    yield _kept[key]


def end(error: SnapshotterError) -> None:
    """Have whatever works in this process end soon, with this error."""
    _cancel.cancel(error)


@atexit.register
def close() -> None:
    """End what this process keeps. May be called twice."""
    while _kept:
        _, shop = _kept.popitem()
        shop.close()
