"""The engines by their names. One that needs what is not installed is loaded only when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from snapshotter.base.errors import UsageError
from snapshotter.fleet.engine import FleetEngine


@dataclass(frozen=True)
class EngineWish:
    """Which engine a run asks for, with how many workers (None: as many as it sees fit), and at which `scheduler`."""

    name: str = "local"
    jobs: int | None = None
    scheduler: str | None = None


def cores() -> int:
    """How many processors this process may use: in a container, fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _local(wish: EngineWish) -> FleetEngine:
    from snapshotter.fleet.local_engine import LocalEngine

    if wish.scheduler is not None:
        raise UsageError("--scheduler is for --engine dask", hint="leave it out, or add --engine dask")
    return LocalEngine(wish.jobs or cores())


_ENGINES: Final[Mapping[str, Callable[[EngineWish], FleetEngine]]] = {"local": _local}


def open_engine(wish: EngineWish) -> FleetEngine:
    """The engine that is asked for. Raises UsageError for a name that is none, and as the engine does."""
    opener = _ENGINES.get(wish.name)
    if opener is None:
        raise UsageError(f"no such engine: {wish.name}", hint=f"give one of: {', '.join(_ENGINES)}")
    return opener(wish)
