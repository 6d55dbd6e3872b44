"""How long an origin may keep us waiting: a deadline on all before the pack, a least rate after.

Only time spent waiting for the origin counts. How long we take with what came (uploads) is no fault of its.
"""

from __future__ import annotations

from snapshotter.transport import Stalled, WireLimits

_HINT = "its server is overloaded or hostile; try again later, or raise SNAPSHOTTER_STALL_TIMEOUT"


class Pace:
    """What was waited for one answer. `waited` is in seconds."""

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self.waited = 0.0
        self._begun = 0.0  # what had been waited when this deadline, or this span of the rate, began
        self._bytes: int | None = None  # that came in this span; None before the pack

    def begin(self) -> None:
        """A deadline begins: another answer is asked for."""
        self._begun, self._bytes = self.waited, None

    def flow(self) -> None:
        """The deadline is met: from now on, the rate counts."""
        if self._bytes is None:
            self._begun, self._bytes = self.waited, 0

    def came(self, count: int, seconds: float) -> None:
        """`count` bytes came after a wait of `seconds`. Raises Stalled if that was too slow."""
        self.waited += seconds
        if self._bytes is not None:
            self._bytes += count
        span = self.waited - self._begun
        if span <= self._limits.stall_seconds:
            return
        if self._bytes is None:
            raise Stalled(f"the origin did not come to the end of its answer in {span:.0f} s", hint=_HINT)
        if self._bytes < self._limits.least_rate * span:
            raise Stalled(f"the origin sends too slowly: {self._bytes} bytes in {span:.0f} s", hint=_HINT)
        self._begun, self._bytes = self.waited, 0
