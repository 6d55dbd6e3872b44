"""How long the proof of a chain may take. Its own bytes are a hostile origin's: a few may unfold to any number."""

from __future__ import annotations

from typing import Final

from snapshotter.base.errors import Unavailable

_LEAST: Final = 15.0  # seconds
_EACH_MIB: Final = 2.0  # seconds: git.git, of 489 MiB, has 1,000, and git packs and checks it anew within 60
_MIB: Final = 1024 * 1024


class ProofOutOfTime(Unavailable):
    """A check took longer than it may. Whether what it checks is in order is not known: never Unusable."""

    default_code = "verify-time"


def replay_seconds(size: int) -> float:
    """Seconds that the replay of a chain may take whose bundles have `size` bytes, where nothing else is set."""
    return _LEAST + _EACH_MIB * size / _MIB


def out_of_time(what: str, seconds: float) -> ProofOutOfTime:
    """The error for a check of `what` that took longer than `seconds`."""
    return ProofOutOfTime(
        f"{what} took longer than {seconds:,.0f} s",
        hint="raise --timeout (SNAPSHOTTER_VERIFY_TIMEOUT); if its history is no large one, its origin may be hostile",
    )
