"""How long the proof of chains may take. Their own bytes are a hostile origin's: a few may unfold to any number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Final

from snapshotter.archive.layout import RunKey
from snapshotter.base.errors import Unavailable

_LEAST: Final = 15.0  # seconds, and also what no chain has less than a tenth of
_EACH_BUNDLE: Final = 2.0  # seconds: an increment of a few objects takes a tenth of one
_EACH_MIB: Final = 2.0  # seconds: git.git, of 489 MiB, has 1,000, and git packs and checks it anew within 60
_MIB: Final = 1024 * 1024


class ProofOutOfTime(Unavailable):
    """A check took longer than it may. Whether what it checks is in order is not known: never Unusable."""

    default_code = "verify-time"


class ReplayTime:
    """How long the replays of one repo may take. Each has the `fixed` seconds; with None, all share what their bundles
    are worth, each bundle counted once: so any number of forged chains that rest on one base cost no more than it.

    What a replay did not take is left for those after it.
    """

    def __init__(self, fixed: float | None = None) -> None:
        self._fixed = fixed
        self._left = _LEAST
        self._counted: set[RunKey] = set()

    @contextmanager
    def replay(self, bundles: Mapping[RunKey, int]) -> Iterator[float]:
        """The seconds that the replay in the block may take, of a chain by the bytes of its bundles."""
        new = bundles.keys() - self._counted
        self._counted |= new
        self._left += sum(_EACH_BUNDLE + _EACH_MIB * bundles[key] / _MIB for key in new)
        began = monotonic()
        try:
            yield self._fixed or max(self._left, _LEAST / 10)
        finally:
            self._left = max(0.0, self._left - (monotonic() - began))


def out_of_time(what: str, seconds: float) -> ProofOutOfTime:
    """The error for a check of `what` that took longer than `seconds`."""
    return ProofOutOfTime(
        f"{what} took longer than {seconds:,.0f} s",
        hint="raise --timeout (SNAPSHOTTER_VERIFY_TIMEOUT); if its history is no large one, its origin may be hostile",
    )
