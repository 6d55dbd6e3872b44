"""What origins that a job takes at once share, so that together they cost machine and hosts no more than they may."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Final

from snapshotter.base.cancel import Cancel
from snapshotter.base.room import Room
from snapshotter.base.settings import Settings, parse_size
from snapshotter.capture.plan import Plan
from snapshotter.git.origin import Origin
from snapshotter.transport.connect import Connector
from snapshotter.transport.turns import HostTurns

SETTING: Final = "SNAPSHOTTER_JOB_ORIGINS"


@dataclass(frozen=True)
class AtOnce:
    """How many `origins` are taken at once, with how many `connections` to one host, and `memory` for packs and LFS
    objects, in bytes.

    The last two count only for several origins: one is bounded by its own options.
    """

    origins: int = 1
    connections: int = 8
    memory: int = 512 << 20

    @classmethod
    def of(cls, settings: Settings, origins: int) -> AtOnce:
        """What the settings say, for a job of so many origins. Raises UsageError for a number that cannot be read."""
        return cls(
            max(1, min(origins, settings.number(SETTING))),
            settings.number("SNAPSHOTTER_HOST_CONNECTIONS"),
            parse_size(settings["SNAPSHOTTER_FLEET_MEMORY"]),
        )


IN_TURN: Final = AtOnce()


class SharedPlan:
    """A plan for any number of origins, of which several are taken at once. Safe to share between threads."""

    def __init__(self, plan: Plan, at_once: AtOnce, cancel: Cancel) -> None:
        """`cancel` ends their waits for memory."""
        self._plan, self._at_once = plan, at_once
        self._connectors: dict[str, Connector] = {}
        self._making = threading.Lock()
        if at_once.origins > 1:
            room = Room(at_once.memory, cancel).of(plan.options.held_bytes)
            self._plan = replace(plan, options=replace(plan.options, room=room))

    def of(self, origin: Origin) -> Plan:
        """The plan for an origin: it has turns at the host together with the others that are there."""
        if self._at_once.origins == 1 or origin.scheme not in ("https", "http"):
            return self._plan  # other wires are a child each
        with self._making:
            connect = self._connectors.get(origin.netloc)
            if connect is None:
                connect = self._plan.connect.with_turns(HostTurns(self._at_once.connections))
                self._connectors[origin.netloc] = connect
        return replace(self._plan, connect=connect)
